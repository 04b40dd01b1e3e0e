"""The trainer on rankings: what a step learns, what it logs, and how batches add up."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from tests.training.recipes.conftest import Chain, prepare, rankings
from training import rundir
from training.configs import RewardConfig, parse_config
from training.recipes import reward
from training.recipes.data import Encoder
from training.recipes.loading import load_reward_model, load_tokenizer
from training.recipes.ranking_trainer import RankingCollator
from training.recipes.rankings import encode_rankings

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
LEARN = {"max_steps": 3, "learning_rate": 1e-3, "lr_schedule": "constant", "checkpoint_steps": 0}


def _weights(chain: Chain, folder: Path, **config: Any) -> dict[str, torch.Tensor]:
    """The weights of a short run, its metrics left in the folder."""
    model = chain.model("sft")
    prepare(folder, "reward", rankings(60), {**LEARN, **config}, model=model)
    reward.main([str(folder)])
    made = folder / rundir.MODEL
    return load_reward_model(made, load_tokenizer(made)).state_dict()


def _losses(folder: Path) -> list[float]:
    rows = [row.values for row in rundir.read_metrics_from(folder)[0]]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("shared", ["never", "always"])
def test_eight_forwards_of_one_are_one_forward_of_eight(
    shared: str, chain: Chain, tmp_path: Path, in_process: None
) -> None:
    config: dict[str, Any] = {"shared_prefix": shared, "adam_beta2": 0.99}
    one = _weights(chain, tmp_path / "one", per_device_batch_size=8, **config)
    eight = _weights(
        chain, tmp_path / "8", per_device_batch_size=1, gradient_accumulation=8, **config
    )
    assert _losses(tmp_path / "8") == pytest.approx(_losses(tmp_path / "one"), abs=1e-5)
    for name in one:
        assert torch.allclose(one[name], eight[name], atol=2e-5), name


def test_shared_prefix_learns_the_same(chain: Chain, tmp_path: Path, in_process: None) -> None:
    plain = _weights(chain, tmp_path / "never", shared_prefix="never")
    once = _weights(chain, tmp_path / "always", shared_prefix="always")
    assert _losses(tmp_path / "always") == pytest.approx(_losses(tmp_path / "never"), abs=1e-5)
    for name in plain:
        assert torch.allclose(plain[name], once[name], atol=2e-5), name


def test_step_logs_the_loss_and_figures_of_its_pairs(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """Recomputed from the scores of the model that the run starts from, without dropout."""
    folder = tmp_path / "run"
    one_batch = {"max_steps": 1, "per_device_batch_size": 64, "shared_prefix": "never"}
    _weights(chain, folder, margin="rank_gap", **one_batch)
    config = cast(RewardConfig, parse_config("reward", {"margin": "rank_gap"}))
    tokenizer = load_tokenizer(chain.model("sft"))
    model: Any = load_reward_model(chain.model("sft"), tokenizer, seed=5)
    model.eval()
    rows = encode_rankings(folder, Encoder(tokenizer, 96), config).splits["train"]
    batch = RankingCollator(int(tokenizer.pad_token_id))(rows)
    with torch.no_grad():
        scores = model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits.squeeze(-1)
    scores = scores.split([len(row["reply_ids"]) for row in rows])
    losses, gaps = [], []
    for own, row in zip(scores, rows, strict=True):
        told = zip(row["better"], row["worse"], row["margin"], strict=True)
        differences = [(own[a] - own[b], margin) for a, b, margin in told]
        terms = [-torch.log(torch.sigmoid(d - margin)) for d, margin in differences]
        losses.append(torch.stack(terms).mean())
        gaps += [d for d, _ in differences]
    logged = rundir.read_metrics_from(folder)[0][0].values
    assert logged["loss"] == pytest.approx(torch.stack(losses).mean().item(), abs=1e-4)
    assert logged["margin"] == pytest.approx(torch.stack(gaps).mean().item(), abs=1e-5)
    assert logged["accuracy"] == pytest.approx(float((torch.stack(gaps) > 0).float().mean()))
    assert logged["min_reward"] == pytest.approx(min(s.min().item() for s in scores), abs=1e-5)
    assert logged["max_reward"] == pytest.approx(max(s.max().item() for s in scores), abs=1e-5)
    assert logged["mean_reward"] == pytest.approx(torch.cat(scores).mean().item(), abs=1e-5)
    lengths = [len(row["prompt_ids"]) + len(ids) for row in rows for ids in row["reply_ids"]]
    assert logged["num_tokens"] == sum(lengths)


def test_batches_are_counted_in_comparisons(chain: Chain, tmp_path: Path, in_process: None) -> None:
    """Of 60 comparisons 38 train; in batches of 10 an epoch is 4 steps."""
    folder = tmp_path / "run"
    _weights(chain, folder, max_steps=0, epochs=1.0, per_device_batch_size=10)
    result = rundir.read_result(folder)
    assert result is not None
    assert result["data"]["train"] == 38
    assert result["steps"] == 4


def test_pairs_of_a_batch_point_at_their_own_candidates() -> None:
    rows = [
        {"prompt_ids": [1, 2], "reply_ids": [[3], [4, 5]], "weight": 1.0},
        {"prompt_ids": [6], "reply_ids": [[7], [8], [9]], "weight": 0.5},
    ]
    pairs = [([1], [0]), ([0, 2], [1, 1])]
    for row, (better, worse) in zip(rows, pairs, strict=True):
        row |= {"better": better, "worse": worse}
        row |= {"target": [1.0] * len(better), "margin": [0.0] * len(better)}
    for shared in ("never", "always"):
        batch = RankingCollator(0, shared=shared)(rows)
        assert next(iter(batch)) == "weights"  # by its length the Trainer counts the batch
        assert batch["better"].tolist() == [1, 2, 4]
        assert batch["worse"].tolist() == [0, 3, 3]
        assert batch["comparisons"].tolist() == [0, 1, 1]
        last = [batch["input_ids"][row, place].item() for row, place in batch["ends"].tolist()]
        assert last == [3, 5, 7, 8, 9]
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 2, 3], [0, 1, 1, 1, 0]]
    assert batch["segments"].tolist() == [[0, 0, 1, 2, 2], [0, 1, 2, 3, -1]]


def test_weight_scales_what_is_learned(chain: Chain, tmp_path: Path, in_process: None) -> None:
    losses = []
    for weight in (1.0, 0.5):
        rows = [{**row, "weight": weight} for row in rankings()]
        folder = prepare(
            tmp_path / str(weight),
            "reward",
            rows,
            LEARN | {"max_steps": 1},
            model=chain.model("sft"),
        )
        reward.main([str(folder)])
        losses.append(_losses(folder)[0])
    assert losses[1] == pytest.approx(losses[0] / 2, rel=1e-4)
