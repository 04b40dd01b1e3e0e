"""The arithmetic of the comparison of methods: pure, tested against numbers worked by hand."""

from collections.abc import Sequence
from statistics import stdev

from training import best_of_n

Scored = Sequence[tuple[float, float]]
"""Replies to one prompt as (the reward model's score, what is measured of it)."""


def best_of(replies: Scored, n: int) -> float:
    """Return the expected measure of the reply that the reward model likes best among n.

    Raises ValueError where n is not between 1 and N.
    """
    if not 1 <= n <= len(replies):
        raise ValueError(f"{n} of {len(replies)} replies can't be drawn")
    return best_of_n.best_of([score for score, _ in replies], n, [value for _, value in replies])


def kept_share(before: float, without: float, kept: float) -> float | None:
    """Return how much of the loss's rise is spared: (without - kept) / (without - before).

    None where the loss did not rise, so that there is nothing to spare.
    """
    rise = without - before
    return (without - kept) / rise if rise > 0 else None


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation over seeds; 0 for a single one."""
    return stdev(values) if len(values) > 1 else 0.0
