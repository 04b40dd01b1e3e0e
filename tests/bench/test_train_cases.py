"""The pure parts of bench.train: its texts and the arithmetic of its figures."""

import pytest

from bench.train_cases import (
    CASES,
    DISLIKED,
    LIKED,
    SPREAD,
    WORDS,
    Case,
    mean_interval,
    overhead,
    ratio,
    rows_a_step,
    rows_of,
    score,
    trl_rows,
)

RANKED = Case(
    name="ranked", recipe="reward", rows=20, held=5, batch=4, prompt=20, reply=10, replies=4
)


def test_ratio_is_that_of_the_medians_with_the_spread_of_the_repeats() -> None:
    found = ratio([9.0, 10.0, 30.0], [3.0, 4.0, 5.0])
    assert (found.of_medians, found.low, found.high) == (2.5, 2.5, 6.0)
    assert str(found) == "2.50 (2.50 to 6.00)"


def test_overhead_is_the_part_by_which_we_are_slower() -> None:
    assert overhead([10.0, 8.0, 12.0], [10.3, 11.0, 9.0]) == pytest.approx(0.03)
    assert overhead([10.0], [8.0]) == pytest.approx(-0.2)


def test_accuracies_are_told_as_means_of_the_repeats() -> None:
    both = [{"accuracy": 0.8, "low": 0.7, "high": 0.9}, {"accuracy": 0.9, "low": 0.8, "high": 1.0}]
    assert mean_interval(both) == "0.850 (0.750 to 0.950)"


def test_score_is_the_share_of_liked_words_less_that_of_disliked_ones() -> None:
    liked, disliked = sorted(LIKED)[0], sorted(DISLIKED)[0]
    assert score([liked, liked, disliked, WORDS[-1]]) == 0.25
    assert not LIKED & DISLIKED


def test_rankings_are_ordered_by_the_score_without_ties() -> None:
    rows = rows_of(RANKED)
    assert [row["split"] for row in rows] == ["train"] * 20 + ["test"] * 5
    for row in rows:
        replies = [reply[0]["content"].split() for reply in row["replies"]]
        scores = [score(replies[tier[0]]) for tier in row["tiers"]]
        assert scores == sorted(set(scores), reverse=True)
        assert len(scores) == 4
        assert all(abs(len(reply) - 10) <= 10 * SPREAD + 1 for reply in replies)
        assert abs(len(row["prompt"][0]["content"].split()) - 20) <= 20 * SPREAD
    assert rows == rows_of(RANKED)
    assert rows != rows_of(RANKED, seed=1)


def test_trl_reads_all_pairs_of_a_ranking_and_as_many_a_step() -> None:
    rows = rows_of(RANKED)[:2]
    pairs = trl_rows(RANKED, rows)
    assert len(pairs) == 2 * 6
    assert rows_a_step(RANKED) == 4 * 6
    best, worst = (rows[0]["replies"][rows[0]["tiers"][place][0]] for place in (0, 3))
    assert pairs[2] == {
        "chosen": rows[0]["prompt"] + best,
        "rejected": rows[0]["prompt"] + worst,
    }


def test_steps_of_a_case_are_whole_on_both_sides() -> None:
    for device, cases in CASES.items():
        assert len({case.name for case in cases}) == len(cases), device
        for case in cases:
            assert case.rows % case.batch == 0, case.name
            assert rows_a_step(case) % case.share == 0, case.name
            assert case.recipe != "reward" or case.held, case.name
