"""The writing queue: claim, skip, renew, draft, expire.

A prompt counts the people who wrote a reply to it or hold it to write one. Every change of that
count happens under the prompt's lock, so that no more replies are asked for than the project
wants. Locks are taken in one order: the annotator, the assignment, the prompt. The claim skips
prompts that are locked, so nobody waits for anybody else.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.content import ContentError, check_text
from labeling.domain.uids import ordered_uid
from labeling.exceptions import AssignmentEnded, InvalidInput, NotFound
from labeling.language import said
from labeling.models import Annotator, Project, Prompt, User, WritingAssignment
from labeling.permissions import require
from labeling.selectors.writing import WritingCard, writing_card
from labeling.services import audit
from labeling.services.assignments import lock_annotator

MAX_CHARACTERS = 200_000
_LEASED = WritingAssignment.State.LEASED

# Prompts that fewest people have written for come first, and of those the oldest.
_CLAIM = """
WITH picked AS (
    SELECT p.id FROM labeling_prompt p
     WHERE p.project_id = %(project)s AND p.state = 'active' AND p.writer_count < %(wanted)s
       AND (%(tag)s = '' OR EXISTS (
               SELECT 1 FROM labeling_prompt_tags l JOIN labeling_tag t ON t.id = l.tag_id
                WHERE l.prompt_id = p.id AND t.name = %(tag)s))
       AND NOT EXISTS (
               SELECT 1 FROM labeling_writingassignment own
                WHERE own.prompt_id = p.id AND own.annotator_id = %(annotator)s
                  AND own.state IN ('leased', 'written', 'skipped'))
     ORDER BY p.writer_count, p.id
     LIMIT 1
       FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
    UPDATE labeling_prompt p SET writer_count = p.writer_count + 1
      FROM picked WHERE p.id = picked.id RETURNING p.id
)
INSERT INTO labeling_writingassignment
    (uid, prompt_id, annotator_id, state, skip_reason, draft, draft_revision, leased_at, expires_at,
     guideline_id)
SELECT %(uid)s, taken.id, %(annotator)s, 'leased', '', '', 0, now(),
       now() + make_interval(mins => %(minutes)s),
       (SELECT g.id FROM labeling_guideline g WHERE g.project_id = %(project)s
         ORDER BY g.version DESC LIMIT 1)
  FROM taken
RETURNING id
"""

# It waits for no lock, since it may run with others held: what is busy is taken the next time.
_EXPIRE = """
WITH due AS (
    SELECT a.id FROM labeling_writingassignment a
      JOIN labeling_prompt p ON p.id = a.prompt_id
     WHERE a.state = 'leased' AND a.expires_at < now()
     ORDER BY a.expires_at LIMIT %s
       FOR NO KEY UPDATE OF a, p SKIP LOCKED
), ended AS (
    UPDATE labeling_writingassignment a SET state = 'expired', ended_at = now()
      FROM due WHERE a.id = due.id RETURNING a.prompt_id
), returned AS (
    UPDATE labeling_prompt p SET writer_count = p.writer_count - e.leases
      FROM (SELECT prompt_id, count(*) AS leases FROM ended GROUP BY prompt_id) e
     WHERE p.id = e.prompt_id
)
SELECT count(*) FROM ended
"""


@transaction.atomic
def claim_writing(*, actor: User, project: Project) -> WritingCard | None:
    """Lease the next prompt to the actor and return its card; None when nothing is left.

    A lease that is still open is returned again, renewed: a second tab shows the same prompt.
    """
    annotator = lock_annotator(actor=actor, project=project)
    leases = WritingAssignment.objects.filter(annotator=annotator, state=_LEASED)
    held = leases.select_for_update().first()  # it may be due, and be ended at this very moment
    if held is not None:
        WritingAssignment.objects.filter(pk=held.pk).update(expires_at=_lease_end(project))
        return writing_card(held.pk)
    if not project.demonstrations_per_prompt:
        return None
    assignment_id = _claim(annotator, project)
    if assignment_id is None and expire_writing_leases():
        assignment_id = _claim(annotator, project)
    return None if assignment_id is None else writing_card(assignment_id)


def _claim(annotator: Annotator, project: Project) -> int | None:
    values: dict[str, Any] = {
        "annotator": annotator.pk,
        "project": project.pk,
        "wanted": project.demonstrations_per_prompt,
        "tag": project.demonstration_tag,
        "minutes": project.lease_minutes,
        "uid": ordered_uid(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        row = cursor.fetchone()
    return row[0] if row else None


def _lease_end(project: Project) -> datetime:
    return timezone.now() + timedelta(minutes=project.lease_minutes)


def own_writing(*, actor: User, assignment_uid: UUID) -> WritingAssignment:
    """Return one of the actor's own assignments, annotator and assignment locked.

    Raises NotFound for anybody else's. Must run inside a transaction.
    """
    rows = WritingAssignment.objects.select_related("annotator__project")
    rows = rows.filter(uid=assignment_uid, annotator__user=actor)
    found = rows.select_for_update(of=("annotator", "self")).first()
    if found is None:
        raise NotFound(_("There is no such prompt to write for, or it is not yours."))
    require(actor, "judgement.make", found.annotator.project)
    return found


def return_place(prompt_id: int) -> None:
    """Count one writer less for a prompt: somebody else may write for it."""
    rows = Prompt.objects.filter(pk=prompt_id, writer_count__gt=0)
    rows.update(writer_count=F("writer_count") - 1)


@transaction.atomic
def skip_writing(*, actor: User, assignment_uid: UUID, reason: str) -> None:
    """Give a prompt back to the others, with a reason; the actor won't see it again."""
    if not reason.strip():
        raise InvalidInput(_("Say why."), errors={"reason": [_("A skip needs a reason.")]})
    check_typed(reason, "reason")
    assignment = open_writing(own_writing(actor=actor, assignment_uid=assignment_uid))
    if assignment.state == _LEASED:
        return_place(assignment.prompt_id)
    assignment.state = WritingAssignment.State.SKIPPED
    assignment.skip_reason = reason.strip()[:500]
    assignment.draft = ""
    assignment.ended_at = timezone.now()
    assignment.save(update_fields=["state", "skip_reason", "draft", "ended_at"])
    audit.record(
        actor=actor,
        project=assignment.annotator.project,
        verb="writing.skip",
        obj=assignment,
        data={"reason": assignment.skip_reason},
    )


def open_writing(assignment: WritingAssignment) -> WritingAssignment:
    """Return the assignment that a deed under this one ends: this, or a newer lease of its prompt.

    A prompt whose lease ran out may have come to the same person again. Raises AssignmentEnded
    where they have written to it or skipped it.
    """
    rows = WritingAssignment.objects.select_related("annotator__project").filter(
        prompt_id=assignment.prompt_id, annotator_id=assignment.annotator_id
    )
    rows = rows.exclude(state=WritingAssignment.State.EXPIRED)
    current = rows.select_for_update(of=("self",)).first()
    if current is not None and current.state != _LEASED:
        raise AssignmentEnded(_("You have already written to this prompt, or skipped it."))
    return current or assignment


@transaction.atomic
def renew_writing(*, actor: User, assignment_uid: UUID) -> datetime:
    """Put off the end of a lease and return the new one.

    Raises AssignmentEnded when the lease was lost; a reply is still taken then.
    """
    assignment = own_writing(actor=actor, assignment_uid=assignment_uid)
    return _renew(assignment)


def _renew(assignment: WritingAssignment) -> datetime:
    if assignment.state != _LEASED:
        raise AssignmentEnded(_("This lease has ended. What you submit is still kept."))
    assignment.expires_at = _lease_end(assignment.annotator.project)
    assignment.save(update_fields=["expires_at"])
    return assignment.expires_at


@transaction.atomic
def save_writing_draft(*, actor: User, assignment_uid: UUID, text: str) -> int:
    """Keep a half-written reply with its lease, which that renews; return the draft's revision.

    Raises AssignmentEnded when the lease was lost, InvalidInput for a text too long to keep.
    """
    check_typed(text, "text")
    assignment = own_writing(actor=actor, assignment_uid=assignment_uid)
    _renew(assignment)
    if assignment.draft != text:
        assignment.draft = text
        assignment.draft_revision += 1
        assignment.save(update_fields=["draft", "draft_revision"])
    return assignment.draft_revision


def check_typed(text: str, field: str) -> str:
    """Return a text that the database can keep; raise InvalidInput that names the field."""
    if len(text) > MAX_CHARACTERS:
        reason = _("At most {count} characters.").format(count=MAX_CHARACTERS)
        raise InvalidInput(_("The text is too long."), errors={field: [reason]})
    try:
        check_text(text, field)
    except ContentError as error:
        raise InvalidInput(
            _("The text can't be kept."), errors={field: [said(error.reason)]}
        ) from None
    return text


def expire_writing_leases(*, limit: int = 1000) -> int:
    """End leases whose time is over and give their prompts back; return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_EXPIRE, [limit])
        return int(cursor.fetchone()[0])
