"""Killed in mid-run and in a save: the same model to the bit, the same rows of metrics."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.recipes.conftest import (
    SCRATCH,
    Chain,
    demonstrations,
    pairs,
    prepare,
    prompts,
    rankings,
    succeed,
)
from tests.training.recipes.faults import killed_after, killed_in_a_save
from tests.training.recipes.two_processes import CPU, succeed_in_two
from training import rundir

pytestmark = [pytest.mark.recipe, pytest.mark.slow]
LEARN = {"max_steps": 60, "checkpoint_steps": 5, "learning_rate": 1e-3}


SOFT = {"label_smoothing": 0.1, "precompute_ref_log_probs": True, "pairing": "best_vs_random"}
JUDGED = {"eval_steps": 4, "eval_max_new_tokens": 10, "lora_r": 2, "lora_dropout": 0.2}
GROUPED = {"group_by_length": True, "shared_prefix": "always"}
ONLINE = {"max_new_tokens": 8, "missing_eos": "keep", "max_steps": 30}


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("sft", SCRATCH),
        ("reward", {}),
        ("dpo", {}),
        ("dpo", SOFT),
        ("dpo", GROUPED),
        ("kto", {}),
        ("sft", JUDGED),
        ("dpo", JUDGED),
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
        "model": None if changes is SCRATCH else chain.model("sft"),
        "reward": chain.model("reward") if changes in (ONLINE, JUDGED) else None,
    }
    whole = prepare(tmp_path / "whole", recipe, rows, config, **start_from)
    killed = prepare(tmp_path / "killed", recipe, rows, config, **start_from)
    succeed(whole, recipe)

    killed_after(killed, recipe, 12)
    newest = rundir.newest_checkpoint(killed)
    assert newest is not None
    torn = killed_in_a_save(killed, recipe, newest.step)
    whole_one = rundir.newest_checkpoint(killed)
    assert whole_one is not None
    assert whole_one.path != torn
    succeed(killed, recipe)
    assert "going on from step" in (killed / rundir.LOG).read_text()
    assert _model_sha256(killed) == _model_sha256(whole)
    assert _values(killed) == _values(whole)
    assert _result(killed).get("chosen") == _result(whole).get("chosen")


@pytest.mark.parametrize("grouped", [False, True])
def test_two_processes_killed_in_the_second_epoch_resume_to_the_bit(
    grouped: bool, tmp_path: Path
) -> None:
    """Nine steps are an epoch; the rest of the second one must be the rest of its own order."""
    config = {
        **SCRATCH,
        "max_steps": 18,
        "checkpoint_steps": 1,
        "per_device_batch_size": 4,
        "processes": 2,
        "learning_rate": 1e-3,
        "group_by_length": grouped,
    }
    whole = prepare(tmp_path / "whole", "sft", demonstrations(80), config)
    killed = prepare(tmp_path / "killed", "sft", demonstrations(80), config)
    succeed_in_two(whole, "sft")

    killed_after(killed, "sft", 11, env=CPU)
    newest = rundir.newest_checkpoint(killed)
    assert newest is not None
    assert 9 < newest.step < 17
    succeed_in_two(killed, "sft")
    assert f"going on from step {newest.step}" in (killed / rundir.LOG).read_text()
    assert _model_sha256(killed) == _model_sha256(whole)
    assert _values(killed) == _values(whole)


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


def _model_sha256(folder: Path) -> str:
    return str(_result(folder)["model"]["sha256"])


def _values(folder: Path) -> list[Any]:
    return [(row.step, row.values) for row in rundir.read_metrics_from(folder)[0]]
