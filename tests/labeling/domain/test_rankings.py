"""Weak orders: every slot once, ties allowed, maps invertible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.domain.rankings import (
    RankingError,
    Tiers,
    check_tiers,
    is_tie,
    map_tiers,
    ranks_from_tiers,
    tiers_from_ranks,
)
from tests.labeling.domain.strategies import weak_orders


def test_tiers_from_ranks_by_hand() -> None:
    """Ranks 1, 0, 1, 5: slot 1 first, slots 0 and 2 tie, slot 3 last; the gap 1..5 is no tier."""
    assert tiers_from_ranks([1, 0, 1, 5]) == [[1], [0, 2], [3]]


def test_ranks_from_tiers_by_hand() -> None:
    assert ranks_from_tiers([[1], [0, 2], [3]]) == {1: 0, 0: 1, 2: 1, 3: 2}


def test_map_tiers_by_hand() -> None:
    """Shown order [2, 0, 1]: position 0 shows slot 2, 1 shows slot 0, 2 shows slot 1."""
    assert map_tiers([[1], [2, 0]], [2, 0, 1]) == [[0], [1, 2]]


def test_is_tie() -> None:
    assert is_tie([[0, 1, 2]])
    assert not is_tie([[0], [1, 2]])


@given(weak_orders())
def test_check_tiers_takes_every_weak_order(tiers: Tiers) -> None:
    count = sum(map(len, tiers))
    assert check_tiers([list(reversed(tier)) for tier in tiers], count) == tiers


@given(weak_orders())
def test_ranks_and_tiers_are_inverse(tiers: Tiers) -> None:
    ranks = ranks_from_tiers(tiers)
    assert tiers_from_ranks([ranks[slot] for slot in range(len(ranks))]) == tiers


@given(st.data())
def test_inverse_mapping_recovers_tiers(data: st.DataObject) -> None:
    tiers = data.draw(weak_orders())
    shown = data.draw(st.permutations(range(sum(map(len, tiers)))))
    position_of = {slot: position for position, slot in enumerate(shown)}
    assert map_tiers(map_tiers(tiers, position_of), shown) == tiers


@pytest.mark.parametrize(
    ("tiers", "said"),
    [
        ([[0], [], [1]], "empty"),
        ([[0], [2]], "2 is no candidate"),
        ([[0], [-1]], "-1 is no candidate"),
        ([[0], [True]], "True is no candidate"),
        ([[0], ["1"]], "'1' is no candidate"),
        ([[0, 1], [0]], "Candidate 0 is placed twice"),
        ([[1]], "Not placed yet: 0"),
        ([], "Not placed yet: 0, 1"),
    ],
)
def test_check_tiers_refuses(tiers: list[list[int]], said: str) -> None:
    with pytest.raises(RankingError, match=said):
        check_tiers(tiers, 2)
