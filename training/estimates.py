"""Means over clusters with their 95 % intervals: pure, for figures that come many to a prompt."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from labeling.domain.agreement import Z95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean, and the interval in which the true one lies 95 times in 100."""

    value: float
    low: float
    high: float


def estimate_of(told: Mapping[str, Any]) -> Estimate:
    """The estimate that a report holds as `{"value", "low", "high"}`."""
    return Estimate(value=told["value"], low=told["low"], high=told["high"])


def t95(freedom: int) -> float:
    """The 97.5 % point of Student's t with that many degrees of freedom, one or more.

    The normal's point z and four terms of Cornish and Fisher's expansion in 1/freedom (Abramowitz
    and Stegun, 26.7.5): right to 0.2 % from 3 degrees on, 1 % too small at 2 and 11 % at 1.
    """
    z = Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))


def clustered_ratio(parts: Iterable[tuple[Hashable, float, float]]) -> Estimate:
    """The mean of values that come in clusters: of each part its cluster, its sum, its number.

    What was drawn for one prompt goes together, so it is the prompts that were drawn. With a_c the
    sum and m_c the number in cluster c, n clusters: mean = sum(a) / sum(m), and its variance is
    n/(n - 1) sum((a_c - mean m_c)^2) / sum(m)^2 (the ratio estimator; Cochran, "Sampling
    Techniques", 6.3); the interval takes t with n - 1 degrees of freedom. Raises ValueError for
    fewer than two clusters, which tell nothing of how far clusters differ.
    """
    sums: dict[Hashable, list[float]] = {}
    for cluster, total, number in parts:
        both = sums.setdefault(cluster, [0.0, 0.0])
        both[0] += total
        both[1] += number
    count = len(sums)
    if count < 2:
        raise ValueError("An interval needs two clusters or more.")
    size = sum(number for _, number in sums.values())
    mean = sum(total for total, _ in sums.values()) / size
    squares = sum((total - mean * number) ** 2 for total, number in sums.values())
    reach = t95(count - 1) * sqrt(count / (count - 1) * squares) / size
    return Estimate(value=mean, low=mean - reach, high=mean + reach)


def clustered_mean(pairs: Iterable[tuple[Hashable, float]]) -> Estimate:
    """The mean of values of which each is given with its cluster; see `clustered_ratio`."""
    return clustered_ratio((cluster, value, 1.0) for cluster, value in pairs)
