"""Rankings with ties: a list of tiers, best first, each a group of equally good slots.

A weak order over K slots 0..K-1 is written `[[2], [0, 1], [3]]`: slot 2 is best, 0 and 1 tie
behind it, 3 is worst. Everything else in the project is derived from this form.
"""

from collections.abc import Iterable, Mapping, Sequence

from labeling.domain.sentences import sentence as _

Tiers = list[list[int]]


class RankingError(ValueError):
    """The tiers are no weak order of the slots; `reason` says what is wrong."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_tiers(tiers: Sequence[Sequence[int]], count: int) -> Tiers:
    """Return the tiers as sorted lists if they place each of `count` slots exactly once.

    Raises RankingError otherwise.
    """
    seen: set[int] = set()
    for tier in tiers:
        if not tier:
            raise RankingError(_("A tier is empty: leave it out."))
        for slot in tier:
            if isinstance(slot, bool) or not isinstance(slot, int) or not 0 <= slot < count:
                raise RankingError(
                    _(
                        "{slot} is no candidate: they are 0 to {last}.",
                        slot=repr(slot),
                        last=count - 1,
                    )
                )
            if slot in seen:
                raise RankingError(_("Candidate {slot} is placed twice.", slot=slot))
            seen.add(slot)
    missing = [slot for slot in range(count) if slot not in seen]
    if missing:
        slots = ", ".join(map(str, missing))
        raise RankingError(_("Not placed yet: {slots}. Place every candidate.", slots=slots))
    return [sorted(tier) for tier in tiers]


def tiers_from_ranks(ranks: Sequence[float]) -> Tiers:
    """Return the tiers of items whose ranks are given (lowest is best, equal ranks tie).

    >>> tiers_from_ranks([1, 0, 1, 5])
    [[1], [0, 2], [3]]
    """
    by_rank: dict[float, list[int]] = {}
    for slot, rank in enumerate(ranks):
        by_rank.setdefault(rank, []).append(slot)
    return [by_rank[rank] for rank in sorted(by_rank)]


def ranks_from_tiers(tiers: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return each slot's tier index (0 best): the inverse of `tiers_from_ranks`."""
    return {slot: rank for rank, tier in enumerate(tiers) for slot in tier}


def map_tiers(tiers: Iterable[Iterable[int]], mapping: Mapping[int, int] | Sequence[int]) -> Tiers:
    """Return the tiers with each slot renamed, as from shown positions to slots."""
    return [sorted(mapping[slot] for slot in tier) for tier in tiers]


def is_tie(tiers: Sequence[Sequence[int]]) -> bool:
    """Return whether everything stands in one tier."""
    return len(tiers) == 1
