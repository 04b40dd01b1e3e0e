"""Killed in mid-run and started again: the same model to the bit, the same rows of metrics."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.training.recipes.conftest import (
    SCRATCH,
    Chain,
    demonstrations,
    pairs,
    prepare,
    prompts,
    rankings,
    start,
    succeed,
)
from training import rundir

pytestmark = [pytest.mark.recipe, pytest.mark.slow]
LEARN = {"max_steps": 60, "checkpoint_steps": 5, "learning_rate": 1e-3}


SOFT = {"label_smoothing": 0.1, "precompute_ref_log_probs": True, "pairing": "best_vs_random"}
ONLINE = {"max_new_tokens": 8, "missing_eos": "keep", "max_steps": 30}


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("sft", SCRATCH),
        ("reward", {}),
        ("dpo", {}),
        ("dpo", SOFT),
        ("kto", {}),
        ("rloo", ONLINE),
        ("grpo", ONLINE),
    ],
)
def test_killed_run_resumes_to_the_bit(
    recipe: str, changes: dict[str, Any], chain: Chain, tmp_path: Path
) -> None:
    asked = [{**row, "split": "train"} for row in prompts(12)]
    learned = {"sft": demonstrations(), "reward": rankings(), "rloo": asked, "grpo": asked}
    rows = learned.get(recipe, pairs())
    config = {**LEARN, **changes}
    start_from = {
        "model": None if recipe == "sft" else chain.model("sft"),
        "reward": chain.model("reward") if changes is ONLINE else None,
    }
    whole = prepare(tmp_path / "whole", recipe, rows, config, **start_from)
    killed = prepare(tmp_path / "killed", recipe, rows, config, **start_from)
    succeed(whole, recipe)

    def kill_in_the_middle(new: list[rundir.Metrics]) -> None:
        if new[-1].step >= 12:
            for child in psutil.Process().children(recursive=True):
                if str(killed) in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)

    outcome = start(killed, recipe, on_metrics=kill_in_the_middle, poll_s=0.005)
    assert (outcome.status, outcome.signal) == ("failed", signal.SIGKILL)
    newest = rundir.newest_checkpoint(killed)
    assert newest is not None
    torn = rundir.checkpoint_path(killed, newest.step + 5)
    torn.mkdir(exist_ok=True)
    (torn / "model.safetensors").write_bytes(b"torn")
    succeed(killed, recipe)
    assert "going on from step" in (killed / rundir.LOG).read_text()
    assert _model_sha256(killed) == _model_sha256(whole)
    assert _values(killed) == _values(whole)


def _model_sha256(folder: Path) -> str:
    result = rundir.read_result(folder)
    assert result is not None
    return str(result["model"]["sha256"])


def _values(folder: Path) -> list[Any]:
    return [(row.step, row.values) for row in rundir.read_metrics_from(folder)[0]]
