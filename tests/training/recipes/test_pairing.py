"""Zephyr's pairs: the best reply of each ranking against one of the others."""

from typing import Any

import pytest

from training.recipes.data import Splits
from training.recipes.pairing import LEFT_OUT, best_versus_random

pytestmark = pytest.mark.recipe


def _ranking(judgement: str, order: str, ties: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """All pairs of replies that are letters, best first; those within a tie are left out."""
    return [
        {"judgement": judgement, "chosen_ids": [ord(a)], "rejected_ids": [ord(b)]}
        for place, a in enumerate(order)
        for b in order[place + 1 :]
        if not any(a in tie and b in tie for tie in ties)
    ]


def _paired(pairs: list[dict[str, Any]], seed: int = 0) -> tuple[list[tuple[str, str]], int]:
    rows = Splits()
    rows.splits["train"] = pairs
    made = best_versus_random(rows, seed)
    found = [(chr(p["chosen_ids"][0]), chr(p["rejected_ids"][0])) for p in made.splits["train"]]
    return found, made.dropped[LEFT_OUT]


def test_one_pair_of_each_ranking_with_its_best_reply() -> None:
    found, left_out = _paired(_ranking("one", "dbca") + _ranking("two", "ab"))
    assert [best for best, _ in found] == ["d", "a"]
    assert found[0][1] in "bca"
    assert left_out == 6 - 1


def test_the_other_reply_is_drawn_evenly_by_the_seed() -> None:
    drawn = [_paired(_ranking("one", "dbca"), seed)[0][0][1] for seed in range(300)]
    assert all(70 <= drawn.count(letter) <= 130 for letter in "bca")
    assert drawn == [_paired(_ranking("one", "dbca"), seed)[0][0][1] for seed in range(300)]


def test_several_best_replies_share_the_place() -> None:
    drawn = {_paired(_ranking("one", "abc", ("ab",)), seed)[0][0] for seed in range(40)}
    assert drawn == {("a", "c"), ("b", "c")}


def test_a_cycle_and_a_row_without_judgement_still_give_a_pair() -> None:
    cycle = [
        {"judgement": "", "chosen_ids": [ord(a)], "rejected_ids": [ord(b)]} for a, b in ("ab", "ba")
    ]
    assert len(_paired(cycle)[0]) == 2  # two rankings of one pair each
    for pair in cycle:
        pair["judgement"] = "one"
    assert len(_paired(cycle)[0]) == 1
