"""From what an AI judge answered to a ranking: pure, for the recipe, the services and the tests.

Pairwise labels are soft (RLAIF, 2309.00267): the probability that one reply is the better one, the
mean of both orders. Aspects are rated from 1 to 5 (UltraFeedback, 2310.01377), the rating being the
expectation over the five digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from labeling.domain.rankings import Tiers

ASPECTS = ("instruction_following", "truthfulness", "honesty", "helpfulness")
OVERALL = "overall"
LOWEST, HIGHEST = 1, 5
LEAN_BINS = 20
# What is asked, by style: a change of the questions' words is another version.
PROMPT_VERSIONS = {"pairwise": "pairwise-1", "aspects": "aspects-1"}
# Room for the rounding of sums of probabilities, far below what any margin means.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class PairLabel:
    """How surely the reply in slot `first` is better than that in slot `second`.

    `lean` is how much likelier a reply is to win by standing first, from -1 to 1; `consistent` is
    whether the same reply wins in both orders.
    """

    first: int
    second: int
    soft: float
    lean: float = 0.0
    consistent: bool = True

    def row(self) -> dict[str, Any]:
        """Return the label as it is stored."""
        return asdict(self)


def pair_label(
    first: int, second: int, *, shown_first: float, shown_second: float, clamp: float = 0.0
) -> PairLabel:
    """Return the label of a pair from the probability that `first` wins in each order of showing.

    With `clamp` each order's probability is first kept within [clamp, 1 - clamp], as Constitutional
    AI (2212.08073, 4.3) does with 0.4 for labels after a chain of thought, which are over-sure. The
    lean is of what the judge said itself.

    >>> pair_label(0, 1, shown_first=0.9, shown_second=0.5, clamp=0.4)
    PairLabel(first=0, second=1, soft=0.55, lean=0.4, consistent=False)
    """
    kept = [min(max(p, clamp), 1 - clamp) for p in (shown_first, shown_second)]
    return PairLabel(
        first=first,
        second=second,
        soft=sum(kept) / 2,
        lean=shown_first - shown_second,
        consistent=(shown_first - 0.5) * (shown_second - 0.5) > 0,
    )


def mean_wins(count: int, pairs: Sequence[PairLabel]) -> list[float]:
    """Return the mean probability with which each of `count` replies wins its pairs.

    Raises ValueError where a reply stands in no pair.

    >>> mean_wins(2, [PairLabel(first=0, second=1, soft=0.75)])
    [0.75, 0.25]
    """
    won: list[list[float]] = [[] for _ in range(count)]
    for pair in pairs:
        won[pair.first].append(pair.soft)
        won[pair.second].append(1 - pair.soft)
    if any(not values for values in won):
        raise ValueError("A reply stands in no pair.")
    return [sum(values) / len(values) for values in won]


def tiers_by_score(scores: Sequence[float], margin: float) -> Tiers:
    """Return slots as tiers, best first; a tier holds what lies within `margin` of its best.

    >>> tiers_by_score([0.2, 0.9, 0.85, 0.5], 0.1)
    [[1, 2], [3], [0]]
    """
    tiers: Tiers = []
    best = 0.0
    for slot in sorted(range(len(scores)), key=lambda slot: (-scores[slot], slot)):
        if tiers and best - scores[slot] <= margin + _ROUNDING:
            tiers[-1].append(slot)
        else:
            tiers.append([slot])
            best = scores[slot]
    return [sorted(tier) for tier in tiers]


def expected_rating(probabilities: Sequence[float]) -> float:
    """Return the expectation of a rating from the probabilities of 1 to 5.

    >>> expected_rating([0, 0, 0, 0.5, 0.5])
    4.5
    """
    marks = range(LOWEST, HIGHEST + 1)
    return sum(mark * p for mark, p in zip(marks, probabilities, strict=True))


def mean_rating(ratings: Mapping[str, float]) -> float:
    """Return the mean over the four aspects, by which replies are ranked (Zephyr, 2310.16944)."""
    return sum(ratings[name] for name in ASPECTS) / len(ASPECTS)


def inconsistent(ratings: Mapping[str, float], most_apart: float) -> bool:
    """Return whether the overall rating is further than that from the mean of the aspects.

    UltraFeedback's overall scores held 2,628 tens that had meant a one; only their aspects, and
    what was written, told them apart.
    """
    return abs(ratings[OVERALL] - mean_rating(ratings)) > most_apart + _ROUNDING


def lean_bins(leans: Sequence[float]) -> list[int]:
    """Return how many leans fall into each of 20 equal bins from -1 to 1.

    >>> lean_bins([0.0, 0.05, 1.0, -1.0]).index(2)
    10
    """
    bins = [0] * LEAN_BINS
    for lean in leans:
        bins[min(int((lean + 1) / 2 * LEAN_BINS), LEAN_BINS - 1)] += 1
    return bins


def checked_pairs(pairs: Sequence[Mapping[str, Any]], count: int) -> list[PairLabel]:
    """Return stored labels of `count` replies. Raises ValueError with what is wrong with one."""
    found: list[PairLabel] = []
    seen: set[frozenset[int]] = set()
    for pair in pairs:
        label = PairLabel(
            first=int(pair["first"]),
            second=int(pair["second"]),
            soft=float(pair["soft"]),
            lean=float(pair.get("lean", 0.0)),
            consistent=bool(pair.get("consistent", True)),
        )
        both = frozenset((label.first, label.second))
        if len(both) < 2 or not both <= set(range(count)) or both in seen:
            raise ValueError(f"{label.first} and {label.second} are no pair of {count} replies.")
        if not (isfinite(label.lean) and 0 <= label.soft <= 1 and -1 <= label.lean <= 1):
            raise ValueError(f"{label.soft} is no probability, or {label.lean} no lean.")
        seen.add(both)
        found.append(label)
    return found
