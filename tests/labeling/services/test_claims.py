"""The claim behind the front: an annotator's own work in front hides nothing and is passed once.

The front is two rows here. A comparison with overlap 2 that was judged once has one slot left.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Assignment, Comparison, Project, User
from labeling.services import claims
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from tests.factories import make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _short_front(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(claims, "FRONT", 2)
    cache.clear()
    yield
    cache.clear()


def _claimed(person: User, project: Project) -> int | None:
    """Return the comparison that the person is given next."""
    card = claim_next(actor=person, project=project)
    if card is None:
        return None
    return Assignment.objects.get(uid=card.assignment_uid).comparison_id


def _judge(person: User, project: Project) -> int:
    """Have the person judge what they are given; return which comparison it was."""
    card = claim_next(actor=person, project=project)
    assert card is not None
    judgement = submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[0, 1]], touched=True),
        idempotency_key=str(card.assignment_uid),
    )
    return judgement.comparison_id


def _with_own_work_in_front(own: int, others: int) -> tuple[Project, User, list[Comparison]]:
    """Return a project in which one person judged the first comparisons, another the rest.

    All want one judgement more, so that the queue is in the order of ids.
    """
    project = make_project()
    made = [make_comparison(project, k=2, overlap=2) for _ in range(own + others)]
    person, other = make_member(project), make_member(project)
    for _ in range(own):
        _judge(person, project)
    for _ in range(others):
        _judge(other, project)
    assert {c.open_slots for c in project.comparisons.all()} == {1}
    return project, person, made


def _claims(captured: CaptureQueriesContext) -> int:
    return sum("picked AS" in query["sql"] for query in captured.captured_queries)


def test_claim_finds_what_stands_behind_ones_own_work() -> None:
    project, person, made = _with_own_work_in_front(own=4, others=3)
    assert [_judge(person, project) for _ in range(3)] == [c.pk for c in made[4:]]
    assert _claimed(person, project) is None


def test_claim_goes_on_from_where_the_last_search_ended() -> None:
    """The first looks at the front and from the start, the second at the front and from there."""
    project, person, made = _with_own_work_in_front(own=4, others=3)
    assert _judge(person, project) == made[4].pk
    place = cache.get(f"queue-search-{person.annotators.get().pk}").place
    assert (place.priority, place.open_slots, place.id) == (0, 1, made[4].pk)
    with CaptureQueriesContext(connection) as captured:
        assert _judge(person, project) == made[5].pk
    assert _claims(captured) == 2


@pytest.mark.parametrize(
    "change",
    [{"overlap": 3, "open_slots": 2}, {"priority": 9}],
    ids=["more slots", "higher priority"],
)
def test_claim_sees_at_once_what_comes_into_the_front(change: dict[str, Any]) -> None:
    project, person, made = _with_own_work_in_front(own=4, others=3)
    assert _judge(person, project) == made[4].pk
    Comparison.objects.filter(pk=made[6].pk).update(**change)
    assert _claimed(person, project) == made[6].pk


@pytest.mark.parametrize(
    "change",
    [{"priority": -1}, {"priority": 0}],
    ids=["lower priority", "fewer slots"],
)
def test_claim_goes_on_into_the_ranks_behind(change: dict[str, Any]) -> None:
    """What the person judged has two slots left, but for one comparison all of the others' have."""
    project, person, made = _with_own_work_in_front(own=4, others=2)
    Comparison.objects.filter(pk__in=[c.pk for c in made[:5]]).update(overlap=3, open_slots=2)
    Comparison.objects.filter(pk=made[5].pk).update(**change)
    assert [_judge(person, project), _judge(person, project)] == [made[4].pk, made[5].pk]


def test_nothing_left_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole queue is searched once; a slot that comes back behind the front waits its time."""
    project, person, made = _with_own_work_in_front(own=4, others=1)
    blocked = Comparison.objects.filter(pk=made[4].pk)
    blocked.update(open_slots=0)
    assert _claimed(person, project) is None
    blocked.update(open_slots=1)
    with CaptureQueriesContext(connection) as captured:
        assert _claimed(person, project) is None
    assert _claims(captured) == 1
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert _claimed(person, project) == made[4].pk


def test_search_from_the_start_comes_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that comes back before the remembered place is found by the next search."""
    project, person, made = _with_own_work_in_front(own=3, others=4)
    Comparison.objects.filter(pk=made[3].pk).update(open_slots=0)
    assert _judge(person, project) == made[4].pk
    Comparison.objects.filter(pk=made[3].pk).update(open_slots=1)
    assert _judge(person, project) == made[5].pk
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert _judge(person, project) == made[3].pk
