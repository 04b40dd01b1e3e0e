"""The arithmetic of the comparison of methods, against numbers worked by hand."""

import math
import random
from itertools import combinations
from statistics import fmean

import pytest

from bench.methods_figures import best_of, kept_share, spread
from training.best_of_n import best_of_kl

# Scored 3, 1, 2: in rising order 1, 2, 3, with gold 10, 40, 30.
REPLIES = [(3.0, 30.0), (1.0, 10.0), (2.0, 40.0)]


@pytest.mark.parametrize(
    ("n", "expected"),
    # n = 2: the pairs (1,2) and (1,3), (2,3) choose 40, 30 and 30.
    [(1, 80 / 3), (2, 100 / 3), (3, 30.0)],
)
def test_best_of_by_hand(n: int, expected: float):
    assert best_of(REPLIES, n) == pytest.approx(expected)


def test_best_of_is_the_mean_over_all_subsets():
    rng = random.Random(5)
    replies = [(rng.random(), rng.random()) for _ in range(9)]
    for n in range(1, 10):
        drawn = [max(subset)[1] for subset in combinations(replies, n)]
        assert best_of(replies, n) == pytest.approx(fmean(drawn))


@pytest.mark.parametrize("n", [0, 4])
def test_best_of_more_or_fewer_than_there_are_is_refused(n: int):
    with pytest.raises(ValueError, match=f"{n} of 3"):
        best_of(REPLIES, n)


def test_best_of_kl():
    """log 2 - 1/2 = 0.1931 and log 16 - 15/16 = 1.8351."""
    assert best_of_kl(1) == 0
    assert best_of_kl(2) == pytest.approx(math.log(2) - 0.5)
    assert best_of_kl(16) == pytest.approx(1.8351, abs=1e-4)


@pytest.mark.parametrize(
    ("before", "without", "kept", "expected"),
    [(2.0, 4.0, 3.0, 0.5), (2.0, 4.0, 4.5, -0.25), (2.0, 4.0, 1.0, 1.5), (2.0, 1.9, 1.0, None)],
)
def test_kept_share(before: float, without: float, kept: float, expected: float | None):
    assert kept_share(before, without, kept) == expected


def test_spread_of_one_seed_is_nothing():
    assert spread([0.3]) == 0
    assert spread([1.0, 3.0]) == pytest.approx(2**0.5)
