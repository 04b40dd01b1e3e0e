"""The reward model on two processes: the same steps as one with the same global batch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes.conftest import Chain, prepare, rankings, succeed
from tests.training.recipes.two_processes import halves, succeed_in_two
from training import rundir

pytestmark = [pytest.mark.recipe, pytest.mark.slow]
LEARN: dict[str, Any] = {
    "max_steps": 8,
    "learning_rate": 1e-3,
    "checkpoint_steps": 4,
    "per_device_batch_size": 4,
}


@pytest.mark.parametrize("lora_r", [0, 2])
def test_two_processes_take_the_steps_of_one(lora_r: int, chain: Chain, tmp_path: Path) -> None:
    """Candidates and pairs differ in number between the two, and still no exchange hangs."""
    runs = []
    for processes in (1, 2):
        config = LEARN if processes == 1 else halves(LEARN)
        folder = tmp_path / str(processes)
        prepare(
            folder, "reward", rankings(60), config | {"lora_r": lora_r}, model=chain.model("sft")
        )
        runs.append((succeed if processes == 1 else succeed_in_two)(folder, "reward"))
    one, two = (_metrics(folder) for folder in runs)
    assert len(one) == len(two) == 8
    for alone, together in zip(one, two, strict=True):
        for name in ("loss", "accuracy", "margin", "mean_reward", "min_reward", "max_reward"):
            assert together[name] == pytest.approx(alone[name], abs=2e-4), name
    weights = [load_file(folder / rundir.MODEL / "model.safetensors") for folder in runs]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=2e-4), name
    assert not (runs[0] / rundir.RANKS).exists()


def _metrics(folder: Path) -> list[dict[str, float]]:
    rows = [dict(row.values) for row in rundir.read_metrics_from(folder)[0]]
    return [row for row in rows if "loss" in row]
