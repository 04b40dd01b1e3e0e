"""Reads of progress: a person's own, and a project's.

What a person did is counted in comparisons: a revision is no further work.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone

from labeling.domain.pace import BREAK_DUE_MINUTES, BREAK_MINUTES, days_in_a_row
from labeling.models import (
    Annotator,
    Candidate,
    Comparison,
    Judgement,
    PreferencePair,
    Project,
    Prompt,
    User,
)
from labeling.selectors.projects import judgements_by_day
from labeling.selectors.queue import queue_size, start_of_today
from labeling.selectors.revisions import standing_judgements

STREAK_DAYS = 84  # how far back days in a row are counted
_LOOK_BACK = timedelta(hours=12)  # nobody works longer than that without a break

_PACE = """
SELECT count(*) FILTER (WHERE j.created_at >= %(today)s),
       count(*),
       count(*) FILTER (WHERE j.created_at >= %(hour)s),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY j.active_ms)
           FILTER (WHERE j.created_at >= %(hour)s)
  FROM labeling_judgement j JOIN labeling_annotator n ON n.id = j.annotator_id
 WHERE n.project_id = %(project)s AND n.user_id = %(user)s AND j.supersedes_id IS NULL
"""

# A judgement began its active time before it was submitted; a stretch of work begins with one that
# came long after the one before. Work in any project is work.
_STRETCH = """
WITH own AS (
    SELECT n.project_id, j.created_at, j.supersedes_id,
           j.created_at - make_interval(secs => coalesce(j.active_ms, 0) / 1000.0) AS began,
           lag(j.created_at) OVER (ORDER BY j.created_at) AS ended_before
      FROM labeling_judgement j JOIN labeling_annotator n ON n.id = j.annotator_id
     WHERE n.user_id = %(user)s AND j.created_at >= %(since)s
)
SELECT count(*) FILTER (WHERE project_id = %(project)s AND created_at >= %(today)s
                          AND supersedes_id IS NULL),
       max(began) FILTER (WHERE ended_before IS NULL OR began - ended_before >= %(break)s),
       max(created_at)
  FROM own
"""


@dataclass(frozen=True)
class OwnProgress:
    """How much one person has judged."""

    done_today: int
    done_total: int


@dataclass(frozen=True)
class OwnPace:
    """How one person's work goes: counts, this hour's pace, and the days behind it.

    `median_s` is the median active time of this hour's comparisons in seconds, None without any.
    """

    done_today: int
    done_total: int
    done_this_hour: int
    median_s: float | None
    days: list[tuple[date, int]]
    days_in_a_row: int


@dataclass(frozen=True)
class PaceNote:
    """What the ranking page tells in passing: done today, left open, minutes since a break."""

    done_today: int
    left_open: int
    minutes_since_break: int

    @property
    def break_due(self) -> bool:
        """Whether a break does good."""
        return self.minutes_since_break >= BREAK_DUE_MINUTES


@dataclass(frozen=True)
class ProjectProgress:
    """How much there is in a project, and how much of it is judged."""

    prompts: int
    candidates: int
    comparisons: int
    open: int
    closed: int
    judgements: int
    pairs: int
    annotators: int

    @property
    def closed_share(self) -> float:
        """The share of comparisons, 0 to 1, whose overlap is met."""
        return self.closed / self.comparisons if self.comparisons else 0.0


def own_progress(user: User, project: Project) -> OwnProgress:
    """Return what the account judged in the project, today in its own time zone and in all."""
    own = Judgement.objects.filter(
        annotator__user=user, annotator__project=project, supersedes=None
    )
    today = Q(created_at__gte=start_of_today())
    counted = own.aggregate(today=Count("pk", filter=today), total=Count("pk"))
    return OwnProgress(done_today=counted["today"], done_total=counted["total"])


def own_pace(user: User, project: Project) -> OwnPace:
    """Return how the account's work in the project goes; two reads.

    Days in a row are counted back to STREAK_DAYS days ago.
    """
    values: dict[str, Any] = {
        "user": user.pk,
        "project": project.pk,
        "today": start_of_today(),
        "hour": timezone.now() - timedelta(hours=1),
    }
    with connection.cursor() as cursor:
        cursor.execute(_PACE, values)
        today, total, hour, median_ms = cursor.fetchone()
    days = judgements_by_day(project, days=STREAK_DAYS, user=user)
    worked = [day for day, count in days if count]
    return OwnPace(
        done_today=today,
        done_total=total,
        done_this_hour=hour,
        median_s=None if median_ms is None else median_ms / 1000,
        days=days,
        days_in_a_row=days_in_a_row(worked, timezone.localdate()),
    )


def pace_note(user: User, project: Project) -> PaceNote:
    """Return the account's day so far, in one read beside the queue's remembered size.

    Minutes count from the beginning of the stretch of work, in any project, that no break of
    BREAK_MINUTES has ended; a break that lasts till now has ended it.
    """
    now, today, rest = timezone.now(), start_of_today(), timedelta(minutes=BREAK_MINUTES)
    values: dict[str, Any] = {
        "user": user.pk,
        "project": project.pk,
        "today": today,
        "since": min(today, now - _LOOK_BACK),
        "break": rest,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STRETCH, values)
        done, began, last = cursor.fetchone()
    worked = now - began if last is not None and now - last < rest else timedelta()
    return PaceNote(done, queue_size(project), int(worked.total_seconds() // 60))


def own_judgements(user: User, project: Project, *, limit: int = 20) -> list[Judgement]:
    """Return the account's newest judgements, in the order in which one goes back to them."""
    rows = standing_judgements(user, project).select_related("comparison__prompt")
    return list(rows[:limit])


def project_progress(project: Project) -> ProjectProgress:
    """Return the project's counts."""
    comparisons = Comparison.objects.filter(project=project).exclude(state=Comparison.State.GOLD)
    total = comparisons.count()
    judged = Judgement.objects.filter(comparison__project=project)
    return ProjectProgress(
        prompts=Prompt.objects.filter(project=project).count(),
        candidates=Candidate.objects.filter(prompt__project=project).count(),
        comparisons=total,
        open=comparisons.filter(state=Comparison.State.OPEN).count(),
        closed=comparisons.filter(state=Comparison.State.CLOSED).count(),
        judgements=judged.filter(superseded_by=None).count(),
        pairs=PreferencePair.objects.filter(
            judgement__comparison__project=project, judgement__superseded_by=None
        ).count(),
        annotators=Annotator.objects.filter(project=project).count(),
    )
