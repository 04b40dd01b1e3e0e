"""Assignments: claim, skip, renew, expire.

Locks are always taken in one order: the annotator, the assignment, the comparison. The claim
itself skips locked comparisons, so nobody waits for anybody else's card.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.exceptions import AssignmentEnded, InvalidInput, NotAllowed, NotFound
from labeling.models import Annotator, Assignment, Comparison, Project, Role, User
from labeling.permissions import require, require_role
from labeling.selectors.queue import Asked, Card, asked_of, card_of
from labeling.services import audit
from labeling.services.claims import claim
from labeling.services.projects import annotator_of

_NOT_OWN = gettext_noop("There is no such assignment, or it is not yours.")

# All that a submit asks before it writes. OF names the locks in the order in which they are taken.
_LOCK = """
SELECT a.id, a.state, a.comparison_id, a.annotator_id, a.guideline_id, a.flag_set_id,
       p.id, p.lease_minutes, p.gold_share, p.is_archived, a.shown_order, p.strength_scale,
       p.asks_ratings, p.asks_confidence, p.asks_demonstrations, f.flags, m.role
  FROM labeling_assignment a
  JOIN labeling_annotator n ON n.id = a.annotator_id
  JOIN labeling_project p ON p.id = n.project_id
  LEFT JOIN labeling_flagset f ON f.id = a.flag_set_id
  LEFT JOIN labeling_membership m ON m.project_id = n.project_id AND m.user_id = n.user_id
 WHERE a.uid = %s AND n.user_id = %s
   FOR UPDATE OF n, a
"""

# It waits for no lock, since it may run with others held: what is busy is taken the next time.
_EXPIRE = """
WITH due AS (
    SELECT a.id FROM labeling_assignment a
      JOIN labeling_comparison c ON c.id = a.comparison_id
     WHERE a.state = 'leased' AND a.expires_at < now()
     ORDER BY a.expires_at LIMIT %s
       FOR UPDATE OF a, c SKIP LOCKED
), ended AS (
    UPDATE labeling_assignment a SET state = 'expired', ended_at = now()
      FROM due WHERE a.id = due.id RETURNING a.comparison_id
), returned AS (
    UPDATE labeling_comparison c SET open_slots = c.open_slots + e.leases
      FROM (SELECT comparison_id, count(*) AS leases FROM ended GROUP BY comparison_id) e
     WHERE c.id = e.comparison_id AND c.state = 'open'
)
SELECT count(*) FROM ended
"""


@dataclass(frozen=True, slots=True)
class LockedAssignment:
    """An assignment under lock, with what a submit needs to know of it and of its project."""

    id: int
    state: str
    comparison_id: int
    annotator_id: int
    guideline_id: int | None
    flag_set_id: int | None
    project_id: int
    lease_minutes: int
    gold_share: float
    is_archived: bool
    shown_order: list[int]
    asked: Asked


def lock_annotator(*, actor: User, project: Project) -> Annotator:
    """Return the actor's annotator in the project, locked: one claim a person at a time.

    Raises NotFound to a stranger and NotAllowed to a role that doesn't annotate.
    """
    require(actor, "judgement.make", project)
    if project.is_archived:
        raise NotAllowed(_("This project is archived: nothing is judged in it any more."))
    found = Annotator.objects.select_for_update().filter(project=project, user=actor).first()
    if found is None:
        annotator = annotator_of(user=actor, project=project)
        found = Annotator.objects.select_for_update().get(pk=annotator.pk)
    return found


@transaction.atomic
def claim_next(*, actor: User, project: Project) -> Card | None:
    """Lease the next comparison to the actor and return its card; None when nothing is left.

    A lease that is still open is returned again, renewed: a second tab shows the same card.
    """
    annotator = lock_annotator(actor=actor, project=project)
    held = _leases(annotator).first()
    return _claim(annotator, project) if held is None else _renewed(held, project)


@transaction.atomic
def claim_ahead(*, actor: User, project: Project, behind: UUID | None) -> Card | None:
    """Lease the comparison that follows the one on the actor's screen, and return its card.

    `behind` is the assignment on the screen, or None where nothing is. A second lease that is held
    already is returned again. None when nothing is left, or when the screen shows an assignment
    that has ended while two others are held: the page is behind the times then.
    """
    annotator = lock_annotator(actor=actor, project=project)
    held = list(_leases(annotator))
    others = [lease for lease in held if lease.uid != behind]
    if len(others) == len(held) > 1:
        return None
    return _renewed(others[0], project) if others else _claim(annotator, project)


def _leases(annotator: Annotator) -> QuerySet[Assignment]:
    """Return an annotator's leases, oldest first, locked: a due one may end at this very moment."""
    leases = Assignment.objects.filter(annotator=annotator, state=Assignment.State.LEASED)
    return leases.select_for_update().order_by("id")


def _renewed(lease: Assignment, project: Project) -> Card:
    Assignment.objects.filter(pk=lease.pk).update(expires_at=_lease_end(project))
    return card_of(lease.pk)


def _claim(annotator: Annotator, project: Project) -> Card | None:
    return claim_for(
        annotator_id=annotator.pk,
        project_id=project.pk,
        lease_minutes=project.lease_minutes,
        gold_share=project.gold_share,
    )


def claim_for(
    *, annotator_id: int, project_id: int, lease_minutes: int, gold_share: float
) -> Card | None:
    """Lease the next comparison to an annotator who is locked and has a seat free."""
    ask = partial(
        claim,
        annotator_id=annotator_id,
        project_id=project_id,
        lease_minutes=lease_minutes,
        gold_share=gold_share,
    )
    card = ask()
    return ask(afresh=True) if card is None and expire_leases() else card


def _lease_end(project: Project) -> datetime:
    return timezone.now() + timedelta(minutes=project.lease_minutes)


def own_assignment(*, actor: User, assignment_uid: UUID) -> Assignment:
    """Return one of the actor's own assignments, annotator and assignment locked.

    Raises NotFound for anybody else's. Must run inside a transaction.
    """
    rows = Assignment.objects.select_related("annotator__project", "comparison")
    rows = rows.filter(uid=assignment_uid, annotator__user=actor)
    found = rows.select_for_update(of=("annotator", "self")).first()
    if found is None:
        raise NotFound(_(_NOT_OWN))
    require(actor, "judgement.make", found.annotator.project)
    return found


def lock_assignment(*, actor: User, assignment_uid: UUID) -> LockedAssignment:
    """Return one of the actor's own assignments, annotator and assignment locked, in a statement.

    Raises NotFound for anybody else's, and to a stranger; NotAllowed to a role that doesn't
    annotate. Must run inside a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [assignment_uid, actor.pk])
        row = cursor.fetchone()
    if row is None:
        raise NotFound(_(_NOT_OWN))
    *columns, shown_order, strength, ratings, confidence, demonstrations, flags, role = row
    require_role(actor, "judgement.make", Role(role) if role else None)
    asked = asked_of(strength, ratings, confidence, demonstrations, flags)
    return LockedAssignment(*[*columns, json.loads(shown_order), asked])


@transaction.atomic
def skip_assignment(*, actor: User, assignment_uid: UUID, reason: str) -> None:
    """Give a comparison back to the others, with a reason; the actor won't see it again."""
    if not reason.strip():
        raise InvalidInput(_("Say why."), errors={"reason": [_("A skip needs a reason.")]})
    assignment = own_assignment(actor=actor, assignment_uid=assignment_uid)
    if assignment.state not in {Assignment.State.LEASED, Assignment.State.EXPIRED}:
        raise AssignmentEnded(_("This comparison was already judged or skipped."))
    was_leased = assignment.state == Assignment.State.LEASED
    assignment.state = Assignment.State.SKIPPED
    assignment.skip_reason = reason.strip()[:500]
    assignment.ended_at = timezone.now()
    assignment.save(update_fields=["state", "skip_reason", "ended_at"])
    if was_leased:
        _return_slot(assignment.comparison_id)
    audit.record(
        actor=actor,
        project=assignment.annotator.project,
        verb="assignment.skip",
        obj=assignment,
        data={"reason": assignment.skip_reason},
    )


def _return_slot(comparison_id: int) -> None:
    comparison = Comparison.objects.select_for_update().get(pk=comparison_id)
    if comparison.state == Comparison.State.OPEN:
        comparison.open_slots += 1
        comparison.save(update_fields=["open_slots"])


@transaction.atomic
def renew_lease(*, actor: User, assignment_uid: UUID) -> datetime:
    """Put off the end of a lease, and of the one that waits behind it; return the new end.

    Raises AssignmentEnded when the lease was lost; a judgement is still taken then.
    """
    assignment = own_assignment(actor=actor, assignment_uid=assignment_uid)
    if assignment.state != Assignment.State.LEASED:
        raise AssignmentEnded(_("This lease has ended. What you submit is still kept."))
    end = _lease_end(assignment.annotator.project)
    _leases(assignment.annotator).update(expires_at=end)
    return end


def drop_newer_lease(*, assignment: LockedAssignment) -> bool:
    """End the lease under which an annotator got a comparison again; return whether there was one.

    The judgement that comes under the older, expired lease takes over its slot.
    """
    rows = Assignment.objects.filter(
        comparison_id=assignment.comparison_id,
        annotator_id=assignment.annotator_id,
        state=Assignment.State.LEASED,
    )
    return bool(rows.update(state=Assignment.State.EXPIRED, ended_at=timezone.now()))


def expire_leases(*, limit: int = 1000) -> int:
    """End leases whose time is over and return their slots to the queue; return how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_EXPIRE, [limit])
        return int(cursor.fetchone()[0])
