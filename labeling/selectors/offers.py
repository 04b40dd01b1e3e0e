"""Reads of the prompts that people offered."""

from django.db.models import QuerySet

from labeling.models import OfferedPrompt, Project, User


def offers_of(project: Project, author: User) -> QuerySet[OfferedPrompt]:
    """Return what a person offered and did not take back, newest first."""
    rows = OfferedPrompt.objects.filter(project=project, author=author)
    return rows.exclude(state=OfferedPrompt.State.WITHDRAWN).select_related("prompt")


def held_offers(project: Project) -> QuerySet[OfferedPrompt]:
    """Return what waits for a manager, oldest first."""
    rows = OfferedPrompt.objects.filter(project=project, state=OfferedPrompt.State.HELD)
    return rows.select_related("author").order_by("pk")
