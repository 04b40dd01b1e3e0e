"""Gold at matched KL: two trainers' curves of gold over KL, read where both have been.

A curve is what a run's kept policies reply to prompts that nobody learned from. A trainer that
goes further for the same episodes has another KL at its end, so ends can't be compared as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, stdev


@dataclass(frozen=True, kw_only=True)
class Point:
    """A policy: its sampled KL to the reference, in nats a reply, and its mean gold."""

    kl: float
    gold: float


Curve = Sequence[Point]


def matched_kl(one: Curve, other: Curve) -> float:
    """The largest KL that both curves reach."""
    return min(max(point.kl for point in curve) for curve in (one, other))


def gold_at(curve: Curve, kl: float) -> float:
    """Gold at a KL, on the straight line between the two points beside it.

    Raises ValueError for a KL below the curve's first point or above its last one.
    """
    points = sorted(curve, key=lambda point: point.kl)
    for left, right in pairwise(points):
        if left.kl <= kl <= right.kl:
            share = (kl - left.kl) / (right.kl - left.kl) if right.kl > left.kl else 0.0
            return left.gold + share * (right.gold - left.gold)
    raise ValueError(f"a KL of {kl} is not between {points[0].kl} and {points[-1].kl}")


def difference(own: Curve, baseline: Curve) -> float:
    """How much more gold we have than the baseline, at the largest KL that both reach."""
    kl = matched_kl(own, baseline)
    return gold_at(own, kl) - gold_at(baseline, kl)


def in_standard_errors(differences: Sequence[float]) -> float:
    """The mean over seeds, in units of its standard error `s / sqrt(n)`; two seeds at least."""
    return fmean(differences) / (stdev(differences) / sqrt(len(differences)))
