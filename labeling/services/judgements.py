"""A judgement's way in: validated, written with its pairs, counted, acknowledged once."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Value, When
from django.utils import timezone

from labeling.domain.pairs import pairs_of
from labeling.domain.rankings import RankingError, Tiers, check_tiers, is_tie, map_tiers
from labeling.exceptions import (
    AssignmentEnded,
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    InvalidRanking,
    NotFound,
    UntouchedOrder,
)
from labeling.models import (
    Assignment,
    Comparison,
    ComparisonCandidate,
    Judgement,
    PreferencePair,
    Project,
    User,
)
from labeling.permissions import require
from labeling.selectors.queue import Card
from labeling.services import assignments, audit

MAX_EVENTS: Final = 2000
MAX_COMMENT: Final = 20_000
RATING_FIELDS: Final = frozenset({"quality", "flags"})


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What an annotator says of a card. Tiers name positions as shown, best tier first."""

    verdict: str = Judgement.Verdict.RANKED
    tiers: list[list[int]] = field(default_factory=list)
    touched: bool = False
    strength: int | None = None
    confidence: int | None = None
    comment: str = ""
    ratings: dict[str, Any] = field(default_factory=dict)
    unrankable_reason: str = ""
    active_ms: int | None = None
    events: list[Any] = field(default_factory=list)

    def fingerprint(self, assignment_uid: UUID) -> str:
        """Return the hash by which a retry is told from another body under the same key.

        Times and the event log are left out: a retry may have gone on measuring.
        """
        said = {k: v for k, v in asdict(self).items() if k not in {"active_ms", "events"}}
        text = json.dumps([str(assignment_uid), said], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _Checked:
    """A submission with its ranking checked and turned into slots."""

    verdict: str
    tiers: Tiers
    ratings: dict[str, Any]


@dataclass(frozen=True)
class _Submitted:
    """What became of a submission; `held` is whether it came under a lease that it ended."""

    judgement: Judgement
    held: bool
    project: Project


def _check(submission: Submission, shown_order: list[int]) -> _Checked:
    """Return the ranking in slots.

    Raises UntouchedOrder, InvalidRanking or InvalidInput, each naming the field.
    """
    _check_fields(submission)
    ratings = _ratings_by_slot(submission.ratings, shown_order)
    verdict = submission.verdict
    if verdict not in Judgement.Verdict.values:
        raise InvalidInput("There is no such verdict.", errors={"verdict": [verdict]})
    if verdict in {Judgement.Verdict.BOTH_BAD, Judgement.Verdict.UNRANKABLE}:
        if verdict == Judgement.Verdict.UNRANKABLE and not submission.unrankable_reason.strip():
            raise InvalidInput(
                "Say why it can't be ranked.", errors={"unrankable_reason": ["Give a reason."]}
            )
        return _Checked(verdict, [], ratings)
    if not submission.touched:
        raise UntouchedOrder(
            "Nothing was placed. Rank the replies; equal ones may share a rank.",
            errors={"tiers": ["The order was sent back as it was shown."]},
        )
    try:
        placed = check_tiers(submission.tiers, len(shown_order))
    except RankingError as error:
        raise InvalidRanking(str(error), errors={"tiers": [str(error)]}) from None
    verdict = Judgement.Verdict.TIE if is_tie(placed) else Judgement.Verdict.RANKED
    return _Checked(verdict, map_tiers(placed, shown_order), ratings)


def _check_fields(submission: Submission) -> None:
    errors: dict[str, list[str]] = {}
    for name, top in (("strength", 9), ("confidence", 9)):
        value = getattr(submission, name)
        if value is not None and not 1 <= value <= top:
            errors[name] = [f"Must be 1 to {top}."]
    if len(submission.comment) > MAX_COMMENT:
        errors["comment"] = [f"At most {MAX_COMMENT} characters."]
    if len(submission.events) > MAX_EVENTS:
        errors["events"] = [f"At most {MAX_EVENTS} events."]
    if submission.active_ms is not None and not 0 <= submission.active_ms < 2**31:
        errors["active_ms"] = ["Must be milliseconds, 0 or more."]
    if errors:
        raise InvalidInput("Some fields can't be taken.", errors=errors)


def _ratings_by_slot(ratings: dict[str, Any], shown_order: list[int]) -> dict[str, Any]:
    by_slot: dict[str, Any] = {}
    for position, said in ratings.items():
        if not str(position).isdigit() or int(position) >= len(shown_order):
            raise InvalidInput("No such position.", errors={"ratings": [f"{position!r}"]})
        if not isinstance(said, dict) or set(said) - RATING_FIELDS:
            raise InvalidInput(
                "A rating holds `quality` and `flags`.", errors={"ratings": [f"{position!r}"]}
            )
        by_slot[str(shown_order[int(position)])] = said
    return by_slot


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
) -> tuple[Judgement, Card | None]:
    """Submit, and lease the next comparison in the same transaction: one request a step.

    It is one of `project`, else of the project of the assignment, which costs no statement.
    """
    done = _submit(actor, assignment_uid, submission, idempotency_key, origin)
    judgement, project = done.judgement, project or done.project
    if done.held:
        return judgement, assignments.claim_for(
            annotator_id=judgement.annotator_id, project=project
        )
    return judgement, assignments.claim_next(actor=actor, project=project)


def _submit(actor: User, uid: UUID, submission: Submission, key: str, origin: str) -> _Submitted:
    if not key or len(key) > 80:
        raise InvalidInput(
            "Give an idempotency key.", errors={"idempotency_key": ["1 to 80 characters."]}
        )
    fingerprint = submission.fingerprint(uid)
    assignment = assignments.own_assignment(actor=actor, assignment_uid=uid)
    project = assignment.annotator.project
    if assignment.state in {Assignment.State.JUDGED, Assignment.State.SKIPPED}:
        return _Submitted(_repeated(assignment.annotator_id, key, fingerprint), False, project)
    checked = _check(submission, assignment.shown_order)
    held = assignment.state == Assignment.State.LEASED
    surplus = not held and not _take_slot(assignment.comparison_id)
    try:
        with transaction.atomic():
            judgement = _write(assignment, submission, checked, key, fingerprint, origin, surplus)
    except IntegrityError:
        return _Submitted(_repeated(assignment.annotator_id, key, fingerprint), False, project)
    Assignment.objects.filter(pk=assignment.pk).update(
        state=Assignment.State.JUDGED, ended_at=judgement.created_at
    )
    if not surplus:
        _count(assignment.comparison_id)
    _audit(actor, judgement, assignment)
    return _Submitted(judgement, held, project)


def _repeated(annotator_id: int, key: str, fingerprint: str) -> Judgement:
    """Return the judgement that this very request wrote before; raise where it did not."""
    found = Judgement.objects.filter(annotator_id=annotator_id, idempotency_key=key).first()
    if found is None:
        raise AssignmentEnded("This comparison was already judged or skipped. Revise it instead.")
    if found.request_hash != fingerprint:
        raise IdempotencyConflict(
            "This idempotency key was used for another judgement. Take a new key."
        )
    return found


def _take_slot(comparison_id: int) -> bool:
    """Take an open slot for a judgement whose lease ran out; False when the overlap is met."""
    return bool(
        Comparison.objects.filter(pk=comparison_id, open_slots__gt=0).update(
            open_slots=F("open_slots") - 1
        )
    )


def _count(comparison_id: int) -> None:
    """Count a judgement; the comparison closes with the one that meets its overlap."""
    Comparison.objects.filter(pk=comparison_id).update(
        judgement_count=F("judgement_count") + 1,
        state=Case(
            When(
                state=Comparison.State.OPEN,
                judgement_count__gte=F("overlap") - 1,
                then=Value(Comparison.State.CLOSED),
            ),
            default=F("state"),
        ),
    )


def _write(
    assignment: Assignment,
    submission: Submission,
    checked: _Checked,
    key: str,
    fingerprint: str,
    origin: str,
    surplus: bool,
    supersedes: Judgement | None = None,
) -> Judgement:
    judgement = Judgement.objects.create(
        project_id=assignment.annotator.project_id,
        comparison_id=assignment.comparison_id,
        annotator_id=assignment.annotator_id,
        assignment=assignment,
        verdict=checked.verdict,
        tiers=checked.tiers,
        unrankable_reason=submission.unrankable_reason.strip()[:500],
        strength=submission.strength,
        confidence=submission.confidence,
        comment=submission.comment,
        ratings=checked.ratings,
        flag_set_id=assignment.flag_set_id,
        shown_order=assignment.shown_order,
        active_ms=submission.active_ms,
        events=submission.events,
        guideline_id=assignment.guideline_id,
        supersedes=supersedes,
        origin=origin,
        surplus=surplus,
        idempotency_key=key,
        request_hash=fingerprint,
        created_at=timezone.now(),
    )
    _write_pairs(judgement)
    return judgement


def _write_pairs(judgement: Judgement) -> None:
    if not judgement.tiers:
        return
    slots = dict(
        ComparisonCandidate.objects.filter(comparison_id=judgement.comparison_id).values_list(
            "slot", "candidate_id"
        )
    )
    PreferencePair.objects.bulk_create(
        [
            PreferencePair(
                judgement=judgement,
                chosen_id=slots[pair.chosen],
                rejected_id=slots[pair.rejected],
                rank_gap=pair.rank_gap,
                is_tie=pair.is_tie,
            )
            for pair in pairs_of(judgement.tiers)
        ]
    )


def _audit(actor: User, judgement: Judgement, assignment: Assignment) -> None:
    audit.record(
        actor=actor,
        project=assignment.annotator.project,
        verb="judgement.revise" if judgement.supersedes_id else "judgement.submit",
        obj=judgement,
        data={"surplus": True} if judgement.surplus else {},
    )


@transaction.atomic
def revise_judgement(
    *,
    actor: User,
    judgement_uid: UUID,
    submission: Submission,
    idempotency_key: str,
    origin: str = Judgement.Origin.BROWSER,
) -> Judgement:
    """Write a judgement that supersedes one of the actor's own; the old one stays as it was.

    Raises NotFound for anybody else's and Conflict where it was superseded before.
    """
    old = (
        Judgement.objects.select_related("annotator__project", "assignment")
        .filter(uid=judgement_uid, annotator__user=actor)
        .first()
    )
    if old is None or old.assignment is None:
        raise NotFound("There is no such judgement, or it is not yours.")
    require(actor, "judgement.make", old.annotator.project)
    assignments.lock_annotator(actor=actor, project=old.annotator.project)
    fingerprint = submission.fingerprint(judgement_uid)
    if Judgement.objects.filter(annotator=old.annotator, idempotency_key=idempotency_key).exists():
        return _repeated(old.annotator_id, idempotency_key, fingerprint)
    if Judgement.objects.filter(supersedes=old).exists():
        raise Conflict("This judgement was already revised. Revise the newer one.")
    checked = _check(submission, old.shown_order)
    assignment = old.assignment
    judgement = _write(
        assignment, submission, checked, idempotency_key, fingerprint, origin, old.surplus, old
    )
    _audit(actor, judgement, assignment)
    return judgement
