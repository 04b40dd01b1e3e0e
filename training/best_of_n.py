"""Best of n: what the best of n replies to a prompt is worth, from N that were drawn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb, log

from training.estimates import Estimate, clustered_mean


def best_of_kl(n: int) -> float:
    """KL of the best of n draws to one draw, in nats: `log n - (n - 1) / n`.

    The figure of Learning to summarize (2009.01325) and of the scaling laws for over-optimization
    (2210.10760). It is exact where no two draws tie in reward and an upper bound else (2401.01879).
    """
    return log(n) - (n - 1) / n


def best_of_weights(n: int, drawn: int) -> list[float]:
    """How likely each of `drawn` replies, worst first, is the best of n of them.

    The i-th, from 1, is the best of a subset of n with probability C(i - 1, n - 1) / C(drawn, n).
    Averaging over all subsets is the unbiased estimator with the least variance; taking the best
    of the first n would throw the other subsets away. n is from 1 to `drawn`.
    """
    subsets = comb(drawn, n)
    return [comb(place, n - 1) / subsets for place in range(drawn)]


def best_of(scores: Sequence[float], n: int, values: Sequence[float] | None = None) -> float:
    """The mean value of the best of n of these replies to one prompt, best by their scores.

    `values`, else the scores themselves, are what is averaged: the hidden score of the reply that a
    reward model likes best is found with it. Replies of one score share their chances evenly.
    """
    order = sorted(range(len(scores)), key=scores.__getitem__)
    weights = _shared(best_of_weights(n, len(scores)), [scores[at] for at in order])
    worth = scores if values is None else values
    return sum(weight * worth[at] for weight, at in zip(weights, order, strict=True))


def _shared(weights: list[float], ordered: Sequence[float]) -> list[float]:
    """The weights, each the mean over those of its score."""
    found: dict[float, list[float]] = {}
    for weight, score in zip(weights, ordered, strict=True):
        found.setdefault(score, []).append(weight)
    return [sum(found[score]) / len(found[score]) for score in ordered]


def best_of_curve(
    scores: Mapping[str, Sequence[float]], values: Mapping[str, Sequence[float]] | None = None
) -> list[tuple[int, Estimate]]:
    """The mean over prompts of the best of n, for n from 1 to the number of replies to each.

    Where prompts have different numbers of replies, to the least of them. Raises ValueError for
    fewer than two prompts.
    """
    least = min(map(len, scores.values()))
    return [
        (
            n,
            clustered_mean(
                (name, best_of(row, n, values[name] if values else None))
                for name, row in scores.items()
            ),
        )
        for n in range(1, least + 1)
    ]
