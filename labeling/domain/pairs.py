"""From a ranking to the preference pairs it implies."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True, order=True)
class Pair:
    """Two slots, the better one first; a tie has gap 0 and names the lower slot first."""

    chosen: int
    rejected: int
    rank_gap: int

    @property
    def is_tie(self) -> bool:
        """Whether neither is better."""
        return self.rank_gap == 0


def pairs_of(tiers: Sequence[Sequence[int]]) -> list[Pair]:
    """Return all K(K-1)/2 pairs of a ranking, ties kept as ties (InstructGPT 3.5, all C(K,2)).

    The gap is the number of tiers between the two, the margin of Llama 2's ranking loss.

    >>> pairs_of([[2], [0, 1]])
    [Pair(chosen=0, rejected=1, rank_gap=0), Pair(chosen=2, rejected=0, rank_gap=1), \
Pair(chosen=2, rejected=1, rank_gap=1)]
    """
    placed = [(slot, rank) for rank, tier in enumerate(tiers) for slot in sorted(tier)]
    return sorted(
        Pair(chosen=better, rejected=worse, rank_gap=low - high)
        for (better, high), (worse, low) in combinations(placed, 2)
    )


def contradictions(pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the unordered pairs (lower id first) that were judged in both directions."""
    seen = set(pairs)
    return {(min(a, b), max(a, b)) for a, b in seen if (b, a) in seen}
