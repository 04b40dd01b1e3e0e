"""The arithmetic of calibration, by numbers worked out by hand."""

import pytest

from labeling.domain.agreement import Share
from training.calibration.drawing import SIZE, reliability
from training.calibration.figures import Item, Side, Soft, figures, gap_name, ranking
from training.calibration.routing import Route, Rule, is_weak, mean_certainty, route, weak_topics
from training.calibration.sampling import stratified


def item(key: int, judge, people, topics=(), softs=()) -> Item:
    """Return an item from tiers."""
    size = sum(map(len, judge or people[0]))
    return Item(
        key=key,
        size=size,
        judge=ranking(judge, size) if judge else None,
        people={at: ranking(tiers, size) for at, tiers in enumerate(people)},
        topics=topics,
        softs=softs,
    )


AB, BA, TIE = [[0], [1]], [[1], [0]], [[0, 1]]


def test_a_ranking_is_its_pairs_and_gaps_without_written_replies():
    found = ranking([[2], [0, 1], [3]], 4)
    assert found.labels == (0, -1, 1, -1, 1, 1)
    assert found.gaps == (0, 1, 1, 1, 1, 2)
    # Slot 2 was written while ranking: it stands in no pair, and leaves no rank between.
    assert ranking([[0], [2], [1]], 2) == ranking([[0], [1]], 2)


def test_agreement_of_the_judge_stands_beside_peoples_own():
    """Judge with people: 2 of 2, then 1 of 2, then 0 of 1; people: yes, no."""
    items = [item(1, AB, [AB, AB]), item(2, AB, [AB, BA]), item(3, AB, [TIE])]
    found = figures(items, least=1)
    assert found.comparisons == 3
    assert (found.overall.judge.value, found.overall.judge.pairs) == (3 / 5, 5)
    assert found.overall.judge.clusters == 3
    assert (found.overall.people.value, found.overall.people.pairs) == (1 / 2, 2)
    assert found.overall.judge.low < 0.6 < found.overall.judge.high


def test_what_too_few_pairs_tell_is_not_told():
    found = figures([item(1, AB, [AB])], least=2)
    assert found.overall == Side("", None, None)
    assert figures([], least=1).bins == []


def test_items_of_people_alone_tell_nothing_of_the_judge():
    found = figures([item(1, AB, [AB]), item(2, None, [AB, AB])], least=1)
    assert found.comparisons == 1
    assert found.overall.judge.pairs == 1
    assert found.overall.people.pairs == 1


def test_topics_are_counted_each_for_itself():
    items = [
        item(1, AB, [AB, AB], ["chess"]),
        item(2, AB, [BA, BA], ["chess", "poems"]),
    ]
    chess, poems = figures(items, least=1).topics
    assert (chess.name, chess.judge.value, chess.people.value) == ("chess", 0.5, 1.0)
    assert (poems.name, poems.judge.value, poems.judge.pairs) == ("poems", 0.0, 2)


def test_gaps_are_those_of_the_person_who_is_agreed_with():
    """One says 0 > 1 > 2, the judge 0 > 2 > 1: gap 1 agrees once of two, gap 2 agrees."""
    found = figures([item(1, [[0], [2], [1]], [[[0], [1], [2]]])], least=1)
    told = {side.name: side.judge for side in found.gaps}
    assert told["0"] is None
    assert (told["1"].value, told["1"].pairs) == (0.5, 2)
    assert (told["2"].value, told["2"].pairs) == (1.0, 1)
    # People both ways: a tie of one is a gap of 0 for the one, and of 1 for the other.
    found = figures([item(1, AB, [AB, TIE])], least=1)
    told = {side.name: side.people for side in found.gaps}
    assert (told["0"].value, told["1"].value) == (0.0, 0.0)
    assert gap_name(9) == "3+"


def test_certainty_is_held_against_what_people_said():
    """0.8 for the first: right once, wrong once; 0.1 for it, so 0.9 for the other: right, tie."""
    items = [
        item(1, AB, [AB, BA], softs=[Soft(0, 1, 0.8)]),
        item(2, BA, [BA, TIE], softs=[Soft(0, 1, 0.1)]),
    ]
    found = figures(items, least=1)
    assert [one.certainty for one in found.bins] == [pytest.approx(0.8), pytest.approx(0.9)]
    assert [(one.agreed.value, one.agreed.pairs) for one in found.bins] == [(0.5, 2), (0.75, 2)]
    assert [(round(one.low, 1), round(one.high, 1)) for one in found.bins] == [
        (0.8, 0.9),
        (0.9, 1.0),
    ]
    assert found.error == pytest.approx((0.3 * 2 + 0.15 * 2) / 4)


def test_a_pair_may_be_named_the_other_way_round():
    items = [item(1, AB, [AB], softs=[Soft(1, 0, 0.3)]), item(2, AB, [AB], softs=[Soft(1, 0, 0.5)])]
    low, sure = figures(items, least=1).bins
    assert (low.certainty, low.agreed.value) == (0.5, 0.5)
    assert (sure.certainty, sure.agreed.value) == (0.7, 1.0)


def test_lean_and_consistency_are_means_over_pairs_clustered_by_comparison():
    items = [
        item(1, AB, [AB], softs=[Soft(0, 1, 0.6, lean=0.4, consistent=False)]),
        item(2, AB, [AB], softs=[Soft(0, 1, 0.9, lean=0.2)]),
    ]
    found = figures(items, least=1)
    assert found.lean.value == pytest.approx(0.3)
    assert found.lean.low < 0.3 < found.lean.high
    assert found.consistent.value == 0.5
    assert figures(items[:1], least=1).lean is None


def test_the_drawing_puts_a_judge_that_is_right_as_often_as_sure_on_the_diagonal():
    items = [item(n, AB, [AB if n < 3 else BA], softs=[Soft(0, 1, 0.75)]) for n in range(4)]
    drawn = reliability(figures(items, least=1).bins)
    (dot,) = drawn.dots
    assert (dot.x, dot.radius) == (50 + (SIZE - 62) / 2, 8)
    assert dot.y == pytest.approx(SIZE - 26 - (SIZE - 38) * 0.75)
    assert dot.high_y < dot.y < dot.low_y
    assert reliability([]) is None


# --- routing --------------------------------------------------------------------------------------


def share(value: float, low: float, high: float) -> Share:
    return Share(value, low, high, 100, 50)


def test_unsure_goes_before_a_weak_topic():
    rule = Rule(least_certainty=0.7, weak_topics=frozenset({"poems"}))
    unsure, sure = [Soft(0, 1, 0.6), Soft(0, 2, 0.3)], [Soft(0, 1, 0.1)]
    assert mean_certainty(unsure) == pytest.approx(0.65)
    assert route(unsure, ["poems"], rule) == Route("unsure", certainty=pytest.approx(0.65))
    assert route(sure, ["chess", "poems"], rule) == Route("weak_topic", "poems", 0.9)
    assert route(sure, ["chess"], rule) is None


def test_a_half_sends_nothing_on_and_no_labels_are_not_unsure():
    assert route([Soft(0, 1, 0.5)], [], Rule()) is None
    assert route([], [], Rule(least_certainty=1.0)) is None
    assert route([], ["poems"], Rule(1.0, {"poems"})) == Route("weak_topic", "poems", None)


def test_weak_is_what_is_known_to_be_below_people():
    people = share(0.7, 0.6, 0.8)
    assert is_weak(share(0.5, 0.4, 0.69), people)
    assert not is_weak(share(0.5, 0.4, 0.71), people)
    assert not is_weak(None, people)
    assert not is_weak(share(0.1, 0.0, 0.2), None)
    assert is_weak(share(0.1, 0.0, 0.2), None, least=0.25)
    topics = [
        Side("chess", share(0.5, 0.4, 0.6), share(0.55, 0.5, 0.6)),
        Side("poems", share(0.5, 0.4, 0.6), None),
    ]
    assert weak_topics(topics, Side("", None, people)) == {"poems"}


# --- samples --------------------------------------------------------------------------------------


def test_every_topic_gives_as_evenly_as_it_can():
    strata = {"a": list(range(100)), "b": [200, 201], "": [300]}
    drawn = stratified(strata, 9, seed=1)
    assert len(set(drawn)) == 9
    assert {200, 201, 300} <= set(drawn)
    assert sum(pk < 100 for pk in drawn) == 6
    assert drawn == stratified(strata, 9, seed=1)
    assert drawn != stratified(strata, 9, seed=2)
    assert len(stratified(strata, 500, seed=1)) == 103
    assert stratified({}, 5, seed=1) == []
