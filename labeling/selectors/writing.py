"""Reads of the writing queue: the card that a writer sees, and what is left to write."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, QuerySet, Sum

from labeling.domain.content import reply_text, text_of
from labeling.domain.rendering import render_text
from labeling.models import Demonstration, Project, Prompt, User, WritingAssignment
from labeling.models.prompts import State
from labeling.selectors.queue import CardMessage, start_of_today


@dataclass(frozen=True, slots=True)
class WritingCard:
    """All that the writing page shows of one prompt. It holds no row id and no other's reply."""

    assignment_uid: UUID
    messages: tuple[CardMessage, ...]
    expires_at: datetime
    guideline_version: int
    draft: str
    draft_revision: int
    done_today: int
    left: int


@dataclass(frozen=True, slots=True)
class WrittenReply:
    """A demonstration as a manager reads it; the HTML is made for the reading."""

    demonstration: Demonstration
    html: str


def _current(project: Project) -> QuerySet[Demonstration]:
    """Return what was written in the project's queue, corrections in place of what they correct."""
    rows = Demonstration.objects.filter(annotator__project=project, superseded_by=None)
    return rows.exclude(assignment=None)


def wanted_prompts(project: Project) -> QuerySet[Prompt]:
    """Return the prompts that replies are to be written to, done or not."""
    rows = Prompt.objects.filter(project=project, state=State.ACTIVE)
    return rows.filter(tags__name=project.demonstration_tag) if project.demonstration_tag else rows


def writing_left(project: Project) -> int:
    """Return how many replies are still wanted of a project, those being written not counted."""
    each = project.demonstrations_per_prompt
    if not each:
        return 0
    open_prompts = wanted_prompts(project).filter(writer_count__lt=each)
    return open_prompts.aggregate(left=Sum(each - F("writer_count")))["left"] or 0


def written_today(user: User, project: Project) -> int:
    """Return how many replies the account wrote today, in its own time zone."""
    own = _current(project).filter(annotator__user=user, assignment__ended_at__gte=start_of_today())
    return own.count()


def writing_card(assignment_id: int) -> WritingCard:
    """Return the card of an assignment."""
    rows = WritingAssignment.objects.select_related("prompt__project", "annotator", "guideline")
    assignment = rows.get(pk=assignment_id)
    prompt, project = assignment.prompt, assignment.prompt.project
    own = _current(project).filter(annotator=assignment.annotator)
    return WritingCard(
        assignment_uid=assignment.uid,
        messages=messages_of(prompt),
        expires_at=assignment.expires_at,
        guideline_version=assignment.guideline.version if assignment.guideline else 0,
        draft=assignment.draft,
        draft_revision=assignment.draft_revision,
        done_today=own.filter(assignment__ended_at__gte=start_of_today()).count(),
        left=writing_left(project),
    )


def messages_of(prompt: Prompt) -> tuple[CardMessage, ...]:
    """Return a prompt's conversation for a card."""
    return tuple(
        CardMessage(message["role"], html, text_of(message))
        for message, html in zip(prompt.messages, prompt.html, strict=True)
    )


def last_written(user: User, project: Project) -> Demonstration | None:
    """Return the account's newest reply that may still be corrected, with its assignment."""
    rows = _current(project).filter(annotator__user=user, state=State.ACTIVE)
    return rows.select_related("assignment").order_by("-assignment__ended_at", "-id").first()


def correctable(user: User, project: Project, assignment_uid: UUID) -> Demonstration | None:
    """Return the account's own reply under that assignment, if it may still be corrected."""
    rows = _current(project).filter(annotator__user=user, state=State.ACTIVE)
    return rows.filter(assignment__uid=assignment_uid).select_related("prompt").first()


def written_replies(prompt: Prompt, *, limit: int = 50) -> list[WrittenReply]:
    """Return a prompt's demonstrations that nothing supersedes, oldest first."""
    rows = prompt.demonstrations.filter(superseded_by=None).select_related(
        "annotator__user", "guideline"
    )
    return [
        WrittenReply(row, render_text(reply_text(row.messages)))
        for row in rows.order_by("id")[:limit]
    ]
