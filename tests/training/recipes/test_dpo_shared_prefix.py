"""DPO with a prompt encoded once for both replies: what the plain way gives, to rounding."""

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from trl.trainer.dpo_config import DPOConfig as TRLConfig

from tests.training.recipes.conftest import Chain, pairs, prepare, succeed
from training import rundir
from training.configs import DPOConfig
from training.recipes import dpo, shared_prefix
from training.recipes.dpo_trainer import PairCollator, PairTrainer, SoftCollator, SoftPairTrainer
from training.recipes.loading import load_policy, load_tokenizer, lora, new_tokenizer
from training.recipes.shared_prefix import Costs, why_no_shared_prefix

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
    # PEFT sees by itself that gpt2 keeps its weights turned round, and says so.
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
]
SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
}


def _policy(family: str) -> Any:
    """A small policy with large weights, so that its log-probabilities differ."""
    torch.manual_seed(3)
    if family == "gpt2":
        shape = GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4, n_positions=128)
        return GPT2LMHeadModel(shape)
    kinds: dict[str, tuple[Any, Any]] = {
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
    }
    config, kind = kinds[family]
    return kind(config(**SHAPE, initializer_range=0.2))


def _rows(count: int = 7) -> list[dict[str, Any]]:
    """Pairs of random ids: prompts of 1 to 30 tokens, replies of 1 to 12."""
    rng = random.Random(1)

    def ids(most: int) -> list[int]:
        return [rng.randint(10, 290) for _ in range(rng.randint(1, most))]

    rows = [
        {"prompt_ids": ids(30), "chosen_ids": ids(12), "rejected_ids": ids(12)}
        | {"target": rng.random(), "weight": rng.random()}
        for _ in range(count)
    ]
    rows[0] |= {"prompt_ids": [11], "chosen_ids": [12]}  # the shortest there can be
    return rows


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """A tokenizer of 300 tokens at most; its pad is none of the ids above."""
    return new_tokenizer(["red blue green"], 300, 128)


def _trainer(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    shared: str,
    *,
    family: str = "qwen3",
    reference: str = "frozen",
    soft: bool = False,
    losses: tuple[str, ...] = ("sigmoid", "sft"),
) -> Any:
    """A trainer away from its reference, where the loss is not log 2."""
    policy, pad = _policy(family), int(tokenizer.pad_token_id)
    frozen = copy.deepcopy(policy) if reference == "frozen" else None
    kind: Any = SoftPairTrainer if soft else PairTrainer
    trainer = kind(
        model=policy,
        ref_model=frozen,
        args=TRLConfig(
            output_dir=str(folder),
            loss_type=list(losses),
            precompute_ref_log_probs=reference == "kept",
            per_device_train_batch_size=3,
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            report_to="none",
        ),
        data_collator=(SoftCollator if soft else PairCollator)(pad, shared=shared),
        train_dataset=Dataset.from_list(_rows()),
        processing_class=tokenizer,
        peft_config=lora(DPOConfig(lora_r=2)) if reference == "lora" else None,
    )
    torch.manual_seed(0)
    for weight in trainer.model.parameters():
        if weight.requires_grad:
            weight.data += 0.02 * torch.randn_like(weight)
    return trainer


def _learned(trainer: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The loss of a batch and its gradients."""
    loss = trainer.compute_loss(trainer.model, dict(batch))
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    return loss.detach(), list(torch.autograd.grad(loss, weights))


def _batch(trainer: Any) -> dict[str, Any]:
    rows = [trainer.train_dataset[index] for index in range(len(trainer.train_dataset))]
    return dict(trainer.data_collator(rows))


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
@pytest.mark.parametrize("reference", ["frozen", "kept", "lora"])
@pytest.mark.parametrize("soft", [False, True])
def test_shared_prefix_gives_loss_gradients_and_figures_of_the_plain_way(
    family: str, reference: str, soft: bool, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    found, figures = [], []
    for shared in ("never", "always"):
        made = {"family": family, "reference": reference, "soft": soft}
        trainer = _trainer(tmp_path, tokenizer, shared, **made)
        batch = _batch(trainer)
        assert ("segments" in batch) == (shared == "always")
        found.append(_learned(trainer, batch))
        figures.append({k: v[-1] for k, v in trainer._metrics["train"].items()})
        if reference == "kept":
            found[-1][1].append(torch.tensor(trainer.train_dataset["ref_chosen_logps"]))
    (plain, plain_gradients), (once, gradients) = found
    assert plain > 0.01
    assert once.item() == pytest.approx(plain.item(), rel=1e-5, abs=1e-5)
    for first, second in zip(plain_gradients, gradients, strict=True):
        assert torch.allclose(first, second, rtol=1e-4, atol=1e-5)
    assert figures[0].pop("num_tokens") > figures[1].pop("num_tokens")  # what was read
    assert figures[1] == pytest.approx(figures[0], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("left", "right"), [(0, 9), (9, 0), (4, 5)])
def test_padding_on_any_side_changes_nothing(
    left: int, right: int, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    """gpt2 counts positions absolutely, so it would notice the least shift."""
    trainer = _trainer(tmp_path, tokenizer, "always", family="gpt2")
    batch = _batch(trainer)
    loss, gradients = _learned(trainer, batch)
    filler = {"shared_ids": trainer.data_collator.pad_token_id, "segments": -1, "position_ids": 0}
    filler["attention_mask"] = 0
    wider = {
        name: torch.nn.functional.pad(value, (left, right), value=filler[name])
        if name in filler
        else value
        for name, value in batch.items()
    }
    wider["places"] = batch["places"] + left
    again, others = _learned(trainer, wider)
    assert again.item() == pytest.approx(loss.item(), abs=1e-5)
    for first, second in zip(gradients, others, strict=True):
        assert torch.allclose(first, second, rtol=1e-4, atol=1e-5)


def test_batch_by_hand() -> None:
    """Two pairs: what the model reads, and what TRL scores of it."""
    rows = [
        {"prompt_ids": [1, 2], "chosen_ids": [3, 4], "rejected_ids": [5]},
        {"prompt_ids": [6], "chosen_ids": [7], "rejected_ids": [8, 9]},
    ]
    batch = PairCollator(0, shared="always").torch_call(rows)
    assert batch["shared_ids"].tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]]
    assert batch["segments"].tolist() == [[0, 0, 1, 1, 2], [0, 1, 2, 2, -1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 2], [0, 1, 1, 2, 0]]
    assert batch["attention_mask"].sum() == 9
    assert batch["input_ids"].tolist() == [[2, 3, 4], [6, 7, 0], [2, 5, 0], [6, 8, 9]]
    assert batch["completion_mask"].tolist() == [[0, 1, 1], [0, 1, 0], [0, 1, 0], [0, 1, 1]]
    assert batch["places"].tolist() == [[1, 2, 3], [0, 1, 0], [1, 4, 0], [0, 2, 3]]
    assert next(iter(batch)) == "input_ids"  # by its length the Trainer counts the batch


def test_auto_shares_where_it_is_less_work() -> None:
    collator = PairCollator(0, shared="auto", costs=Costs(linear=100, attention=10))
    long_prompt = {"prompt_ids": [1] * 50, "chosen_ids": [1] * 5, "rejected_ids": [1] * 5}
    long_replies = {"prompt_ids": [1] * 2, "chosen_ids": [1] * 50, "rejected_ids": [1] * 50}
    assert collator.shares([long_prompt])
    assert not collator.shares([long_replies])
    assert not PairCollator(0, shared="never", costs=collator.costs).shares([long_prompt])


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
def test_policies_can_share(family: str) -> None:
    assert why_no_shared_prefix(_policy(family)) is None


def _run(chain: Chain, folder: Path, **config: Any) -> Path:
    base = {"max_steps": 3, "learning_rate": 5e-4, "checkpoint_steps": 0, "adam_beta2": 0.99}
    prepare(folder, "dpo", pairs(60), base | config, model=chain.model("sft"))
    return folder


def _result(folder: Path) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    rows = [dict(row.values) for row in rundir.read_metrics_from(folder)[0]]
    place = folder / rundir.MODEL
    model: Any = load_policy(place, load_tokenizer(place))
    return [row for row in rows if "loss" in row], model.state_dict()


def _same(first: Path, second: Path, loose: float) -> None:
    """Both runs logged the same losses and ended with the same weights."""
    (rows, weights), (other_rows, others) = _result(first), _result(second)
    losses, other_losses = ([row["loss"] for row in both] for both in (rows, other_rows))
    assert len(losses) >= 3
    assert other_losses == pytest.approx(losses, abs=loose)
    for name, value in weights.items():
        assert torch.allclose(value, others[name], atol=2 * loose), name


@pytest.mark.parametrize("changes", [{}, {"lora_r": 2}, {"precompute_ref_log_probs": True}])
def test_run_that_shares_learns_the_same(
    chain: Chain, tmp_path: Path, in_process: None, changes: dict[str, Any]
) -> None:
    for shared in ("never", "always"):
        dpo.main([str(_run(chain, tmp_path / shared, shared_prefix=shared, **changes))])
    _same(tmp_path / "never", tmp_path / "always", 1e-5)


def test_eight_forwards_of_one_are_one_forward_of_eight(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    one = {"per_device_batch_size": 8, "shared_prefix": "always"}
    eight = one | {"per_device_batch_size": 1, "gradient_accumulation": 8}
    for name, config in (("one", one), ("eight", eight)):
        dpo.main([str(_run(chain, tmp_path / name, **config))])
    _same(tmp_path / "one", tmp_path / "eight", 1e-5)


def test_prompt_that_can_not_be_shared_is_refused_where_it_must_be(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_prefix, "why_no_shared_prefix", lambda model: "it is odd")
    with pytest.raises(rundir.RunFolderError, match="because it is odd: set shared_prefix to auto"):
        dpo.main([str(_run(chain, tmp_path / "always", shared_prefix="always"))])
    dpo.main([str(_run(chain, tmp_path / "auto"))])
    assert rundir.read_result(tmp_path / "auto") is not None


@pytest.mark.slow
@pytest.mark.parametrize("lora_r", [0, 2])
def test_two_processes_take_the_steps_of_one(lora_r: int, chain: Chain, tmp_path: Path) -> None:
    for processes in (1, 2):
        config = {"processes": processes, "per_device_batch_size": 4 // processes, "max_steps": 6}
        config |= {"lora_r": lora_r}
        succeed(_run(chain, tmp_path / str(processes), shared_prefix="always", **config), "dpo")
    _same(tmp_path / "1", tmp_path / "2", 2e-4)
    ranks = [rundir.read_json(tmp_path / "2" / rundir.RANKS / f"rank-{n}.json") for n in (0, 1)]
    assert [(said["rank"], said["world"]) for said in ranks] == [(0, 2), (1, 2)]
    assert ranks[0]["data"] != ranks[1]["data"]
    assert ranks[0]["weights"] == ranks[1]["weights"]
