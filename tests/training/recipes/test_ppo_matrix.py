"""PPO killed in mid-run, and PPO on two processes."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.recipes.conftest import Chain, succeed
from tests.training.recipes.faults import killed_after, killed_in_a_save
from tests.training.recipes.online import model_sha256, prepare_online, values_of
from tests.training.recipes.two_processes import CPU, succeed_in_two
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

    killed_after(killed, "ppo", 10)
    newest = rundir.newest_checkpoint(killed)
    assert newest is not None
    assert newest.step < STEPS
    torn = killed_in_a_save(killed, "ppo", newest.step)
    saved = rundir.newest_checkpoint(killed)
    assert saved is not None
    assert saved.path != torn
    succeed(killed, "ppo")
    assert f"going on from step {saved.step}" in (killed / rundir.LOG).read_text()
    assert model_sha256(killed) == model_sha256(whole)
    assert values_of(killed) == values_of(whole)
    assert rundir.read_rollouts(killed, 1000) == rundir.read_rollouts(whole, 1000)


def test_two_processes_take_the_steps_of_one(chain: Chain, tmp_path: Path) -> None:
    """Rounding differs between them, so the curves agree to a tolerance that grows with it."""
    config = {**EVERYTHING, "total_episodes": 32 * 5, "checkpoint_steps": 0, "warmup_ratio": 0.0}
    one = prepare_online(tmp_path / "one", chain, config)
    two = prepare_online(tmp_path / "two", chain, {**config, "processes": 2})
    succeed(one, "ppo")
    succeed_in_two(two, "ppo")
    assert rundir.read_json(one / rundir.RANKS / "rank-0.json")["world"] == 1
    for mine, other in zip(values_of(two), values_of(one), strict=True):
        assert mine == pytest.approx(other, rel=1e-2, abs=1e-3)


def test_two_killed_processes_resume_to_the_bit(chain: Chain, tmp_path: Path) -> None:
    config = {**EVERYTHING, "total_episodes": 32 * 16, "processes": 2}
    whole = prepare_online(tmp_path / "whole", chain, config)
    killed = prepare_online(tmp_path / "killed", chain, config)
    succeed_in_two(whole, "ppo")
    killed_after(killed, "ppo", 6, env=CPU)
    killed_in_a_save(killed, "ppo", 4, env=CPU)
    succeed_in_two(killed, "ppo")
    assert "going on from step" in (killed / rundir.LOG).read_text()
    assert model_sha256(killed) == model_sha256(whole)
    assert values_of(killed) == values_of(whole)
