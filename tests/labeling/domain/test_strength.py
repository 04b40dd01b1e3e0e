"""Bradley-Terry strengths, against numbers worked by hand and against models that made the data."""

import math
import random

import pytest

from labeling.domain.strength import PRIOR_SD, Outcome, groups_of, inverted, sigma, solve, strengths


def bouts(first: int, second: int, won: int, of: int, start: int = 0) -> list[Outcome]:
    """Return `of` pairs, each a comparison of its own, the first `won` of them won by `first`."""
    return [Outcome(first, second, float(n < won), (start, n)) for n in range(of)]


def test_two_models_stand_where_the_slope_is_nothing() -> None:
    """At the top n(w - sigma(2s)) = s / PRIOR_SD², s being the better one's strength."""
    found = strengths(bouts(0, 1, 30, 40))
    s = found[0].value
    assert found[1].value == pytest.approx(-s)
    assert 40 * (0.75 - sigma(2 * s)) == pytest.approx(s / PRIOR_SD**2, abs=1e-9)


def test_many_pairs_give_the_log_odds_and_their_known_variance() -> None:
    """Of 4,000 pairs 3,000 are won: d = log 3, and var d = 1/(4000 x 3/4 x 1/4) = 1/750.

    Each strength is half of d, so its deviation is half of d's.
    """
    found = strengths(bouts(0, 1, 3000, 4000))[0]
    assert found.value == pytest.approx(math.log(3) / 2, rel=1e-3)
    reach = 1.959964 * math.sqrt(1 / 750) / 2
    assert found.high - found.value == pytest.approx(reach, rel=1e-3)
    value, low, high = found.win_rate
    assert (value, low, high) == (sigma(found.value), sigma(found.low), sigma(found.high))


def test_ties_are_half_a_win_for_each() -> None:
    found = strengths([Outcome(0, 1, 0.5, n) for n in range(10)])
    assert found[0].value == pytest.approx(0, abs=1e-9)
    halves = [Outcome(0, 1, 1.0, n, weight=0.5) for n in range(10)]
    halves += [Outcome(0, 1, 0.0, n, weight=0.5) for n in range(10)]
    assert strengths(halves)[0].value == pytest.approx(found[0].value, abs=1e-9)


def test_pairs_of_one_comparison_count_together() -> None:
    """Ten equal pairs in each comparison tell no more than one: the interval stays as wide."""
    alone = bouts(0, 1, 60, 100)
    together = [one for one in alone for _ in range(10)]
    narrow, wide = (strengths(rows)[0] for rows in (bouts(0, 1, 600, 1000), together))
    reach = strengths(alone)[0]
    assert wide.high - wide.low == pytest.approx(reach.high - reach.low, rel=0.02)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_whoever_wins_all_stays_finite_and_unsure() -> None:
    found = strengths(bouts(0, 1, 5, 5))[0]
    assert 0 < found.value < 2 * PRIOR_SD
    assert found.low < found.value < found.high
    assert found.high - found.low > 1


def test_models_that_nothing_compares_are_told_apart() -> None:
    rows = [*bouts(0, 1, 3, 4), *bouts(1, 2, 2, 4), *bouts(3, 4, 1, 4)]
    assert groups_of(rows) == [[0, 1, 2], [3, 4]]
    found = strengths(rows)
    assert sum(found[model].value for model in (0, 1, 2)) == pytest.approx(0, abs=1e-9)
    assert found[3] == strengths(bouts(0, 1, 1, 4))[0]
    assert strengths([]) == {}


def test_intervals_hold_the_truth_and_length_is_taken_out() -> None:
    """Ten models, of which the last writes long; people like length. 40 worlds, 400 intervals."""
    held = longest_plain = longest_equal = 0.0
    for seed in range(40):
        chance = random.Random(seed)
        truth = [chance.gauss(0, 1) for _ in range(10)]
        rows = []
        for comparison in range(150):
            models = chance.sample(range(10), 4)
            length = {m: chance.uniform(1, 2) * (3 if m == 9 else 1) for m in models}
            for at, one in enumerate(models):
                for other in models[at + 1 :]:
                    longer = (length[one] - length[other]) / (length[one] + length[other])
                    wins = chance.random() < sigma(truth[one] - truth[other] + 2 * longer)
                    rows.append(Outcome(one, other, float(wins), comparison, longer))
        mean = sum(truth) / len(truth)
        plain, equal = strengths(rows), strengths(rows, at_equal_length=True)
        held += sum(equal[m].low <= truth[m] - mean <= equal[m].high for m in range(10))
        longest_plain += (plain[9].value - truth[9] + mean) / 40
        longest_equal += (equal[9].value - truth[9] + mean) / 40
    assert 0.91 <= held / 400 <= 0.99
    assert longest_plain > 0.5
    assert abs(longest_equal) < 0.2


def test_solving_and_inverting() -> None:
    """[[4, 2], [2, 3]] has determinant 8, so its inverse is [[3, -2], [-2, 4]] / 8."""
    assert solve([[4.0, 2.0], [2.0, 3.0]], [10.0, 9.0]) == pytest.approx([1.5, 2.0])
    for row, wanted in zip(inverted([[4.0, 2.0], [2.0, 3.0]]), [[3, -2], [-2, 4]], strict=True):
        assert row == pytest.approx([value / 8 for value in wanted])
