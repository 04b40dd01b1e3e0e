"""What a reward model is worth on comparisons it never saw: pure figures from scores and ranks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from statistics import fmean, pstdev
from typing import Any

from labeling.domain.agreement import Tally
from labeling.domain.strength import sigma

BINS = 10
ALIKE = 0.1
"""Two lengths are alike where they differ by no more than this part of the longer."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A judged comparison with the model's scores; `ranks` is 0 for the best, lengths in tokens."""

    scores: Sequence[float]
    ranks: Sequence[int]
    lengths: Sequence[int]
    annotator: str


@dataclass(frozen=True, kw_only=True)
class HeldOutPair:
    """A strict pair: by how much the better one's score is higher, and what it is like."""

    comparison: int
    difference: float
    gap: int
    annotator: str
    longer: str


def pairs_of(comparisons: Iterable[Scored]) -> list[HeldOutPair]:
    """All strict pairs of the comparisons, the better reply first."""
    return [
        HeldOutPair(
            comparison=number,
            difference=one.scores[better] - one.scores[worse],
            gap=one.ranks[worse] - one.ranks[better],
            annotator=one.annotator,
            longer=_longer(one.lengths[better], one.lengths[worse]),
        )
        for number, one in enumerate(comparisons)
        for better, worse in permutations(range(len(one.ranks)), 2)
        if one.ranks[better] < one.ranks[worse]
    ]


def _longer(better: int, worse: int) -> str:
    if abs(better - worse) <= ALIKE * max(better, worse):
        return "alike"
    return "better_longer" if better > worse else "better_shorter"


def accuracy(pairs: Sequence[HeldOutPair]) -> dict[str, float]:
    """Share of pairs put right, with its 95 % interval; equal scores count half.

    The interval knows that pairs of one comparison go together (`Tally`). Raises ValueError
    without a pair.
    """
    won: dict[int, float] = defaultdict(float)
    counts: dict[int, int] = defaultdict(int)
    for pair in pairs:
        won[pair.comparison] += 1.0 if pair.difference > 0 else 0.5 * (pair.difference == 0)
        counts[pair.comparison] += 1
    tally = Tally()
    for comparison, count in counts.items():
        tally.add(won[comparison], count)
    share = tally.share()
    if share is None:
        raise ValueError("There is no pair to put right or wrong.")
    return {"accuracy": share.value, "low": share.low, "high": share.high, "pairs": share.pairs}


def split_by(
    pairs: Iterable[HeldOutPair], key: Callable[[HeldOutPair], str]
) -> dict[str, dict[str, float]]:
    """The accuracy of each kind of pair, by the kind's name."""
    kinds: dict[str, list[HeldOutPair]] = defaultdict(list)
    for pair in pairs:
        kinds[key(pair)].append(pair)
    return {kind: accuracy(kinds[kind]) for kind in sorted(kinds)}


def calibration(pairs: Sequence[HeldOutPair]) -> dict[str, Any]:
    """The reliability diagram and the expected calibration error (1706.04599, eq. 3).

    The model says of each pair that the higher score wins with probability sigma(|d|), from 0.5 to
    1; ten bins of equal width. `ece` is the mean distance of what it says from how often it is so.
    """
    bins: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for pair in pairs:
        said = sigma(abs(pair.difference))
        right = 1.0 if pair.difference > 0 else 0.5 * (pair.difference == 0)
        bins[min(int((said - 0.5) * 2 * BINS), BINS - 1)].append((said, right))
    rows = [
        {
            "said": sum(said for said, _ in held) / len(held),
            "right": sum(right for _, right in held) / len(held),
            "pairs": len(held),
        }
        for held in bins
        if held
    ]
    error = sum(row["pairs"] * abs(row["said"] - row["right"]) for row in rows) / len(pairs)
    return {"ece": error, "bins": rows}


def log_loss(pairs: Sequence[HeldOutPair]) -> float:
    """The mean of -log sigma(d), which rises before accuracy falls when a model is overfit."""
    return sum(math.log1p(math.exp(-abs(p.difference))) + max(-p.difference, 0) for p in pairs) / (
        len(pairs)
    )


def length_correlation(comparisons: Iterable[Scored]) -> dict[str, float | None]:
    """How goodness goes with length, within comparisons: by the model, and by the people.

    Spearman's: both as ranks within their comparison, taken from the comparison's mean, so that
    neither a long prompt nor a strict annotator counts. None where nothing varies.
    """
    model: list[tuple[float, float]] = []
    people: list[tuple[float, float]] = []
    for one in comparisons:
        lengths = _centred(_ranked(one.lengths))
        model += zip(_centred(_ranked(one.scores)), lengths, strict=True)
        people += zip(_centred(_ranked([-rank for rank in one.ranks])), lengths, strict=True)
    return {"model": _correlation(model), "people": _correlation(people)}


def _ranked(values: Sequence[float]) -> list[float]:
    """Ranks from 0, equal values sharing the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def _centred(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Of values whose means are 0."""
    first = sum(a * a for a, _ in pairs)
    second = sum(b * b for _, b in pairs)
    if not first or not second:
        return None
    return sum(a * b for a, b in pairs) / math.sqrt(first * second)


def report_of(comparisons: Sequence[Scored]) -> dict[str, Any] | None:
    """Everything that is told of a split; None where no pair of it is strict."""
    pairs = pairs_of(comparisons)
    if not pairs:
        return None
    return {
        **accuracy(pairs),
        "comparisons": len(comparisons),
        "margin": sum(pair.difference for pair in pairs) / len(pairs),
        "log_loss": log_loss(pairs),
        "by_gap": split_by(pairs, lambda pair: str(pair.gap)),
        "by_annotator": split_by(pairs, lambda pair: pair.annotator),
        "by_length": split_by(pairs, lambda pair: pair.longer),
        "calibration": calibration(pairs),
        "length_correlation": length_correlation(comparisons),
    }


def mean_of(members: Sequence[Sequence[Scored]]) -> list[Scored]:
    """The comparisons with the mean of the members' scores."""
    return [
        replace(
            same[0], scores=[fmean(told) for told in zip(*(m.scores for m in same), strict=True)]
        )
        for same in zip(*members, strict=True)
    ]


def disagreement(members: Sequence[Sequence[Scored]]) -> dict[str, Any]:
    """How far an ensemble's members are from each other, and what each is worth alone.

    `disputed` is the share of strict pairs that not all members put the same way, `deviation` the
    mean over replies of the standard deviation of their scores (2310.02743).
    """
    each = [pairs_of(member) for member in members]
    ways = [{pair.difference > 0 for pair in same} for same in zip(*each, strict=True)]
    deviations = [
        pstdev(told)
        for same in zip(*members, strict=True)
        for told in zip(*(member.scores for member in same), strict=True)
    ]
    return {
        "members": len(members),
        "accuracies": [accuracy(pairs)["accuracy"] for pairs in each],
        "disputed": sum(len(way) > 1 for way in ways) / len(ways),
        "deviation": fmean(deviations),
    }


def metrics_of(split: str, report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a report that stand among a run's metrics, under the split's name."""
    named = {
        "accuracy": report["accuracy"],
        "accuracy_low": report["low"],
        "accuracy_high": report["high"],
        "margin": report["margin"],
        "log_loss": report["log_loss"],
        "ece": report["calibration"]["ece"],
        "length_correlation": report["length_correlation"]["model"],
        "length_correlation_people": report["length_correlation"]["people"],
    }
    if report.get("ensemble"):
        named["disputed"] = report["ensemble"]["disputed"]
    return {f"{split}_{name}": value for name, value in named.items() if value is not None}
