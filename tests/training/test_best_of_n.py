"""Best of n: the estimator and its KL, against every subset counted out by hand."""

from itertools import combinations
from math import log
from random import Random
from statistics import fmean

import pytest

from training.best_of_n import best_of, best_of_curve, best_of_kl, best_of_weights


def test_best_of_is_the_mean_over_all_subsets():
    # of 1, 2, 4: the best of two is 2 once and 4 twice
    assert best_of([4.0, 1.0, 2.0], 2) == pytest.approx(10 / 3)
    rng = Random(1)
    scores = [rng.gauss(0, 1) for _ in range(7)]
    for n in range(1, 8):
        every = fmean(max(subset) for subset in combinations(scores, n))
        assert best_of(scores, n) == pytest.approx(every)


def test_best_of_averages_other_values_of_the_chosen():
    # the proxy likes the second best, gold the first: pairs choose 1, 1 and 2
    assert best_of([0.0, 2.0, 1.0], 2, [5.0, -1.0, 7.0]) == pytest.approx((-1 - 1 + 7) / 3)


def test_replies_of_one_score_share_their_chances():
    assert best_of([1.0, 1.0], 2, [0.0, 10.0]) == 5.0
    assert best_of([1.0, 1.0], 2, [10.0, 0.0]) == 5.0


@pytest.mark.parametrize("drawn", [1, 5, 12])
def test_weights_sum_to_one(drawn: int):
    for n in range(1, drawn + 1):
        assert sum(best_of_weights(n, drawn)) == pytest.approx(1)


def test_best_of_kl_is_that_of_the_papers():
    assert best_of_kl(1) == 0
    assert best_of_kl(2) == pytest.approx(log(2) - 0.5)
    # Learning to summarize quotes 8 -> 1.2, 64 -> 3.2, 512 -> 5.2 nats
    assert [round(best_of_kl(n), 1) for n in (8, 64, 512)] == [1.2, 3.2, 5.2]


def test_curve_is_the_mean_over_prompts_up_to_the_fewest_replies():
    curve = best_of_curve({"a": [1.0, 3.0], "b": [4.0, 8.0, 6.0]})
    assert [(n, found.value) for n, found in curve] == [(1, 4.0), (2, pytest.approx(31 / 6))]
    # per prompt 2 and 6: standard deviation sqrt(8), standard error 2
    assert curve[0][1].high - 4.0 == pytest.approx(4.0 - curve[0][1].low)
    assert curve[0][1].high > 4.0 + 1.96 * 2
