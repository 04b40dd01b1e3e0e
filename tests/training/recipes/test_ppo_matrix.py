"""PPO killed in mid-run, and PPO on two processes."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.training.recipes.conftest import Chain, start, succeed
from tests.training.recipes.online import model_sha256, prepare_online, values_of
from training import rundir

pytestmark = [pytest.mark.recipe, pytest.mark.slow]
STEPS = 40
EVERYTHING = {
    "total_episodes": 32 * STEPS,
    "minibatches": 2,
    "inner_epochs": 2,
    "checkpoint_steps": 4,
    "ptx_coefficient": 0.5,
    "ema_decay": 0.9,
    "kl_target": 2.0,
    "kl_horizon": 500,
    "warmup_ratio": 0.1,
    "lr_schedule": "cosine",
    "learning_rate": 5e-4,
}


@pytest.mark.parametrize("changes", [{}, {"lora_r": 4, "share_value_trunk": True}])
def test_killed_run_resumes_to_the_bit(
    chain: Chain, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = EVERYTHING | changes
    whole = prepare_online(tmp_path / "whole", chain, config)
    killed = prepare_online(tmp_path / "killed", chain, config)
    succeed(whole, "ppo")

    def kill_in_the_middle(new: list[rundir.Metrics]) -> None:
        if new[-1].step >= 10:
            for child in psutil.Process().children(recursive=True):
                if str(killed) in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)

    outcome = start(killed, "ppo", on_metrics=kill_in_the_middle, poll_s=0.005)
    assert (outcome.status, outcome.signal) == ("failed", signal.SIGKILL)
    newest = rundir.newest_checkpoint(killed)
    assert newest is not None
    assert newest.step < STEPS
    torn = rundir.checkpoint_path(killed, newest.step + 4)
    torn.mkdir(exist_ok=True)
    (torn / "policy.safetensors").write_bytes(b"torn")
    succeed(killed, "ppo")
    assert f"going on from step {newest.step}" in (killed / rundir.LOG).read_text()
    assert model_sha256(killed) == model_sha256(whole)
    assert values_of(killed) == values_of(whole)
    assert rundir.read_rollouts(killed, 1000) == rundir.read_rollouts(whole, 1000)


def test_two_processes_take_the_steps_of_one(chain: Chain, tmp_path: Path) -> None:
    """Rounding differs between them, so the curves agree to a tolerance that grows with it."""
    config = {**EVERYTHING, "total_episodes": 32 * 5, "checkpoint_steps": 0, "warmup_ratio": 0.0}
    one = prepare_online(tmp_path / "one", chain, config)
    two = prepare_online(tmp_path / "two", chain, {**config, "processes": 2})
    succeed(one, "ppo")
    outcome = start(two, "ppo", env={"ACCELERATE_USE_CPU": "1"})
    assert outcome.status == "succeeded", outcome.log_tail
    ranks = [rundir.read_json(two / rundir.RANKS / f"rank-{rank}.json") for rank in (0, 1)]
    assert [(said["rank"], said["world"]) for said in ranks] == [(0, 2), (1, 2)]
    assert ranks[0]["data"] != ranks[1]["data"]
    assert ranks[0]["weights"] == ranks[1]["weights"]
    assert rundir.read_json(one / rundir.RANKS / "rank-0.json")["world"] == 1
    for mine, other in zip(values_of(two), values_of(one), strict=True):
        assert mine == pytest.approx(other, rel=1e-2, abs=1e-3)
