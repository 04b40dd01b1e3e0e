"""A win rate at equal length: what is left of it where neither reply is the longer one. Pure.

Learning to summarize (2009.01325, appendix F) regresses preferences on the logarithm of the ratio
of lengths, and reads the win rate where that is 0. It takes out what is linear in it on the logit's
scale, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from labeling.domain.strength import sigma
from training.estimates import Estimate, t95

_STEPS, _CONVERGED = 50, 1e-10
# Beyond this a logit stands for "always": the likelihood has no maximum, and no figure is given.
_ALWAYS = 15.0


@dataclass(frozen=True, kw_only=True)
class Match:
    """One pair of replies: its prompt, how far the first won (0 to 1), log ratio of lengths."""

    cluster: str
    won: float
    longer: float


def length_controlled(matches: Sequence[Match]) -> Estimate | None:
    """`sigma(a)` of the logistic regression `P(won) = sigma(a + b longer)`, with its interval.

    The interval of `a` is by the sandwich estimator over prompts, with t of their number less one.
    None for fewer than three prompts, where lengths never differ, or where length alone or nothing
    at all decides, so that no finite `a` and `b` are the likeliest.
    """
    clusters = {match.cluster for match in matches}
    if len(clusters) < 3:
        return None
    found = _fit(matches)
    if found is None:
        return None
    intercept, slope, inverse = found
    variance = _sandwich(matches, intercept, slope, inverse)
    reach = t95(len(clusters) - 1) * sqrt(variance)
    return Estimate(
        value=sigma(intercept), low=sigma(intercept - reach), high=sigma(intercept + reach)
    )


_Matrix = tuple[float, float, float]  # symmetric, 2 x 2: both of the diagonal around the third


def _fit(matches: Sequence[Match]) -> tuple[float, float, _Matrix] | None:
    """Intercept, slope and the inverse information, by Newton's method; None without a maximum."""
    intercept = slope = 0.0
    for _ in range(_STEPS):
        first, second, information = _derivatives(matches, intercept, slope)
        inverse = _inverse(information)
        if inverse is None or max(abs(intercept), abs(slope)) > _ALWAYS:
            return None
        up = inverse[0] * first + inverse[1] * second
        across = inverse[1] * first + inverse[2] * second
        intercept, slope = intercept + up, slope + across
        if max(abs(up), abs(across)) < _CONVERGED:
            return intercept, slope, inverse
    return None


def _derivatives(
    matches: Iterable[Match], intercept: float, slope: float
) -> tuple[float, float, _Matrix]:
    """The gradient of the log-likelihood, and minus its second derivatives."""
    first = second = top = middle = bottom = 0.0
    for match in matches:
        chance = sigma(intercept + slope * match.longer)
        left, weight = match.won - chance, chance * (1 - chance)
        first, second = first + left, second + left * match.longer
        top, middle = top + weight, middle + weight * match.longer
        bottom += weight * match.longer**2
    return first, second, (top, middle, bottom)


def _inverse(matrix: _Matrix) -> _Matrix | None:
    top, middle, bottom = matrix
    determinant = top * bottom - middle * middle
    if determinant <= 1e-12:
        return None
    return bottom / determinant, -middle / determinant, top / determinant


def _sandwich(matches: Sequence[Match], intercept: float, slope: float, inverse: _Matrix) -> float:
    """The variance of the intercept where matches of one prompt go together."""
    scores: dict[str, list[float]] = {}
    for match in matches:
        left = match.won - sigma(intercept + slope * match.longer)
        score = scores.setdefault(match.cluster, [0.0, 0.0])
        score[0] += left
        score[1] += left * match.longer
    moved = [inverse[0] * first + inverse[1] * second for first, second in scores.values()]
    return len(moved) / (len(moved) - 1) * sum(one * one for one in moved)
