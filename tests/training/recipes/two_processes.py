"""What tests of two processes on one machine have in common (CPU, gloo)."""

from pathlib import Path
from typing import Any

from tests.training.recipes.conftest import start
from training import rundir

# PPO has no Trainer that reads the config's device for it.
CPU = {"ACCELERATE_USE_CPU": "1"}


def succeed_in_two(folder: Path, recipe: str) -> Path:
    """Run a recipe whose config asks for two processes; it must have run as two.

    Each says its rank and the size of its world, learned from data of its own, and ended with the
    weights of the other.
    """
    outcome = start(folder, recipe, env=CPU)
    assert outcome.status == "succeeded", outcome.log_tail
    result = rundir.read_result(folder)
    assert result is not None
    assert result["processes"] == 2
    ranks = [rundir.read_json(folder / rundir.RANKS / f"rank-{rank}.json") for rank in (0, 1)]
    assert [(said["rank"], said["world"]) for said in ranks] == [(0, 2), (1, 2)]
    assert ranks[0]["data"] != ranks[1]["data"]
    assert ranks[0]["weights"] == ranks[1]["weights"]
    return folder


def halves(config: dict[str, Any]) -> dict[str, Any]:
    """The same config for two processes with the same batch together."""
    return {**config, "processes": 2, "per_device_batch_size": config["per_device_batch_size"] // 2}
