"""What a recipe says of its memory."""

import subprocess
import sys

import psutil
import pytest

from training.recipes.footprint import peak_memory_bytes

pytestmark = pytest.mark.recipe
MB = 1024**2

HOLD = """
from training.recipes.footprint import peak_memory_bytes
before = peak_memory_bytes()
held = bytearray(b"x") * 200_000_000
del held
print(before, peak_memory_bytes())
"""


def test_the_peak_is_at_least_what_is_held_now() -> None:
    assert peak_memory_bytes() >= psutil.Process().memory_info().rss - 8 * MB


def test_the_peak_stays_when_memory_is_given_back_and_is_the_programs_own() -> None:
    """The child starts from a parent that holds more than it ever does."""
    ballast = bytearray(b"x") * (1500 * MB)
    done = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert len(ballast) > before
    assert after - before == pytest.approx(200_000_000, rel=0.1)
