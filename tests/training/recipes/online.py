"""What tests of recipes need that reply to prompts while they learn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.training.recipes.conftest import Chain, Rows, demonstrations, prepare, prompts
from training import rundir

LEARN = {
    "total_episodes": 64,
    "batch_size": 32,
    "per_device_batch_size": 8,
    "rollout_batch_size": 16,
    "max_new_tokens": 12,
    "learning_rate": 1e-3,
    "lr_schedule": "constant",
}


def online_rows(texts: int = 0) -> Rows:
    """Twenty prompts to reply to, and so many texts to keep likely."""
    return [{**row, "split": "train"} for row in prompts(20)] + [
        {**row, "split": "train"} for row in demonstrations(texts)
    ]


def prepare_online(
    folder: Path,
    chain: Chain,
    config: Mapping[str, Any],
    *,
    rows: Rows | None = None,
    reward: Path | None = None,
) -> Path:
    """A PPO run's folder, ready to start from the chain's policy with its reward model."""
    rows = online_rows(40) if rows is None else rows
    prepare(folder, "ppo", rows, LEARN | dict(config), model=chain.model("sft"))
    head = rundir.read_json(folder / rundir.CONFIG)
    judge = reward or chain.model("reward")
    head["inputs"]["reward"] = {"path": str(judge), "sha256": rundir.weights_sha256(judge)}
    rundir.write_json_atomic(folder / rundir.CONFIG, head)
    return folder


def values_of(folder: Path) -> list[dict[str, float]]:
    """The rows of metrics without what a clock says."""
    clock = ("eps", "time/")
    return [
        {name: value for name, value in row.values.items() if not name.startswith(clock)}
        for row in rundir.read_metrics_from(folder)[0]
    ]


def model_sha256(folder: Path) -> str:
    """The hash of the model that a run made."""
    result = rundir.read_result(folder)
    assert result is not None
    return str(result["model"]["sha256"])
