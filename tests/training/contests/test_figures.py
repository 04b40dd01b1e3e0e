"""What a contest says, on pairs whose answer is known by hand."""

import pytest

from training.contests.figures import Figures, Pair, figures_from, figures_of, sequence_of


def pair(place: int, won: float | None, at: float | None = None, **more: object) -> Pair:
    lengths = {"policy_length": 10, "baseline_length": 10}
    said = {"judged_at": place if at is None else at, "spoken": won is not None, **lengths, **more}
    return Pair(place=place, prompt=place, won=won, **said)


def same(place: int) -> Pair:
    return pair(place, 0.5, is_same=True, spoken=0)


def figures(pairs: list[Pair], *, indifference: float = 0.0, is_over: bool = False) -> Figures:
    return figures_of(pairs, indifference=indifference, is_over=is_over)


def test_pairs_count_in_the_order_in_which_they_were_judged():
    pairs = [pair(0, 1.0, at=9.0), pair(1, 0.0, at=3.0), pair(2, None), pair(3, 0.5, at=5.0)]
    assert [one.place for one in sequence_of(pairs, is_over=False)] == [1, 3, 0]


def test_a_tie_known_beforehand_enters_in_its_own_place():
    pairs = [same(0), pair(1, 1.0), same(2), pair(3, 1.0), same(4), same(5)]
    assert [one.place for one in sequence_of(pairs, is_over=False)] == [0, 1, 2, 3]
    assert [one.place for one in sequence_of(pairs, is_over=True)] == [0, 1, 2, 3, 4, 5]
    assert sequence_of([same(0)], is_over=False) == []


def test_counts_rate_and_cost_by_hand():
    pairs = [
        pair(0, 1.0, active_ms=2000),
        pair(1, 0.0, active_ms=3000),
        pair(2, 0.5, both_bad=1),
        same(3),
        pair(4, 1.0),
    ]
    found = figures(pairs)
    assert (found.pairs, found.won, found.lost, found.tied, found.same) == (5, 2, 1, 2, 1)
    assert (found.both_bad, found.judgements, found.active_s) == (1, 4, 5.0)
    assert found.rate.value == pytest.approx(3 / 5)
    assert found.outcome == ""
    assert found.path[-1] == (5, found.rate.value, found.rate.low, found.rate.high)


def test_ten_wins_decide_and_what_came_after_is_not_told():
    found = figures([pair(place, 1.0 if place < 10 else 0.0) for place in range(15)])
    assert (found.outcome, found.pairs, found.lost) == ("policy", 10, 0)
    assert found.rate.low >= 0.5
    lost = figures([pair(place, 0.0) for place in range(15)])
    assert (lost.outcome, lost.pairs) == ("baseline", 10)


def test_alike_is_an_outcome_only_where_somebody_said_how_near():
    even = [pair(place, 0.5) for place in range(60)]
    assert figures(even).outcome == ""
    near = figures(even, indifference=0.2)
    assert near.outcome == "alike"
    assert near.pairs < 60


def test_at_equal_length_is_told_beside_the_plain_rate():
    # At twice the length 6 of 8 are won, at half of it 1 of 4: odds of 3 and 1/3, whose logarithms
    # are as far from 0 as those of the lengths' ratios. So at equal length it is one half.
    longer, shorter = (1, 1, 1, 0, 1, 1, 1, 0), (0, 0, 0, 1)
    lengths = [*((won, 20, 10) for won in longer), *((won, 10, 20) for won in shorter)]
    pairs = [
        pair(place, float(won), policy_length=ours, baseline_length=theirs)
        for place, (won, ours, theirs) in enumerate(lengths)
    ]
    found = figures(pairs)
    assert found.rate.value == pytest.approx(7 / 12)
    assert found.at_equal_length is not None
    assert found.at_equal_length.value == pytest.approx(0.5)


def test_figures_are_read_again_as_they_were_written():
    found = figures([pair(place, float(place % 2), policy_length=5 + place) for place in range(30)])
    assert figures_from(found.to_json()) == found
    assert figures_from(figures([]).to_json()) == figures([])


def test_the_way_that_is_kept_ends_at_the_last_pair():
    found = figures([pair(place, float(place % 2)) for place in range(501)])
    assert len(found.path) <= 200
    assert found.path[-1][0] == 501
