"""All C(K, 2) pairs of a ranking, ties as ties, the tier distance as margin."""

from math import comb

from hypothesis import given

from labeling.domain.pairs import Pair, contradictions, pairs_of
from labeling.domain.rankings import Tiers, ranks_from_tiers
from tests.labeling.domain.strategies import weak_orders


def test_pairs_of_by_hand() -> None:
    """[[2], [0, 1], [3]]: 6 pairs; 2 is one tier over 0 and 1, two over 3; 0 and 1 tie."""
    assert pairs_of([[2], [0, 1], [3]]) == [
        Pair(chosen=0, rejected=1, rank_gap=0),
        Pair(chosen=0, rejected=3, rank_gap=1),
        Pair(chosen=1, rejected=3, rank_gap=1),
        Pair(chosen=2, rejected=0, rank_gap=1),
        Pair(chosen=2, rejected=1, rank_gap=1),
        Pair(chosen=2, rejected=3, rank_gap=2),
    ]


@given(weak_orders())
def test_pairs_of_gives_every_pair_once(tiers: Tiers) -> None:
    count = sum(map(len, tiers))
    pairs = pairs_of(tiers)
    assert len(pairs) == comb(count, 2)
    assert len({frozenset((p.chosen, p.rejected)) for p in pairs}) == len(pairs)


@given(weak_orders())
def test_pairs_of_measures_the_gap_in_tiers(tiers: Tiers) -> None:
    rank = ranks_from_tiers(tiers)
    for pair in pairs_of(tiers):
        assert pair.rank_gap == rank[pair.rejected] - rank[pair.chosen] >= 0
        assert pair.is_tie == any(pair.chosen in t and pair.rejected in t for t in tiers)
        assert not pair.is_tie or (pair.rank_gap == 0 and pair.chosen < pair.rejected)


@given(weak_orders())
def test_one_ranking_never_contradicts_itself(tiers: Tiers) -> None:
    strict = [(p.chosen, p.rejected) for p in pairs_of(tiers) if not p.is_tie]
    assert contradictions(strict) == set()


def test_contradictions_names_the_lower_id_first() -> None:
    assert contradictions([(9, 4), (4, 9), (4, 9), (1, 2)]) == {(4, 9)}
