"""SFT and DPO on two processes: the curve of one process with the same global batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes.conftest import (
    SCRATCH,
    Chain,
    demonstrations,
    pairs,
    prepare,
    succeed,
)
from tests.training.recipes.two_processes import halves, succeed_in_two
from training import rundir

pytestmark = pytest.mark.recipe
LEARN: dict[str, Any] = {
    "max_steps": 4,
    "per_device_batch_size": 8,
    "learning_rate": 1e-3,
    "eval_steps": 2,
    "eval_max_new_tokens": 8,
}


def test_sft_from_nothing_takes_the_steps_of_one(tmp_path: Path) -> None:
    """The fast one, in every run of the tests."""
    config = {**SCRATCH, **LEARN, "max_steps": 3}
    one = prepare(tmp_path / "one", "sft", demonstrations(), config)
    two = prepare(tmp_path / "two", "sft", demonstrations(), halves(config))
    assert_same(succeed(one, "sft"), succeed_in_two(two, "sft"), ("loss", "mean_token_accuracy"))


@pytest.mark.slow
@pytest.mark.parametrize("lora_r", [0, 2])
def test_judged_sft_takes_the_steps_of_one(chain: Chain, tmp_path: Path, lora_r: int) -> None:
    """The replies that the reward model judges are shared out, and all learn the same of them."""
    models = {"model": chain.model("sft"), "reward": chain.model("reward")}
    config = LEARN | {"lora_r": lora_r}
    one = prepare(tmp_path / "one", "sft", demonstrations(), config, **models)
    two = prepare(tmp_path / "two", "sft", demonstrations(), halves(config), **models)
    names = ("loss", "eval_objective/scores", "eval_objective/kl", "eval_val/length")
    assert_same(succeed(one, "sft"), succeed_in_two(two, "sft"), names)
    chosen = [(rundir.read_result(folder) or {})["chosen"]["step"] for folder in (one, two)]
    assert chosen[0] == chosen[1]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"precompute_ref_log_probs": True}])
def test_dpo_takes_the_steps_of_one(chain: Chain, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = LEARN | changes
    one = prepare(tmp_path / "one", "dpo", pairs(60), config, model=chain.model("sft"))
    two = prepare(tmp_path / "two", "dpo", pairs(60), halves(config), model=chain.model("sft"))
    # Not the accuracy: at the first step all margins are 0, and its signs are rounding.
    names = ("loss", "rewards/margins", "logps/chosen")
    assert_same(succeed(one, "dpo"), succeed_in_two(two, "dpo"), names)


def assert_same(one: Path, two: Path, names: tuple[str, ...]) -> None:
    """The same figures under these names at every step, and the same weights, but for rounding.

    TRL's figures of an evaluation are not among them: means of batches, which two processes cut
    otherwise.
    """
    alone, together = _curves(one, names), _curves(two, names)
    assert all(alone.values())
    assert {name: len(points) for name, points in alone.items()} == {
        name: len(points) for name, points in together.items()
    }
    for name, points in alone.items():
        assert together[name] == pytest.approx(points, rel=1e-3, abs=2e-4), name
    weights = [load_file(folder / rundir.MODEL / "model.safetensors") for folder in (one, two)]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=2e-4), name
    assert not (one / rundir.RANKS).exists()


def _curves(folder: Path, names: tuple[str, ...]) -> dict[str, list[float]]:
    rows = [row.values for row in rundir.read_metrics_from(folder)[0]]
    return {name: [row[name] for row in rows if name in row] for name in names}
