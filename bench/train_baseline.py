"""Bare TRL scripts: RewardTrainer on pairs, DPOTrainer and SFTTrainer, as their pages show them.

`python -m bench.train_baseline <job folder>` runs one. The settings are TRL's fastest sensible
ones: no activation checkpointing, as on the other side, no checkpoints, reference log-probabilities
asked once, a row of figures every ten steps, texts of like length together. Pairs and
demonstrations come in the order that the other side draws; the pairs of rankings, of which it has
none, in that of TRL's own option.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

IDS = {
    "reward": ("chosen_ids", "rejected_ids"),
    "dpo": ("prompt_ids", "chosen_ids", "rejected_ids", "ref_chosen_logps", "ref_rejected_logps"),
    "sft": ("input_ids", "labels"),
}


def arguments(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the three configs have in common."""
    return {
        "output_dir": str(folder / "out"),
        "num_train_epochs": 1,
        "per_device_train_batch_size": job["batch"],
        "gradient_accumulation_steps": job["accumulation"],
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "constant",
        "seed": job["seed"],
        "data_seed": job["seed"],
        "max_length": job["max_length"],
        "bf16": job["device"] == "cuda",
        "use_cpu": job["device"] == "cpu",
        "activation_checkpointing": False,
        "logging_steps": job["logging_steps"],
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": job["device"] == "cuda",
        "train_sampling_strategy": "sequential" if job["order"] else "group_by_length",
        "remove_unused_columns": False,  # else the column of lengths is gone when it is looked for
    }


def reward(job: dict[str, Any], rows: Dataset, tokenizer: Any, args: dict[str, Any]) -> Any:
    """A reward model on all pairs of the rankings."""
    model = AutoModelForSequenceClassification.from_pretrained(
        job["model"], num_labels=1, dtype=torch.float32
    )
    return RewardTrainer(
        model=model, args=RewardConfig(**args), train_dataset=rows, processing_class=tokenizer
    )


def dpo(job: dict[str, Any], rows: Dataset, tokenizer: Any, args: dict[str, Any]) -> Any:
    """A policy on pairs; the reference is asked before training."""
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    config = DPOConfig(**args, beta=0.1, precompute_ref_log_probs=True)
    return DPOTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)


def sft(job: dict[str, Any], rows: Dataset, tokenizer: Any, args: dict[str, Any]) -> Any:
    """A policy on demonstrations, of which the reply is learned."""
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    config = SFTConfig(**args, completion_only_loss=True)
    return SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)


TRAINERS = {"reward": reward, "dpo": dpo, "sft": sft}


def trainer_of(job: dict[str, Any], folder: Path) -> Any:
    """The trainer of a job, its rows tokenized and measured."""
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    rows = Dataset.from_list(job["rows"])
    trainer = TRAINERS[job["recipe"]](job, rows, tokenizer, arguments(job, folder))
    wanted = [name for name in IDS[job["recipe"]] if name in trainer.train_dataset.column_names]
    ids = trainer.train_dataset.select_columns(wanted)
    if job["order"]:
        trainer.train_dataset = ids.select(job["order"])
    else:
        lengths = [max(map(len, row.values())) for row in ids]
        trainer.train_dataset = ids.add_column("length", lengths)
    return trainer


def main(folder: Path) -> Any:
    """Train what the job in the folder says, leave the model beside it; returns the trainer."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    trainer = trainer_of(job, folder)
    trainer.train()
    trainer.save_model(str(folder / "model"))
    return trainer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
