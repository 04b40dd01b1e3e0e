"""Own numbers: what counts as done, the pace of this hour, the stretch since the last break."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.utils import timezone

from labeling.models import Comparison, User
from labeling.selectors.progress import (
    own_pace,
    own_progress,
    pace_note,
    project_progress,
)
from labeling.services.gold import set_gold
from tests.factories import make_comparison, make_member, make_project, owner_of
from tests.labeling.selectors.judging import judged

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)  # a Wednesday


@pytest.fixture(autouse=True)
def _afternoon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    cache.clear()


@pytest.fixture
def person() -> User:
    """Return somebody in a project of one comparison."""
    return make_member(make_project())


def comparison_of(person: User, overlap: int = 1) -> Comparison:
    """Return a new comparison in the person's project."""
    return make_comparison(person.memberships.get().project, k=2, overlap=overlap)


def before(**ago: float) -> datetime:
    """Return a moment before now."""
    return NOW - timedelta(**ago)


def test_own_progress_counts_comparisons_not_revisions(
    person: User, django_assert_num_queries
) -> None:
    first = judged(person, comparison_of(person), at=before(days=1))
    judged(person, first.comparison, supersedes=first)
    judged(person, comparison_of(person))
    other = make_member(first.project)
    judged(other, first.comparison)
    with django_assert_num_queries(1):
        own = own_progress(person, first.project)
    assert (own.done_today, own.done_total) == (1, 2)


def test_own_pace_is_the_median_of_this_hour(person: User, django_assert_num_queries) -> None:
    """20, 30 and 100 seconds: 30. What took no measured time counts, what came before not."""
    for seconds, minutes in ((20, 5), (30, 10), (100, 50), (500, 61)):
        judged(person, comparison_of(person), at=before(minutes=minutes), active_ms=seconds * 1000)
    made = judged(person, comparison_of(person), at=before(minutes=1))
    judged(make_member(made.project), made.comparison, active_ms=1)
    with django_assert_num_queries(2):
        pace = own_pace(person, made.project)
    assert (pace.median_s, pace.done_this_hour) == (30, 4)
    assert (pace.done_today, pace.done_total) == (5, 5)
    assert pace.days[-1] == (NOW.date(), 5)


def test_own_pace_of_nobody_yet(person: User) -> None:
    pace = own_pace(person, comparison_of(person).project)
    assert (pace.median_s, pace.done_total, pace.days_in_a_row) == (None, 0, 0)


def test_own_pace_counts_days_in_the_readers_time_zone(person: User) -> None:
    """Friday, Monday and Tuesday in New York; in UTC the last was Wednesday's."""
    for at in (before(days=5), before(days=2), before(hours=13)):
        judged(person, comparison_of(person), at=at)
    project = person.memberships.get().project
    with timezone.override(ZoneInfo("America/New_York")):
        assert own_pace(person, project).days_in_a_row == 3
        assert own_pace(person, project).done_today == 0
    assert own_pace(person, project).done_today == 1


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ((), 0),
        # (minutes ago, active minutes): began 30 minutes ago, one after the other
        (((25, 5), (14, 9), (1, 8)), 30),
        # eleven minutes lie between the first and the beginning of the second
        (((25, 5), (4, 10)), 14),
        # ten minutes of reading are work, not a break
        (((25, 5), (3, 20)), 30),
        (((90, 5), (75, 8), (60, 8), (50, 4)), 0),  # the break lasts till now
        (((0, 1),), 1),
    ],
)
def test_pace_note_counts_minutes_since_the_last_break(
    person: User, work: tuple[tuple[float, float], ...], expected: int
) -> None:
    project = comparison_of(person).project
    for ago, active in work:
        judged(
            person, comparison_of(person), at=before(minutes=ago), active_ms=int(active * 60_000)
        )
    note = pace_note(person, project)
    assert note.minutes_since_break == expected
    assert not note.break_due


def test_pace_note_suggests_a_break_after_an_hour_in_any_project(
    person: User, django_assert_num_queries
) -> None:
    project = comparison_of(person).project
    elsewhere = make_comparison(make_project(), k=2)
    judged(person, comparison_of(person), at=before(minutes=58), active_ms=120_000)
    for minutes in range(50, -1, -10):
        judged(person, elsewhere, at=before(minutes=minutes + 1), active_ms=60_000)
    cache.clear()
    with django_assert_num_queries(2):
        note = pace_note(person, project)
    with django_assert_num_queries(2):
        assert pace_note(person, project) == note
    assert (note.done_today, note.left_open, note.minutes_since_break) == (1, 2, 60)
    assert note.break_due


def test_project_progress_leaves_gold_out_of_what_is_to_be_done(person: User) -> None:
    comparison = comparison_of(person)
    project = comparison.project
    comparison_of(person)
    set_gold(actor=owner_of(project), comparison=comparison, tiers=[[0], [1]])
    progress = project_progress(project)
    assert (progress.comparisons, progress.open, progress.closed) == (1, 1, 0)
