"""How far an AI judge says what people say, and how far its certainty can be believed. Pure.

A judge and a person agree on a pair of replies where they say the same of it, a tie included
(`labeling.domain.agreement`). All intervals take a comparison, not a pair, as what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from math import fsum
from typing import Any, Final

from labeling.domain.agreement import Agreement, Share, Tally
from labeling.domain.rankings import ranks_from_tiers
from training.estimates import Estimate, clustered_ratio

LARGEST_GAP: Final = 3
BINS: Final = 5
_LOWEST: Final = 0.5
_ROUNDING: Final = 1e-9

Labels = tuple[int, ...]


@dataclass(frozen=True)
class Soft:
    """What a judge says of two slots: how likely the first is the better one, and its lean."""

    first: int
    second: int
    probability: float
    lean: float = 0.0
    consistent: bool = True


@dataclass(frozen=True)
class Ranking:
    """A ranking of slots 0 to K-1 as labels and rank gaps, both by pairs of slots in order."""

    labels: Labels
    gaps: tuple[int, ...]


def ranking(tiers: Sequence[Sequence[int]], size: int) -> Ranking:
    """Return a ranking of the first `size` slots; others, a written reply's, leave no gap.

    >>> ranking([[1], [2], [0]], 2)
    Ranking(labels=(-1,), gaps=(1,))
    """
    placed = [[slot for slot in tier if slot < size] for tier in tiers]
    ranks = ranks_from_tiers([tier for tier in placed if tier])
    pairs = [(ranks[a], ranks[b]) for a, b in combinations(range(size), 2)]
    return Ranking(
        labels=tuple((a < b) - (a > b) for a, b in pairs),
        gaps=tuple(abs(a - b) for a, b in pairs),
    )


@dataclass(frozen=True)
class Item:
    """One comparison of K replies, what the judge said of it, and what people did.

    `is_routed` where people were asked because of what the judge said, not by chance.
    """

    key: Hashable
    size: int
    judge: Ranking | None
    people: Mapping[Any, Ranking]
    topics: Sequence[str] = ()
    softs: Sequence[Soft] = ()
    is_routed: bool = False


@dataclass(frozen=True)
class Side:
    """The judge's agreement with people beside people's own; None where too few pairs tell it."""

    name: str
    judge: Share | None
    people: Share | None


@dataclass(frozen=True)
class Bin:
    """Pairs of which the judge was about equally sure, and how often people said the same.

    A person's tie counts half.
    """

    low: float
    high: float
    certainty: float
    agreed: Share


@dataclass(frozen=True)
class Figures:
    """Everything that a judge's calibration shows.

    `comparisons` counts what both judged. What was routed to people is harder than the rest, so it
    tells how far certainty can be believed (`bins`, `error`), but of no agreement.
    `error` is the expected calibration error: the mean distance of certainty from agreement, each
    bin weighted by its pairs. `lean` is how much likelier a reply is to win by standing first,
    `consistent` how often the same reply wins in both orders.
    """

    comparisons: int
    overall: Side
    topics: list[Side]
    gaps: list[Side]
    bins: list[Bin]
    error: float | None
    lean: Estimate | None
    consistent: Share | None


@dataclass
class _Sides:
    """A tally of the judge's agreement and of people's own, by name."""

    judge: dict[str, Tally] = field(default_factory=dict)
    people: dict[str, Tally] = field(default_factory=dict)

    def sides(self, names: Iterable[str], least: int) -> list[Side]:
        return [
            Side(
                name,
                self.judge.get(name, Tally()).share(least=least),
                self.people.get(name, Tally()).share(least=least),
            )
            for name in names
        ]


def figures(items: Sequence[Item], *, least: int) -> Figures:
    """Return the figures over items; a share that rests on fewer than `least` pairs is None.

    An item that the judge did not judge tells of people alone.
    """
    drawn = [item for item in items if not item.is_routed]
    names = sorted({topic for item in drawn for topic in item.topics})
    topics, gaps, whole = _Sides(), _Sides(), _Sides()
    for item in drawn:
        judge, people = _agreed(item)
        for name in ("", *item.topics):
            sides = topics if name else whole
            sides.judge.setdefault(name, Tally()).add(*judge)
            sides.people.setdefault(name, Tally()).add(*people)
        _add_gaps(gaps, item)
    shared = [item for item in items if item.judge and item.people]
    (overall,) = whole.sides([""], least)
    bins, error = _reliability(shared)
    return Figures(
        comparisons=len(shared),
        overall=overall,
        topics=topics.sides(names, least),
        gaps=gaps.sides(map(gap_name, range(LARGEST_GAP + 1)), least),
        bins=bins,
        error=error,
        lean=_lean(items),
        consistent=_consistent(items).share(least=least),
    )


def gap_name(gap: int) -> str:
    """Return the name of a rank gap; the last one stands for all larger ones.

    >>> [gap_name(gap) for gap in (0, 1, 3, 7)]
    ['0', '1', '3+', '3+']
    """
    return f"{LARGEST_GAP}+" if gap >= LARGEST_GAP else str(gap)


def _agreed(item: Item) -> tuple[tuple[float, int], tuple[float, int]]:
    """Return (agreed, pairs) of the judge with people, and of people with each other."""
    found = Agreement()
    labels = {name: person.labels for name, person in item.people.items()}
    judge = object()
    said = {**labels, **({judge: item.judge.labels} if item.judge else {})}
    found.add(said, labels.keys())
    own = found.by_annotator.get(judge, Tally())
    return (own.agreed, own.pairs), (found.mean.agreed, found.mean.pairs)


def _add_gaps(sides: _Sides, item: Item) -> None:
    """Count an item by the gap between the replies as each person placed them."""
    people = list(item.people.values())
    against_judge = [(person, item.judge) for person in people if item.judge]
    for tallies, both in ((sides.judge, against_judge), (sides.people, permutations(people, 2))):
        counted: dict[str, list[int]] = {}
        for person, other in both:
            for gap, label, said in zip(person.gaps, person.labels, other.labels, strict=True):
                count = counted.setdefault(gap_name(gap), [0, 0])
                count[0] += label == said
                count[1] += 1
        for name, (agreed, pairs) in counted.items():
            tallies.setdefault(name, Tally()).add(agreed, pairs)


def certainty(soft: Soft) -> float:
    """Return how sure a judge is of a pair: the probability of its likelier side, 0.5 to 1."""
    return max(soft.probability, 1 - soft.probability)


def _reliability(items: Sequence[Item]) -> tuple[list[Bin], float | None]:
    """Return the reliability of soft labels in equal bins of certainty, and the error of all."""
    tallies = [Tally() for _ in range(BINS)]
    sums = [0.0] * BINS
    for item in items:
        counted = [[0.0, 0, 0.0] for _ in range(BINS)]
        places = {pair: at for at, pair in enumerate(combinations(range(item.size), 2))}
        for soft in item.softs:
            sure = certainty(soft)
            count = counted[_bin_of(sure)]
            for person in item.people.values():
                count[0] += _sided(soft, person.labels, places)
                count[1] += 1
                count[2] += sure
        for at, (agreed, pairs, total) in enumerate(counted):
            tallies[at].add(agreed, int(pairs))
            sums[at] += total
    width = (1 - _LOWEST) / BINS
    bins = [
        Bin(_LOWEST + at * width, _LOWEST + (at + 1) * width, sums[at] / share.pairs, share)
        for at, tally in enumerate(tallies)
        if (share := tally.share())
    ]
    pairs = sum(one.agreed.pairs for one in bins)
    away = fsum(abs(one.agreed.value - one.certainty) * one.agreed.pairs for one in bins)
    return bins, away / pairs if pairs else None


def _bin_of(sure: float) -> int:
    return min(int((sure - _LOWEST + _ROUNDING) * BINS / (1 - _LOWEST)), BINS - 1)


def _sided(soft: Soft, labels: Labels, places: Mapping[tuple[int, int], int]) -> float:
    """Return how far a person says what the judge holds for likelier: 1, 0, or half for a tie."""
    first, second = sorted((soft.first, soft.second))
    said = labels[places[first, second]]
    if not said or soft.probability == _LOWEST:
        return 0.5
    better = soft.first if soft.probability > _LOWEST else soft.second
    return float((first if said > 0 else second) == better)


def _lean(items: Sequence[Item]) -> Estimate | None:
    parts = [
        (item.key, fsum(soft.lean for soft in item.softs), float(len(item.softs)))
        for item in items
        if item.softs
    ]
    return clustered_ratio(parts) if len(parts) > 1 else None


def _consistent(items: Sequence[Item]) -> Tally:
    return tally_of(items, lambda soft: soft.consistent)


def tally_of(items: Iterable[Item], holds: Callable[[Soft], bool]) -> Tally:
    """Return how often something holds of a judge's pairs, a comparison being one cluster."""
    tally = Tally()
    for item in items:
        tally.add(sum(map(holds, item.softs)), len(item.softs))
    return tally
