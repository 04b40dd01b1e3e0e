"""What a win rate is, said after every comparison: intervals that hold however often one looks.

An interval for a fixed number of draws is wrong for whoever stops as soon as it pleases. Here the
values X_1, X_2, ... lie in [0, 1] (1 won, 0 lost, one half a tie) with the same unknown mean, and
the interval after each of them is one of a sequence that holds the mean at all times together with
a probability of at least 1 - alpha: Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting" (2010.09686), theorem 3, the hedged capital process. Somebody bets a unit on
the mean lying above m, and another one that it lies below:

    up_t(m)   = prod_i [1 + l_i(m) (X_i - m)],        l_i(m)  = min(b_i, 1/(2 m)),
    down_t(m) = prod_i [1 - l'_i(m) (X_i - m)],       l'_i(m) = min(b_i, 1/(2 (1 - m))),
    b_i       = sqrt(2 log(2/alpha) / (s²_(i-1) i log(1 + i))),
    s²_i      = (1/4 + sum_(j<=i) (X_j - mean_j)²) / (i + 1),
    mean_i    = (1/2 + sum_(j<=i) X_j) / (i + 1).

If m is the mean, half of each is a game that nobody can win, so by Ville's inequality neither of
them ever reaches 2/alpha but with a probability of alpha. What has reached it is no mean: up falls
with m and down rises, so what is left is an interval; what was excluded once stays excluded.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log, log1p, sqrt
from typing import Final, Literal

ALPHA: Final = 0.05
STEPS: Final = 1000  # means are told apart in thousandths
EVEN: Final = 0.5
_BOLDEST: Final = 0.5  # of what a bet may stake without risking ruin

Outcome = Literal["first", "second", "alike"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known after `count` values: their mean, and an interval that holds at all times."""

    count: int
    value: float
    low: float
    high: float


NOTHING: Final = Reading(0, EVEN, 0.0, 1.0)


def readings(
    values: Iterable[float], *, alpha: float = ALPHA, steps: int = STEPS
) -> Iterator[Reading]:
    """Yield what is known after each value; ends are rounded outwards to 1/`steps`.

    The cost of a value is that of as many bets as means are left. Raises ValueError for a value
    outside [0, 1].
    """
    reached, stake = log(2 / alpha), 2 * log(2 / alpha)
    up, down = [0.0] * (steps + 1), [0.0] * (steps + 1)
    first, last = 0, steps
    total, squares = 0.0, 0.25
    for count, value in enumerate(values, start=1):
        if not 0 <= value <= 1:
            raise ValueError(f"{value} does not lie between 0 and 1.")
        bet = sqrt(stake / (squares * log(1 + count)))  # squares is i s² of the values before
        for place in range(first, last + 1):
            mean = place / steps
            left = value - mean
            up[place] += log1p(_staked(bet, mean) * left)
            down[place] += log1p(-_staked(bet, 1 - mean) * left)
        # One mean is always left, even where the values contradict every one of them.
        while first < last and up[first] >= reached:
            first += 1
        while first < last and down[last] >= reached:
            last -= 1
        total += value
        squares += (value - (EVEN + total) / (count + 1)) ** 2
        yield Reading(count, total / count, max(0, first - 1) / steps, min(steps, last + 1) / steps)


def _staked(bet: float, room: float) -> float:
    """Return the bet, cut so that a loss leaves half of what was there."""
    return bet if bet * room <= _BOLDEST else _BOLDEST / room


def reading_of(values: Iterable[float], *, alpha: float = ALPHA) -> Reading:
    """Return what is known after all values; NOTHING before the first."""
    latest = deque(readings(values, alpha=alpha), maxlen=1)
    return latest[0] if latest else NOTHING


def outcome_of(reading: Reading, *, indifference: float = 0.0) -> Outcome | None:
    """Return what a reading decides: one of the two is better, or they are alike; None: nothing.

    They are alike where the whole interval lies within `indifference` of one half.

    >>> outcome_of(Reading(10, 1.0, 0.5, 1.0))
    'first'
    >>> outcome_of(Reading(900, 0.5, 0.46, 0.54), indifference=0.05)
    'alike'
    """
    if reading.low >= EVEN:
        return "first"
    if reading.high <= EVEN:
        return "second"
    near = EVEN - indifference <= reading.low and reading.high <= EVEN + indifference
    return "alike" if near else None
