"""A written reply's way in: stored once, counted, corrected by what supersedes it, withdrawn."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.content import content_hash, parse_reply
from labeling.exceptions import Conflict, IdempotencyConflict, InvalidInput, NotFound
from labeling.models import (
    Annotator,
    Demonstration,
    Judgement,
    Project,
    Prompt,
    User,
    WritingAssignment,
)
from labeling.models.prompts import State
from labeling.permissions import require
from labeling.selectors.writing import WritingCard
from labeling.services import audit
from labeling.services.references import erase_references
from labeling.services.writing import (
    check_typed,
    claim_writing,
    open_writing,
    own_writing,
    return_place,
)

_LEASED, _WRITTEN = WritingAssignment.State.LEASED, WritingAssignment.State.WRITTEN


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What a writer sends: the reply, the milliseconds of work, and a key that a retry repeats."""

    text: str
    idempotency_key: str
    active_ms: int | None = None
    origin: str = Judgement.Origin.BROWSER

    @property
    def reply(self) -> str:
        """The text without what forms and habit add: CR at line ends, blank lines around it."""
        return self.text.replace("\r\n", "\n").strip("\n").rstrip()

    def fingerprint(self, assignment_uid: UUID) -> str:
        """Return the hash by which a retry is told from another body under the same key."""
        said = json.dumps([str(assignment_uid), self.reply])
        return hashlib.sha256(said.encode()).hexdigest()


@transaction.atomic
def submit_demonstration(*, actor: User, assignment_uid: UUID, writing: Writing) -> Demonstration:
    """Store one written reply as a demonstration and end its lease.

    The same key with the same text returns the demonstration that is there; with another text it
    raises IdempotencyConflict. A reply that comes after the lease's end counts if the prompt still
    wants one, else it is kept as surplus. Raises AssignmentEnded where the actor has written to
    the prompt or skipped it before, InvalidInput for what is no reply.
    """
    _check(writing)
    assignment = own_writing(actor=actor, assignment_uid=assignment_uid)
    repeated = _repeated(assignment, assignment_uid, writing)
    if repeated is not None:
        return repeated
    assignment = open_writing(assignment)
    surplus = assignment.state != _LEASED and not _take_place(assignment)
    assignment.state, assignment.draft, assignment.ended_at = _WRITTEN, "", timezone.now()
    assignment.save(update_fields=["state", "draft", "ended_at"])
    return _write(actor, assignment, assignment_uid, writing, {"surplus": surplus})


@transaction.atomic
def submit_and_claim_writing(
    *, actor: User, assignment_uid: UUID, writing: Writing
) -> tuple[Demonstration, WritingCard | None]:
    """Store a reply as `submit_demonstration` does; return it with the next prompt's card."""
    written = submit_demonstration(actor=actor, assignment_uid=assignment_uid, writing=writing)
    project = Project.objects.get(prompts=written.prompt_id)
    return written, None if project.is_archived else claim_writing(actor=actor, project=project)


@transaction.atomic
def revise_demonstration(*, actor: User, assignment_uid: UUID, writing: Writing) -> Demonstration:
    """Write a reply that supersedes the actor's own to the same prompt; the old one stays.

    Raises NotFound for anybody else's, Conflict where there is none to correct.
    """
    _check(writing)
    assignment = own_writing(actor=actor, assignment_uid=assignment_uid)
    repeated = _repeated(assignment, assignment_uid, writing)
    if repeated is not None:
        return repeated
    rows = Demonstration.objects.filter(assignment=assignment, superseded_by=None)
    old = rows.select_for_update(of=("self",)).first()
    if old is None or old.state != State.ACTIVE:
        raise Conflict(_("There is no reply of yours to correct here, or it was withdrawn."))
    return _write(
        actor, assignment, assignment_uid, writing, {"surplus": old.surplus, "supersedes": old}
    )


@transaction.atomic
def withdraw_demonstration(
    *, actor: User, project: Project, demonstration_id: int
) -> Demonstration:
    """Take a demonstration out of use; where it counted, its prompt wants another one again.

    Raises NotFound where the project has none of that id, Conflict where it was corrected since.
    """
    require(actor, "prompt.withdraw", project)
    rows = Demonstration.objects.filter(prompt__project=project, pk=demonstration_id)
    found = rows.select_for_update(of=("self",)).first()
    if found is None:
        raise NotFound(_("There is no such demonstration in this project."))
    if Demonstration.objects.filter(supersedes=found).exists():
        raise Conflict(_("This reply was corrected by its writer. Withdraw the newer one."))
    if found.state == State.WITHDRAWN:
        return found
    found.state = State.WITHDRAWN
    found.save(update_fields=["state"])
    if found.assignment_id is not None and not found.surplus:
        return_place(found.prompt_id)
    audit.record(actor=actor, project=project, verb="demonstration.withdraw", obj=found)
    return found


def erase_written(*, annotators: Collection[Annotator], tombstone: str) -> None:
    """Put a tombstone in place of what these people wrote: replies, drafts, reasons.

    Must run inside a transaction.
    """
    own = WritingAssignment.objects.filter(annotator__in=annotators)
    own.exclude(draft="").update(draft="")
    own.exclude(skip_reason="").update(skip_reason=tombstone)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL prefloop.erasing = 'on'")
    written = list(Demonstration.objects.filter(annotator__in=annotators))
    erase_references(demonstrations=written, tombstone=tombstone)
    for demonstration in written:
        demonstration.messages = parse_reply(tombstone, "tombstone")
        demonstration.content_hash = content_hash([{"erased": demonstration.pk}])
        demonstration.save(update_fields=["messages", "content_hash"])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL prefloop.erasing = 'off'")


def _check(writing: Writing) -> None:
    """Raise InvalidInput that names the field which can't be taken."""
    errors: dict[str, list[str]] = {}
    if not 1 <= len(writing.idempotency_key) <= 80:
        errors["idempotency_key"] = [_("1 to 80 characters.")]
    if not writing.text.strip():
        errors["text"] = [_("Write a reply first, or skip the prompt.")]
    if writing.active_ms is not None and not 0 <= writing.active_ms < 2**31:
        errors["active_ms"] = [_("Must be milliseconds, 0 or more.")]
    if errors:
        raise InvalidInput(_("The reply can't be taken."), errors=errors)
    check_typed(writing.text, "text")


def _repeated(
    assignment: WritingAssignment, assignment_uid: UUID, writing: Writing
) -> Demonstration | None:
    """Return the demonstration that this very request wrote before, if it did."""
    rows = Demonstration.objects.filter(annotator_id=assignment.annotator_id)
    found = rows.filter(idempotency_key=writing.idempotency_key).first()
    if found is not None and found.request_hash != writing.fingerprint(assignment_uid):
        raise IdempotencyConflict(
            _("This idempotency key was used for another reply. Take a new key.")
        )
    return found


def _take_place(assignment: WritingAssignment) -> bool:
    """Count a writer whose lease had run out; False when the prompt wants no more."""
    rows = Prompt.objects.filter(
        pk=assignment.prompt_id,
        state=State.ACTIVE,
        writer_count__lt=assignment.annotator.project.demonstrations_per_prompt,
    )
    return bool(rows.update(writer_count=F("writer_count") + 1))


def _write(
    actor: User,
    assignment: WritingAssignment,
    assignment_uid: UUID,
    writing: Writing,
    more: dict[str, object],
) -> Demonstration:
    messages = parse_reply(writing.reply, "text")
    demonstration = Demonstration.objects.create(
        prompt_id=assignment.prompt_id,
        annotator_id=assignment.annotator_id,
        assignment=assignment,
        guideline_id=assignment.guideline_id,
        messages=messages,
        content_hash=content_hash(messages),
        origin=writing.origin,
        active_ms=writing.active_ms,
        idempotency_key=writing.idempotency_key,
        request_hash=writing.fingerprint(assignment_uid),
        **more,
    )
    revised = demonstration.supersedes_id is not None
    audit.record(
        actor=actor,
        project=assignment.annotator.project,
        verb="demonstration.revise" if revised else "demonstration.write",
        obj=demonstration,
        data={"surplus": True} if demonstration.surplus else {},
    )
    return demonstration
