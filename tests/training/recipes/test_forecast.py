"""The forecast of memory against what real runs hold, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.estimate import BASES, GOAL, RUNS, demonstrations, made, one
from tests.training.machines import machine
from training.configs import SFTConfig, parse_config
from training.forecast import forecast, shape_from_scratch
from training.preview import preview
from training.workload import CENTRED_ON

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def runtime() -> int:
    """What the libraries hold here: another build of torch holds another amount."""
    code = "from training.recipes.calibrate import runtime_bytes; print(runtime_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def test_memory_of_a_small_model_from_scratch(tmp_path: Path, runtime: int) -> None:
    rows = demonstrations(120)
    changes = {**BASES["small"], "per_device_batch_size": 32, "max_steps": 3}
    config = parse_config("sft", changes)
    assert isinstance(config, SFTConfig)
    seen = preview(rows, pairs=False, model=None, max_length=256, new_words=config.vocab_size)
    assert seen.texts is not None
    shape = shape_from_scratch(config, seen.vocabulary)
    said = forecast(config, seen.texts, shape, None, [machine(runtime_bytes=runtime)])
    taken = made(tmp_path / "run", "sft", rows, changes)[1]
    assert said.on[0].takes_bytes == pytest.approx(taken.peak_bytes, rel=GOAL)
    # What is said beyond the libraries is most of what is held beyond them.
    beyond = taken.peak_bytes - runtime
    assert said.memory.total - runtime == pytest.approx(beyond, rel=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("size", list(RUNS))
def test_memory_within_a_quarter(tmp_path: Path, runtime: int, size: str) -> None:
    """SFT of 0.7 million weights, a reward model of 10 million."""
    found = one(tmp_path, size, machine(runtime_bytes=runtime))
    assert found["memory_ratio"] == pytest.approx(1, abs=GOAL)


def test_what_a_reward_model_is_centred_on_is_counted_as_the_recipe_takes_it() -> None:
    from training.recipes.reward import MOST_REFERENCE

    assert CENTRED_ON == MOST_REFERENCE
