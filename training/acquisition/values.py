"""How much the answer to one pair is worth, from the scores of an ensemble's members.

A member m gives candidate a the score r_m(a) and says by Bradley-Terry that a is preferred to b
with probability p_m = sigma(r_m(a) - r_m(b)). Scores are lists, one number a member; values compare
only with each other. Nothing here knows the web framework or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log
from statistics import fmean

Scores = Sequence[float]
Value = Callable[[Scores, Scores], float]


def sigmoid(x: float) -> float:
    """Return 1 / (1 + e^-x), of any x without an overflow."""
    if x >= 0:
        return 1 / (1 + exp(-x))
    grown = exp(x)
    return grown / (1 + grown)


def entropy(p: float) -> float:
    """Return the entropy of a yes with probability p, in nats: -p log p - (1-p) log (1-p)."""
    return -sum(q * log(q) for q in (p, 1 - p) if q > 0)


def margin(a: Scores, b: Scores) -> float:
    """Return -|mean_m r_m(a) - r_m(b)|: most for the pair that the mean puts closest together.

    Uncertainty sampling (Lewis & Gale, 1994) for pairs. It asks also what is truly a tie, and needs
    no ensemble.

    >>> margin([1.0, 2.0], [0.0, 1.0])
    -1.0
    """
    return -abs(fmean(a) - fmean(b))


def disagreement(a: Scores, b: Scores) -> float:
    """Return H(mean_m p_m) - mean_m H(p_m), in nats: what the answer tells of the members.

    BALD (Houlsby et al. 2011, 1112.5745, eq. 2). A tie by all members is worth nothing, two
    members that are sure of opposite answers log 2.
    """
    said = [sigmoid(x - y) for x, y in zip(a, b, strict=True)]
    return entropy(fmean(said)) - fmean(map(entropy, said))
