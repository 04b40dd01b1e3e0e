"""What is asked first: by formulas worked by hand, by seed, within bounds, with a control."""

from math import log

import pytest

from training.acquisition.strategies import (
    STRATEGIES,
    Pool,
    best_groups,
    choose,
    control_count,
)
from training.acquisition.values import disagreement, entropy, margin, sigmoid


def _pools(prompts: int = 10, candidates: int = 6, members: int = 3) -> list[Pool]:
    """Candidates numbered by hundreds of their prompt, with scores that follow from the numbers."""
    return [
        Pool(
            prompt=prompt,
            candidates=[100 * prompt + n for n in range(candidates)],
            scores={
                100 * prompt + n: [((7 * prompt + 3 * n + 5 * m) % 11) / 3 for m in range(members)]
                for n in range(candidates)
            },
        )
        for prompt in range(1, prompts + 1)
    ]


def test_values_worked_by_hand() -> None:
    assert margin([3.0, 1.0], [0.0, 1.0]) == -1.5
    assert margin([1.0], [1.0]) == 0
    # Members say 0.9 and 0.1: H(0.5) = log 2, each member's entropy is that of 0.9.
    nine = log(9)
    each = -(0.9 * log(0.9) + 0.1 * log(0.1))
    assert disagreement([nine, 0.0], [0.0, nine]) == pytest.approx(log(2) - each)
    assert disagreement([50.0, 0.0], [0.0, 50.0]) == pytest.approx(log(2))
    assert disagreement([2.0, 1.0], [2.0, 1.0]) == 0
    assert disagreement([4.0], [1.0]) == 0
    assert entropy(0.0) == entropy(1.0) == 0
    assert sigmoid(-800.0) == 0
    assert sigmoid(800.0) == 1


def test_disagreement_prefers_doubt_of_the_members_to_doubt_that_they_share() -> None:
    shared, apart = ([0.0, 0.0], [0.0, 0.0]), ([2.0, -2.0], [0.0, 0.0])
    assert margin(*shared) == margin(*apart) == 0
    assert disagreement(*apart) > disagreement(*shared) == 0


def test_the_best_group_begins_with_the_best_pair_and_groups_are_disjoint() -> None:
    scored = {1: [0.0], 2: [5.0], 3: [5.1], 4: [9.0], 5: [5.5]}
    assert [set(group) for _, group in best_groups(scored, margin, 2, 2)] == [{2, 3}, {4, 5}]
    ((worth, group),) = best_groups(scored, margin, 3, 9)
    assert set(group) == {2, 3, 5}
    assert worth == pytest.approx(-(0.1 + 0.4 + 0.5) / 3)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_choices_follow_from_the_seed_and_not_from_the_order(strategy: str) -> None:
    how = {"strategy": strategy, "count": 6, "size": 2, "control_share": 0.3}
    first = choose(_pools(), seed=1, **how)
    assert first == choose(list(reversed(_pools())), seed=1, **how)
    assert first != choose(_pools(), seed=2, **how)
    assert len(first) == 6


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_prompt_is_asked_twice_unless_allowed_and_no_candidate_ever(strategy: str) -> None:
    for allowed in (1, 2):
        found = choose(
            _pools(4),
            strategy=strategy,
            count=50,
            size=3,
            control_share=0.25,
            per_prompt=allowed,
        )
        assert sorted(one.prompt for one in found) == sorted([1, 2, 3, 4] * allowed)
        used = [candidate for one in found for candidate in one.candidates]
        assert len(used) == len(set(used)) == 12 * allowed
        assert all(candidate // 100 == one.prompt for one in found for candidate in one.candidates)


def test_the_control_keeps_its_share_and_comes_in_no_order() -> None:
    found = choose(_pools(20), strategy="margin", count=10, size=2, control_share=0.25, seed=3)
    arms = [one.arm for one in found]
    assert sorted(arms) == ["margin"] * 7 + ["random"] * 3
    assert arms != sorted(arms)
    assert control_count(10, 0.3) == 3
    assert control_count(1, 0.05) == 1
    assert control_count(0, 1.0) == 0


def test_margin_takes_the_closest_pairs_of_the_whole_pool() -> None:
    pools = [
        Pool(prompt=1, candidates=[1, 2, 3], scores={1: [0.0], 2: [4.0], 3: [9.0]}),
        Pool(prompt=2, candidates=[4, 5], scores={4: [0.0], 5: [3.0]}),
        Pool(prompt=3, candidates=[6, 7], scores={6: [0.0], 7: [1.0]}),
    ]
    found = choose(pools, strategy="margin", count=2, size=2, control_share=0.0)
    assert {frozenset(one.candidates) for one in found} == {frozenset({6, 7}), frozenset({4, 5})}


def test_thompson_asks_about_the_members_favourites() -> None:
    scores = {1: [9.0, 0.0], 2: [0.0, 9.0], 3: [1.0, 1.0], 4: [2.0, 2.0]}
    pools = [Pool(prompt=1, candidates=[1, 2, 3, 4], scores=scores)]
    for seed in range(10):
        (one,) = choose(pools, strategy="thompson", count=1, size=2, control_share=0.0, seed=seed)
        assert set(one.candidates) == {1, 2}


def test_members_of_one_opinion_leave_the_second_to_chance() -> None:
    scores = {n: [float(n == 1)] * 2 for n in (1, 2, 3, 4)}
    pools = [Pool(prompt=1, candidates=[1, 2, 3, 4], scores=scores)]
    found = [
        choose(pools, strategy="thompson", count=1, size=2, control_share=0.0, seed=seed)[0]
        for seed in range(20)
    ]
    assert all(1 in one.candidates for one in found)
    assert {other for one in found for other in one.candidates} == {1, 2, 3, 4}


def test_ties_are_told_apart_by_lot() -> None:
    pools = [
        Pool(prompt=n, candidates=[10 * n, 10 * n + 1], scores={10 * n: [1.0], 10 * n + 1: [1.0]})
        for n in range(1, 9)
    ]
    first = {
        choose(pools, strategy="disagreement", count=1, size=2, control_share=0.0, seed=seed)[
            0
        ].prompt
        for seed in range(20)
    }
    assert len(first) > 3


def test_what_is_not_scored_or_too_few_is_left_to_chance_or_out() -> None:
    pools = [
        Pool(prompt=1, candidates=[1, 2], scores={}),
        Pool(prompt=2, candidates=[3, 4], scores={3: [1.0]}),
        Pool(prompt=3, candidates=[5], scores={5: [1.0]}),
    ]
    for strategy in STRATEGIES:
        found = choose(pools, strategy=strategy, count=9, size=2, control_share=0.1)
        assert sorted(one.prompt for one in found) == [1, 2]
        assert {one.arm for one in found} == {"random"}
    assert choose([], strategy="margin", count=3, size=2, control_share=0.5) == []


def test_an_unknown_strategy_and_a_comparison_of_one_are_refused() -> None:
    for strategy, size in (("boldness", 2), ("margin", 1)):
        with pytest.raises(ValueError, match="no way to choose"):
            choose(_pools(), strategy=strategy, count=1, size=size, control_share=0.2)
