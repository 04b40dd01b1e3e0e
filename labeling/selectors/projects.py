"""Reads of projects: whose they are, who works in them, and what was done in them."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.models import Annotator, AuditEvent, Judgement, Membership, Project, User
from labeling.selectors.queue import start_of_today


@dataclass(frozen=True)
class OwnProject:
    """A project as one account sees it; the role is empty for a site admin who is no member."""

    project: Project
    role: str
    role_label: str


def own_projects(user: User) -> list[OwnProject]:
    """Return the projects that the account may open, by name."""
    memberships = Membership.objects.filter(user=user).select_related("project")
    by_project = {m.project_id: m for m in memberships}
    if user.is_site_admin:
        projects = list(Project.objects.all())
    else:
        projects = sorted((m.project for m in by_project.values()), key=lambda p: (p.name, p.pk))
    rows = [(project, by_project.get(project.pk)) for project in projects]
    return [OwnProject(p, m.role if m else "", m.get_role_display() if m else "") for p, m in rows]


def member_rows(project: Project) -> QuerySet[Membership]:
    """Return the members with their accounts, by user name."""
    return (
        Membership.objects.filter(project=project).select_related("user").order_by("user__username")
    )


def guideline_read_version(user: User, project: Project) -> int:
    """Return the newest version of the guidelines that the account has read there, 0 for none."""
    rows = Annotator.objects.filter(user=user, project=project)
    return rows.values_list("guideline_read", flat=True).first() or 0


def audit_rows(project: Project) -> QuerySet[AuditEvent]:
    """Return what was done in the project, newest first."""
    return AuditEvent.objects.filter(project=project).select_related("actor").order_by("-id")


def judgements_by_day(
    project: Project, *, days: int = 14, user: User | None = None
) -> list[tuple[date, int]]:
    """Return the numbers of comparisons judged on each of the last days, today last.

    Days are the reader's own; with `user`, only that account's judgements are counted.
    """
    first = start_of_today() - timedelta(days=days - 1)
    rows = Judgement.objects.filter(
        annotator__project=project, created_at__gte=first, supersedes=None
    )
    if user is not None:
        rows = rows.filter(annotator__user=user)
    counted = rows.annotate(day=TruncDate("created_at")).values_list("day").annotate(n=Count("id"))
    by_day = dict(counted.order_by("day"))
    today = timezone.localdate()
    return [
        (day, by_day.get(day, 0))
        for day in (today - timedelta(days=back) for back in range(days - 1, -1, -1))
    ]
