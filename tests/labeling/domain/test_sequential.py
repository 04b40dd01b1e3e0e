"""Intervals that hold at all times: by hand, by how often they fail, and by how they narrow."""

from collections.abc import Iterator
from itertools import pairwise
from math import log, sqrt
from random import Random

import pytest

from labeling.domain.sequential import NOTHING, Reading, outcome_of, reading_of, readings


def capitals(values: list[float], mean: float, *, up: bool) -> Iterator[float]:
    """What a unit became, after each value, that was bet on the mean lying above (below) this."""
    worth, total, spread = 1.0, 0.0, 0.25
    for count, value in enumerate(values, start=1):
        # s²_(i-1) has the count before it plus one below the line, which is `count`
        bet = sqrt(2 * log(2 / 0.05) / (spread / count * count * log(1 + count)))
        room = mean if up else 1 - mean
        bet = min(bet, 0.5 / room) if room else bet
        worth *= 1 + (bet if up else -bet) * (value - mean)
        yield worth
        total += value
        spread += (value - (0.5 + total) / (count + 1)) ** 2


def capital(values: list[float], mean: float, *, up: bool) -> float:
    """What that unit has become after all values."""
    return list(capitals(values, mean, up=up))[-1]


def test_ten_wins_in_a_row_exclude_one_half_and_nine_do_not():
    # At 1/2 every bet is cut to 1, so that each win makes 1.5 of 1: 1.5^9 = 38.4 < 40 < 57.7.
    assert reading_of([1.0] * 9).low < 0.5
    assert reading_of([1.0] * 10).low >= 0.5
    assert reading_of([0.0] * 10).high <= 0.5
    assert capital([1.0] * 9, 0.5, up=True) == pytest.approx(1.5**9)


def test_the_first_win_by_hand():
    # b_1 = sqrt(2 log 40 / (1/4 log 2)) = 6.525; at m = 0.05 it is kept whole, since 0.5/0.05 = 10:
    # 1 + 6.525 * 0.95 = 7.2, far from 40. Nothing is excluded by one value.
    bet = sqrt(2 * log(40) / (0.25 * log(2)))
    assert bet == pytest.approx(6.525, abs=1e-3)
    assert capital([1.0], 0.05, up=True) == pytest.approx(1 + bet * 0.95)
    assert reading_of([1.0]) == Reading(1, 1.0, 0.0, 1.0)
    # Two wins: 7.2 * (1 + b_2 0.95), b_2 = sqrt(2 log 40 / ((1/4 + 1/16) log 3)) = 4.636 -> 38.9,
    # which excludes no 0.05, while at 0.04 it is 7.264 * 5.451 = 39.6 and at 0.03 40.3.
    low = reading_of([1.0, 1.0]).low
    assert capital([1.0, 1.0], low, up=True) >= 40 > capital([1.0, 1.0], low + 0.002, up=True)


def test_ends_are_where_a_bet_reaches_forty():
    random = Random(5)
    values = [random.choice([1.0, 1.0, 1.0, 0.5, 0.0]) for _ in range(80)]
    # Excluded once is excluded for good: each end is the furthest that it was at any time.
    lows = [k / 1000 for k in range(1000)]
    wanted = max(
        m for m in lows if any(capital(values[:n], m, up=True) >= 40 for n in (20, 40, 60, 80))
    )
    found = reading_of(values)
    assert found.low >= wanted
    assert capital(values, found.low + 0.05, up=True) < 40
    assert found.value == pytest.approx(sum(values) / 80)


def test_won_and_lost_mirror_each_other():
    values = [1.0, 0.5, 1.0, 1.0, 0.0, 1.0] * 9
    one, other = reading_of(values), reading_of([1 - value for value in values])
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low))


@pytest.mark.parametrize(("rate", "ties"), [(0.1, 0.0), (0.5, 0.0), (0.5, 0.6), (0.7, 0.2)])
def test_the_true_rate_is_excluded_at_any_time_5_times_in_100_at_most(rate: float, ties: float):
    """Every rate is a whole number of twentieths, so that nothing of it is hidden by rounding.

    A mean is excluded once it is an end of the interval: ends are one step beyond what is left.
    """
    random, excluded, runs, wins = Random(7), 0, 400, rate - ties / 2
    for _ in range(runs):
        values = [
            1.0 if die < wins else 0.5 if die < wins + ties else 0.0
            for die in (random.random() for _ in range(150))
        ]
        ends = [(one.low, one.high) for one in readings(values, steps=20)]
        most = max(max(capitals(values, rate, up=up)) for up in (True, False))
        assert any(not low < rate < high for low, high in ends) == (most >= 40)
        excluded += most >= 40
    assert excluded / runs <= 0.05 + 2 * sqrt(0.05 * 0.95 / runs)


def test_it_narrows_and_never_widens():
    random = Random(3)
    values = [float(random.random() < 0.65) for _ in range(600)]
    found = list(readings(values, steps=200))
    assert all(a.low <= b.low and b.high <= a.high for a, b in pairwise(found))
    widths = [found[at].high - found[at].low for at in (49, 149, 599)]
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < 0.18
    assert found[-1].low > 0.5


def test_ties_narrow_it_faster_than_wins_and_losses():
    ties, mixed = reading_of([0.5] * 200), reading_of([1.0, 0.0] * 100)
    assert ties.high - ties.low < (mixed.high - mixed.low) / 2


def test_contradicting_values_leave_one_mean():
    found = reading_of([1.0] * 60 + [0.0] * 400)
    assert found.low <= found.high


def test_what_is_decided():
    assert outcome_of(NOTHING) is None
    assert outcome_of(Reading(9, 0.6, 0.499, 0.7)) is None
    assert outcome_of(Reading(9, 0.6, 0.5, 0.7)) == "first"
    assert outcome_of(Reading(9, 0.4, 0.3, 0.5)) == "second"
    assert outcome_of(Reading(9, 0.5, 0.45, 0.54), indifference=0.05) == "alike"
    assert outcome_of(Reading(9, 0.5, 0.45, 0.56), indifference=0.05) is None
    assert outcome_of(Reading(9, 0.5, 0.45, 0.54)) is None


def test_a_value_outside_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        reading_of([1.5])
