"""A judgement's way in: validated, written with its pairs, counted, acknowledged once."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from psycopg.types.json import Jsonb

from labeling.domain.pairs import pairs_of
from labeling.exceptions import (
    AssignmentEnded,
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
)
from labeling.models import Assignment, Candidate, Comparison, Judgement, Project, User
from labeling.selectors.queue import Asked, Card
from labeling.services import assignments, written_replies
from labeling.services.assignments import LockedAssignment
from labeling.services.submissions import CheckedSubmission, Submission, check_submission

__all__ = ["Submission", "revise_judgement", "submit_and_claim", "submit_judgement"]

# All that a judgement entails in one statement: a step's cost is mostly its round trips, and what
# belongs together can't come apart. Every part hangs on `written`, which is empty when the
# idempotency key was used before. A comparison closes with the judgement that meets its overlap.
# The slot behind the comparison's own is the reply that the annotator wrote.
_WRITE = """
WITH written AS (
    INSERT INTO labeling_judgement
        (uid, project_id, comparison_id, annotator_id, assignment_id, verdict, tiers,
         unrankable_reason, strength, confidence, comment, ratings, flag_set_id,
         written_candidate_id, shown_order, active_ms, events, guideline_id, supersedes_id, origin,
         surplus, provenance, idempotency_key, request_hash, created_at)
    VALUES
        (%(uid)s, %(project_id)s, %(comparison_id)s, %(annotator_id)s, %(assignment_id)s,
         %(verdict)s, %(tiers)s, %(unrankable_reason)s, %(strength)s, %(confidence)s, %(comment)s,
         %(ratings)s, %(flag_set_id)s, %(written_candidate_id)s, %(shown_order)s, %(active_ms)s,
         %(events)s, %(guideline_id)s, %(supersedes_id)s, %(origin)s, %(surplus)s, %(provenance)s,
         %(idempotency_key)s, %(request_hash)s, %(created_at)s)
    ON CONFLICT (annotator_id, idempotency_key) DO NOTHING
    RETURNING id, comparison_id, assignment_id, supersedes_id, surplus, created_at
), paired AS (
    INSERT INTO labeling_preferencepair (judgement_id, chosen_id, rejected_id, rank_gap, is_tie)
    SELECT written.id, coalesce(chosen.candidate_id, %(written_candidate_id)s),
           coalesce(rejected.candidate_id, %(written_candidate_id)s),
           pair.rank_gap, pair.rank_gap = 0
      FROM written
      CROSS JOIN unnest(%(chosen)s::int[], %(rejected)s::int[], %(rank_gaps)s::int[])
                 AS pair (chosen, rejected, rank_gap)
      LEFT JOIN labeling_comparisoncandidate chosen
        ON chosen.comparison_id = written.comparison_id AND chosen.slot = pair.chosen
      LEFT JOIN labeling_comparisoncandidate rejected
        ON rejected.comparison_id = written.comparison_id AND rejected.slot = pair.rejected
), ended AS (
    UPDATE labeling_assignment a SET state = 'judged', ended_at = written.created_at
      FROM written WHERE a.id = written.assignment_id AND written.supersedes_id IS NULL
), counted AS (
    UPDATE labeling_comparison c
       SET judgement_count = c.judgement_count + 1,
           state = CASE WHEN c.state = 'open' AND c.judgement_count + 1 >= c.overlap
                        THEN 'closed' ELSE c.state END
      FROM written
     WHERE c.id = written.comparison_id AND written.supersedes_id IS NULL AND NOT written.surplus
       AND c.state <> 'gold'
), recorded AS (
    INSERT INTO labeling_auditevent
        (actor_id, project_id, verb, object_type, object_id, data, created_at)
    SELECT %(actor_id)s, %(project_id)s, %(verb)s, 'judgement', written.id::text,
           CASE WHEN written.surplus THEN '{"surplus": true}'::jsonb ELSE '{}' END, now()
      FROM written
)
SELECT id FROM written
"""
_JSON = ("tiers", "ratings", "shown_order", "events", "provenance")
# A revision is of the same card, and counts as the judgement did that it supersedes.
_KEPT = (
    "project_id",
    "comparison_id",
    "annotator_id",
    "assignment_id",
    "flag_set_id",
    "guideline_id",
    "shown_order",
    "surplus",
)
_ENDED = gettext_noop("This comparison was already judged or skipped. Revise it instead.")


@dataclass(frozen=True)
class _Submitted:
    """What became of a submission; `held` is whether it came under a lease that it ended."""

    judgement: Judgement
    held: bool
    assignment: LockedAssignment


@transaction.atomic
def submit_judgement(
    *,
    actor: User,
    assignment_uid: UUID,
    submission: Submission,
    idempotency_key: str,
    origin: str = Judgement.Origin.BROWSER,
) -> Judgement:
    """Write one judgement with its pairs and close the comparison when its overlap is met.

    The same key with the same body returns the judgement that is there; with another body it
    raises IdempotencyConflict. A submit after the lease's end counts if the comparison still needs
    it, else it is kept as surplus. Raises AssignmentEnded where it was judged or skipped before.
    """
    return _submit(actor, assignment_uid, submission, idempotency_key, origin).judgement


@transaction.atomic
def submit_and_claim(
    *,
    actor: User,
    assignment_uid: UUID,
    submission: Submission,
    idempotency_key: str,
    origin: str = Judgement.Origin.BROWSER,
    project: Project | None = None,
    behind: UUID | None = None,
) -> tuple[Judgement, Card | None]:
    """Submit, and lease the next comparison in the same transaction: one request a step.

    The next one is of the same project; None when nothing is left, or the project is archived.
    `behind` names the assignment that is on the screen by now, where a card was leased ahead: the
    next one is never that one. Raises NotFound where `project` is given and the assignment is of
    another one.
    """
    done = _submit(actor, assignment_uid, submission, idempotency_key, origin)
    judged = done.assignment
    if project is not None and project.pk != judged.project_id:
        raise NotFound(_("There is no such assignment in this project."))
    if judged.is_archived:
        return done.judgement, None
    if not done.held:
        project = project or Project.objects.get(pk=judged.project_id)
        if behind is None:
            return done.judgement, assignments.claim_next(actor=actor, project=project)
        card = assignments.claim_ahead(actor=actor, project=project, behind=behind)
        return done.judgement, card
    return done.judgement, assignments.claim_for(
        annotator_id=judged.annotator_id,
        project_id=judged.project_id,
        lease_minutes=judged.lease_minutes,
        gold_share=judged.gold_share,
    )


def _submit(actor: User, uid: UUID, submission: Submission, key: str, origin: str) -> _Submitted:
    _check_key(key)
    fingerprint = submission.fingerprint(uid)
    assignment = assignments.lock_assignment(actor=actor, assignment_uid=uid)
    if assignment.state in {Assignment.State.JUDGED, Assignment.State.SKIPPED}:
        return _Submitted(_repeated(assignment.annotator_id, key, fingerprint), False, assignment)
    complete = origin == Judgement.Origin.BROWSER
    checked = check_submission(
        submission, assignment.shown_order, assignment.asked, complete=complete
    )
    held = assignment.state == Assignment.State.LEASED
    has_slot = held or assignments.drop_newer_lease(assignment=assignment)
    judgement = Judgement(
        project_id=assignment.project_id,
        comparison_id=assignment.comparison_id,
        annotator_id=assignment.annotator_id,
        assignment_id=assignment.id,
        flag_set_id=assignment.flag_set_id,
        guideline_id=assignment.guideline_id,
        shown_order=assignment.shown_order,
        surplus=not has_slot and not _take_slot(assignment.comparison_id),
        written_candidate=_written(assignment, checked),
        **_said(submission, checked),
        **{"origin": origin, "idempotency_key": key, "request_hash": fingerprint},
    )
    if not _write(actor, judgement):
        return _Submitted(_repeated(assignment.annotator_id, key, fingerprint), False, assignment)
    written_replies.keep_demonstration(judgement=judgement)
    return _Submitted(judgement, held, assignment)


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= 80:
        raise InvalidInput(
            _("Give an idempotency key."), errors={"idempotency_key": ["1 to 80 characters."]}
        )


def _repeated(annotator_id: int, key: str, fingerprint: str) -> Judgement:
    """Return the judgement that this very request wrote before; raise where it did not."""
    found = Judgement.objects.filter(annotator_id=annotator_id, idempotency_key=key).first()
    if found is None:
        raise AssignmentEnded(_(_ENDED))
    if found.request_hash != fingerprint:
        raise IdempotencyConflict(
            _("This idempotency key was used for another judgement. Take a new key.")
        )
    return found


def _take_slot(comparison_id: int) -> bool:
    """Take an open slot for a judgement whose lease ran out; False when the overlap is met."""
    return bool(
        Comparison.objects.filter(pk=comparison_id, open_slots__gt=0).update(
            open_slots=F("open_slots") - 1
        )
    )


def _written(judged: LockedAssignment | Judgement, checked: CheckedSubmission) -> Candidate | None:
    """Return the written reply as a candidate, None where none was written."""
    if not checked.own_text:
        return None
    return written_replies.keep_candidate(
        annotator_id=judged.annotator_id,
        comparison_id=judged.comparison_id,
        text=checked.own_text,
    )


def _said(submission: Submission, checked: CheckedSubmission) -> dict[str, Any]:
    """Return the fields of a judgement that come from what was said."""
    return {
        "verdict": checked.verdict,
        "tiers": checked.tiers,
        "ratings": checked.ratings,
        "unrankable_reason": submission.unrankable_reason.strip(),
        "strength": submission.strength,
        "confidence": submission.confidence,
        "comment": submission.comment,
        "active_ms": submission.active_ms,
        "events": submission.events,
        "created_at": timezone.now(),
    }


def _write(actor: User, judgement: Judgement) -> bool:
    """Write a judgement and what it entails; False when its idempotency key was used before.

    Raises AssignmentEnded where this person judged or skipped the comparison under a newer lease.
    """
    pairs = pairs_of(judgement.tiers)
    values = {
        **vars(judgement),
        **{name: Jsonb(getattr(judgement, name)) for name in _JSON},
        "actor_id": actor.pk,
        "verb": "judgement.revise" if judgement.supersedes_id else "judgement.submit",
        "chosen": [pair.chosen for pair in pairs],
        "rejected": [pair.rejected for pair in pairs],
        "rank_gaps": [pair.rank_gap for pair in pairs],
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, values)
            row = cursor.fetchone()
    except IntegrityError as error:
        if "one_assignment_per_annotator" not in str(error):
            raise
        raise AssignmentEnded(_(_ENDED)) from None
    if row is None:
        return False
    judgement.pk = row[0]
    judgement._state.adding = False
    return True


@transaction.atomic
def revise_judgement(
    *,
    actor: User,
    judgement_uid: UUID,
    submission: Submission,
    idempotency_key: str,
    origin: str = Judgement.Origin.BROWSER,
    project: Project | None = None,
) -> Judgement:
    """Write a judgement that supersedes one of the actor's own; the old one stays as it was.

    Raises NotFound for anybody else's, and for one of another project than `project`; Conflict
    where it was superseded before.
    """
    _check_key(idempotency_key)
    old = _own_judgement(actor, judgement_uid, project)
    assignments.lock_annotator(actor=actor, project=old.annotator.project)
    fingerprint = submission.fingerprint(judgement_uid)
    if Judgement.objects.filter(annotator=old.annotator, idempotency_key=idempotency_key).exists():
        return _repeated(old.annotator_id, idempotency_key, fingerprint)
    if Judgement.objects.filter(supersedes=old).exists():
        raise Conflict(_("This judgement was already revised. Revise the newer one."))
    complete = origin == Judgement.Origin.BROWSER
    checked = check_submission(submission, old.shown_order, _asked_of(old), complete=complete)
    judgement = Judgement(
        **{name: getattr(old, name) for name in _KEPT},
        supersedes=old,
        written_candidate=_written(old, checked),
        **_said(submission, checked),
        **{"origin": origin, "idempotency_key": idempotency_key, "request_hash": fingerprint},
    )
    if not _write(actor, judgement):
        return _repeated(old.annotator_id, idempotency_key, fingerprint)
    written_replies.keep_demonstration(judgement=judgement)
    return judgement


def _own_judgement(actor: User, uid: UUID, project: Project | None) -> Judgement:
    """Return one of the actor's judgements that were made on a card.

    Raises NotFound for anybody else's, and for one of another project than `project`.
    """
    projects = Project.objects.filter(annotators__user=actor)
    if project is not None:
        projects = projects.filter(pk=project.pk)
    rows = Judgement.objects.select_related(
        "annotator__project", "assignment", "flag_set", "written_candidate"
    )
    rows = rows.filter(project__in=projects, uid=uid, annotator__user=actor)
    found = rows.exclude(assignment=None).first()
    if found is None:
        raise NotFound(_("There is no such judgement, or it is not yours."))
    return found


def _asked_of(judgement: Judgement) -> Asked:
    """Return what the project asks today, with the flags that the judgement was made with."""
    project = judgement.annotator.project
    flags = judgement.flag_set.flags if judgement.flag_set else []
    return Asked(
        project.strength_scale,
        project.asks_ratings,
        project.asks_confidence,
        project.asks_demonstrations,
        tuple((flag["key"], flag["label"]) for flag in flags),
    )
