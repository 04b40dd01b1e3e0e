"""The baseline of bench.train_ppo: TRL 1.12's experimental PPOTrainer on a job in a JSON file.

Run in a process of its own, with TRL 1.12 first on PYTHONPATH. The job names the models' folders,
the prompts as token ids and the numbers that both sides share. Sample generations, checkpoints of
optimizers, reports and gradient checkpointing are off, so that nothing but training takes time.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer

BASELINE_VERSION = "1.12.0"


class ShiftedHead(torch.nn.Module):
    """A reward model's head with the constant that its config adds to every score."""

    def __init__(self, head: torch.nn.Module, shift: float) -> None:
        super().__init__()
        self.head = head
        self.shift = shift

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores (..., 1) of hidden states (..., width)."""
        scores: torch.Tensor = self.head(hidden) + self.shift
        return scores


class Watch(TrainerCallback):
    """Notes when each step ended and what it logged, and keeps the policy of some steps."""

    def __init__(self, keep_every: int, folder: Path) -> None:
        self.ended: list[float] = []
        self.metrics: list[dict[str, float]] = []
        self.trainer: Any = None
        self._keep_every = keep_every
        self._folder = folder

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep a step's metrics."""
        self.metrics.append(dict(given["logs"]))

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Note the time, and save the policy where it is due."""
        self.ended.append(time.time())
        step = int(state.global_step)
        if self._keep_every and step % self._keep_every == 0:
            self.trainer.model.policy.save_pretrained(self._folder / f"step-{step}")


def main() -> None:
    """Train as the job says and write times and metrics beside it."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if trl.__version__ != BASELINE_VERSION:
        raise SystemExit(f"TRL {BASELINE_VERSION} is wanted here, not {trl.__version__}.")
    torch.set_num_threads(job["threads"])
    watch = Watch(job["keep_every"], folder)
    trainer = trainer_of(job, folder, watch)
    watch.trainer = trainer
    torch.set_num_threads(job["threads"])
    trainer.train()
    found = {"ended": watch.ended, "metrics": watch.metrics}
    (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")


def trainer_of(job: dict[str, Any], folder: Path, watch: Watch) -> PPOTrainer:
    """The trainer with the job's models, prompts and numbers."""
    tokenizer: Any = AutoTokenizer.from_pretrained(job["policy"], padding_side="left")
    policy, reference = (
        AutoModelForCausalLM.from_pretrained(job["policy"], dtype=torch.float32) for _ in range(2)
    )
    reward, value = (scorer(job["reward"]) for _ in range(2))
    size = job["per_device_batch_size"]
    arguments = PPOConfig(
        output_dir=str(folder / "trl"),
        seed=job["seed"],
        total_episodes=job["total_episodes"],
        per_device_train_batch_size=size,
        gradient_accumulation_steps=job["batch_size"] // size,
        num_mini_batches=job["minibatches"],
        num_ppo_epochs=job["inner_epochs"],
        local_rollout_forward_batch_size=job["rollout_batch_size"],
        response_length=job["max_new_tokens"],
        temperature=job["temperature"],
        stop_token="eos",
        missing_eos_penalty=job["missing_eos_penalty"],
        kl_coef=job["beta"],
        cliprange=job["clip"],
        cliprange_value=job["value_clip"],
        vf_coef=job["value_coefficient"],
        gamma=job["discount"],
        lam=job["gae_lambda"],
        whiten_rewards=False,
        learning_rate=job["learning_rate"],
        lr_scheduler_type="constant",
        adam_epsilon=job["adam_epsilon"],
        weight_decay=0.0,
        optim="adamw_torch_fused",
        use_cpu=job["device"] == "cpu",
        bf16=job["precision"] == "bf16",
        gradient_checkpointing=False,
        num_sample_generations=0,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        logging_steps=1,
    )
    return PPOTrainer(
        arguments,
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=reward,
        value_model=value,
        train_dataset=Dataset.from_dict({"input_ids": job["prompts"]}),
        callbacks=[watch],
    )


def scorer(folder: str) -> Any:
    """The reward model of a folder, by the library's own class, with its shift."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    model.score = ShiftedHead(model.score, getattr(model.config, "reward_shift", 0.0))
    return model


if __name__ == "__main__":
    main()
