"""Reads of projects: whose they are and what was done in them."""

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from labeling.models import Judgement, Role
from labeling.selectors.projects import audit_rows, judgements_by_day, member_rows, own_projects
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from tests.factories import (
    make_admin,
    make_comparison,
    make_member,
    make_project,
    make_user,
)

pytestmark = pytest.mark.django_db


def test_own_projects_are_those_of_the_member_by_name() -> None:
    first, second = make_project(name="Zebra"), make_project(name="Ant")
    make_project(name="Other")
    user = make_member(first, Role.VIEWER)
    make_member(second, Role.MANAGER, user)
    found = own_projects(user)
    assert [(own.project, own.role) for own in found] == [(second, "manager"), (first, "viewer")]
    assert own_projects(make_user()) == []


def test_own_projects_of_a_site_admin_are_all() -> None:
    project = make_project()
    assert project in [own.project for own in own_projects(make_admin())]


def test_member_rows_and_audit_rows_are_of_the_project_alone() -> None:
    project, other = make_project(), make_project()
    make_member(other)
    assert {m.project_id for m in member_rows(project)} == {project.pk}
    events = list(audit_rows(project))
    assert {event.project_id for event in events} == {project.pk}
    assert [e.pk for e in events] == sorted((e.pk for e in events), reverse=True)


def test_judgements_by_day_counts_in_the_readers_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 16:30 UTC it is already 01:30 of the next day in Tokyo: the same moment, another day."""
    now = datetime(2026, 3, 2, 16, 30, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)
    project = make_project()
    make_comparison(project)
    user = make_member(project)
    card = claim_next(actor=user, project=project)
    assert card is not None
    submit_judgement(
        actor=user,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[0, 1, 2, 3]], touched=True),
        idempotency_key="k",
    )
    assert Judgement.objects.get(project=project).created_at == now
    with timezone.override(zoneinfo.ZoneInfo("Asia/Tokyo")):
        tokyo = judgements_by_day(project, days=3)
    with timezone.override(UTC):
        utc = judgements_by_day(project, days=3)
        strangers = judgements_by_day(project, days=3, user=make_user())
    assert [(str(day), n) for day, n in tokyo] == [
        ("2026-03-01", 0),
        ("2026-03-02", 0),
        ("2026-03-03", 1),
    ]
    assert [n for _, n in utc] == [0, 0, 1]
    assert utc[-1][0] == tokyo[-1][0] - timedelta(days=1)
    assert [n for _, n in strangers] == [0, 0, 0]
