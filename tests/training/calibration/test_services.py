"""Calibration by rows: what is read, samples that are shared, comparisons that go on to people."""

from typing import Any

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import AuditEvent, Comparison
from labeling.services.assignments import claim_next
from labeling.services.gold import set_gold
from labeling.services.more_people import ask_people
from tests.factories import make_comparison, make_member, make_project, owner_of
from tests.training.calibration.world import (
    FIRST,
    SECOND,
    ai_says,
    judged,
    left_to_ai,
    make_judge,
    people_say,
)
from training.calibration import selectors, services
from training.calibration.models import RoutedComparison, SharedSample
from training.calibration.selectors import calibration_of, routed_by, samples_of, to_route
from training.calibration.services import draw_shared_sample, route_to_people

pytestmark = pytest.mark.django_db


def state(comparison: Comparison) -> tuple[str, int, int]:
    comparison.refresh_from_db()
    return comparison.state, comparison.overlap, comparison.open_slots


@pytest.fixture
def few(monkeypatch):
    """Show shares from the first pair on."""
    monkeypatch.setattr(selectors, "LEAST_PAIRS", 1)


def test_a_judge_is_held_against_people_on_what_both_judged(few):
    project = make_project()
    judge = make_judge(project)
    judged(project, judge, [FIRST, FIRST], "chess", soft=0.9)
    judged(project, judge, [FIRST, SECOND], "poems", soft=0.8, lean=0.2, consistent=False)
    make_comparison(project, k=2)
    found = calibration_of(judge.annotator)
    figures = found.figures
    assert figures.comparisons == 2
    assert (figures.overall.judge.value, figures.overall.people.value) == (0.75, 0.5)
    assert [(side.name, side.judge.value) for side in figures.topics] == [
        ("chess", 1.0),
        ("poems", 0.5),
    ]
    assert figures.lean.value == pytest.approx(0.1)
    assert (found.on_shared, found.is_all) == (True, True)


def test_people_among_themselves_stand_in_where_none_shared_an_item(few):
    project = make_project()
    judge = make_judge(project)
    judged(project, judge, [FIRST])
    make_comparison(project, k=2, overlap=2)
    people_say(project, [FIRST, SECOND])
    found = calibration_of(judge.annotator)
    assert not found.on_shared
    assert found.figures.comparisons == 1
    assert found.figures.overall.people.value == 0.0


def test_what_another_judge_says_changes_nothing(few):
    project = make_project()
    judge, other = make_judge(project), make_judge(project, "other")
    comparison = judged(project, judge, [FIRST, FIRST])
    ai_says(other, comparison, SECOND)
    assert calibration_of(judge.annotator).figures.overall.judge.value == 1.0
    assert calibration_of(other.annotator).figures.overall.judge.value == 0.0


def test_what_the_judge_left_to_people_tells_of_its_certainty_but_of_no_agreement(few):
    project = make_project()
    judge = make_judge(project)
    judged(project, judge, [FIRST, FIRST], "chess", soft=0.9)
    unsure = left_to_ai(project, judge, 0.55, "poems")
    route_to_people(actor=None, annotator=judge.annotator, least_certainty=0.6, people=2)
    people_say(project, [SECOND, SECOND])
    figures = calibration_of(judge.annotator).figures
    assert (figures.overall.judge.value, figures.overall.people.pairs) == (1.0, 1)
    assert [side.name for side in figures.topics] == ["chess"]
    assert [side.judge and side.judge.pairs for side in figures.gaps] == [None, 2, None, None]
    assert [(one.agreed.value, one.agreed.pairs) for one in figures.bins] == [(0.0, 2), (1.0, 2)]
    sample = SharedSample.objects.create(project=project, annotator=judge.annotator, people=2)
    sample.comparisons.add(unsure)
    assert calibration_of(judge.annotator).figures.overall.judge.value == 0.5


def test_labels_that_do_not_hold_are_left_out(few):
    project = make_project()
    judge = make_judge(project)
    judged(project, judge, [FIRST], soft=7.0)
    assert calibration_of(judge.annotator).figures.bins == []


def test_calibration_costs_three_reads_or_five(few, django_assert_num_queries):
    project = make_project()
    judge = make_judge(project)
    judged(project, judge, [FIRST])
    make_comparison(project, k=2, overlap=2)
    people_say(project, [FIRST, FIRST])
    for more in range(2):
        with django_assert_num_queries(5 if not more else 3):
            calibration_of(judge.annotator)
        judged(project, judge, [FIRST, FIRST], "chess")


# --- more people ----------------------------------------------------------------------------------


def test_people_are_asked_until_so_many_have_judged():
    project = make_project()
    closed = make_comparison(project, k=2)
    people_say(project, [FIRST])
    open_one, leased = make_comparison(project, k=2), make_comparison(project, k=2, overlap=1)
    enough = make_comparison(project, k=2, overlap=4)
    Comparison.objects.filter(pk=leased.pk).update(priority=5)
    claim_next(actor=make_member(project, "annotator"), project=project)
    ids = [row.pk for row in (closed, open_one, leased, enough)]
    opened = ask_people(actor=None, project=project, comparison_ids=ids, people=3)
    assert opened == sorted([closed.pk, open_one.pk, leased.pk])
    assert state(closed) == ("open", 3, 2)
    assert state(open_one) == ("open", 3, 3)
    assert state(leased) == ("open", 3, 2)
    assert state(enough) == ("open", 4, 4)
    assert ask_people(actor=None, project=project, comparison_ids=ids, people=3) == []


def test_what_ai_said_does_not_count_for_people_and_gold_is_left_alone():
    project = make_project()
    judge = make_judge(project)
    by_ai = left_to_ai(project, judge, 0.9)
    assert state(by_ai) == ("closed", 1, 0)
    gold = make_comparison(project, k=2)
    set_gold(actor=owner_of(project), comparison=gold, tiers=FIRST)
    withdrawn = make_comparison(project, k=2)
    Comparison.objects.filter(pk=withdrawn.pk).update(state="withdrawn", open_slots=0)
    ids = [by_ai.pk, gold.pk, withdrawn.pk]
    assert ask_people(actor=None, project=project, comparison_ids=ids, people=2) == [by_ai.pk]
    assert state(by_ai) == ("open", 2, 2)
    people_say(project, [FIRST, FIRST])
    assert state(by_ai)[0] == "closed"
    with pytest.raises(InvalidInput):
        ask_people(actor=None, project=project, comparison_ids=ids, people=0)


# --- shared samples -------------------------------------------------------------------------------


def test_a_sample_asks_both_people_and_the_judge():
    project = make_project()
    judge = make_judge(project)
    for tag in ("chess", "poems"):
        for _ in range(2):
            judged(project, judge, [FIRST], tag)
    fresh = make_comparison(project, k=2)
    drawn = draw_shared_sample(actor=None, project=project, judge=judge, count=3, people=2)
    shared = list(drawn.sample.comparisons.order_by("pk"))
    assert fresh in shared  # the one without a tag is a topic of its own
    assert len({tuple(row.prompt.tags.values_list("name", flat=True)) for row in shared}) == 3
    assert all(state(row)[:2] == ("open", 2) for row in shared)
    assert drawn.run.judging.comparison_ids == [fresh.pk]
    row: Any = samples_of(judge.annotator)[0]
    assert (row.size, row.judged, row.closed) == (3, 2, 0)
    again = draw_shared_sample(actor=None, project=project, judge=judge, count=9, seed=5)
    assert again.sample.comparisons.count() == 2
    assert again.run is None
    with pytest.raises(InvalidInput) as error:
        draw_shared_sample(actor=None, project=project, judge=judge, count=1)
    assert "count" in error.value.errors
    assert AuditEvent.objects.filter(verb="calibration.sample").count() == 2


def test_a_sample_that_can_not_be_is_refused_by_field():
    project, other = make_project(), make_project()
    make_comparison(project, k=2)
    judge = make_judge(other)
    with pytest.raises(InvalidInput) as error:
        draw_shared_sample(actor=None, project=project, judge=judge, count=0, people=99, seed=-1)
    assert set(error.value.errors) == {"count", "people", "seed", "judge"}
    assert not SharedSample.objects.exists()


# --- routing --------------------------------------------------------------------------------------


def test_what_the_judge_is_unsure_of_goes_to_people_once():
    project = make_project()
    judge = make_judge(project)
    unsure, sure = left_to_ai(project, judge, 0.55), left_to_ai(project, judge, 0.05)
    made = route_to_people(actor=None, annotator=judge.annotator, least_certainty=0.6, people=2)
    (row,) = made
    assert (row.comparison, row.reason, row.confidence) == (unsure, "unsure", 0.55)
    assert state(unsure) == ("open", 2, 2)
    assert state(sure) == ("closed", 1, 0)
    assert route_to_people(actor=None, annotator=judge.annotator, least_certainty=0.6) == []
    people_say(project, [FIRST, FIRST])
    (told,) = routed_by(judge.annotator)
    assert (told.reason, told.topic, told.comparisons, told.judged) == ("unsure", "", 1, 1)
    assert AuditEvent.objects.filter(verb="comparisons.route").count() == 1


def test_what_is_sent_on_is_read_without_the_judges_reasons(django_assert_num_queries):
    project = make_project()
    judge = make_judge(project)
    sure, not_sure = (left_to_ai(project, judge, soft=soft) for soft in (0.95, 0.6))
    with django_assert_num_queries(1) as asked:
        found = to_route(judge.annotator)
    assert [(pk, [one.probability for one in softs]) for pk, softs in found] == [
        (sure.pk, [0.95]),
        (not_sure.pk, [0.6]),
    ]
    assert "\"provenance\" -> 'pairs'" in asked[0]["sql"]
    assert '"provenance",' not in asked[0]["sql"]


def test_topics_on_which_the_judge_is_known_to_be_weak_go_to_people(monkeypatch):
    project = make_project()
    judge = make_judge(project)
    poem, game = left_to_ai(project, judge, 0.9, "poems"), left_to_ai(project, judge, 0.9, "chess")
    found = calibration_of(judge.annotator)
    weak = type(found)(found.figures, True, True, frozenset({"poems"}))
    monkeypatch.setattr(services, "calibration_of", lambda annotator: weak)
    (row,) = route_to_people(actor=None, annotator=judge.annotator)
    assert (row.comparison, row.reason, row.tag) == (poem, "weak_topic", "poems")
    assert state(game)[0] == "closed"


def test_only_what_waits_for_no_person_goes_on():
    project = make_project()
    judge = make_judge(project)
    judged(project, judge, [FIRST], soft=0.5)
    wanted, other = left_to_ai(project, judge, 0.5), left_to_ai(project, judge, 0.5)
    made = route_to_people(
        actor=None,
        annotator=judge.annotator,
        least_certainty=0.9,
        comparison_ids=[wanted.pk],
    )
    assert [row.comparison for row in made] == [wanted]
    assert state(other)[0] == "closed"
    with pytest.raises(InvalidInput) as error:
        route_to_people(actor=None, annotator=judge.annotator, least_certainty=0.4)
    assert "least_certainty" in error.value.errors
    assert RoutedComparison.objects.count() == 1
