"""Gold items: a comparison gets a known answer, or loses it.

Locks are taken in the queue's order: the leases of a comparison first, then the comparison.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.rankings import RankingError, Tiers, check_tiers
from labeling.exceptions import Conflict, InvalidInput, InvalidRanking, NotFound
from labeling.language import said
from labeling.models import Assignment, Comparison, GoldItem, Judgement, User
from labeling.models.prompts import State
from labeling.services import audit

MAX_NOTE = 500
_USABLE = (Judgement.Verdict.RANKED, Judgement.Verdict.TIE)


@transaction.atomic
def set_gold(
    *,
    actor: User,
    comparison: Comparison,
    tiers: Sequence[Sequence[int]],
    note: str = "",
    source: Judgement | None = None,
) -> GoldItem:
    """Make the tiers of slots the known answer to a comparison, in place of one that it had.

    The comparison leaves the queue: from now on it is given as gold, and judgements on it count
    for no overlap. Raises InvalidRanking where the tiers don't rank its candidates, Conflict where
    the comparison is withdrawn, or models are measured by it.
    """
    _check_note(note)
    comparison = Comparison.objects.select_for_update().get(pk=comparison.pk)
    if comparison.state == Comparison.State.WITHDRAWN:
        raise Conflict(_("This comparison is withdrawn: nobody will be given it."))
    if comparison.for_evaluation:
        raise Conflict(_("Models are measured by this comparison: choose another one."))
    before = GoldItem.objects.filter(comparison=comparison, state=State.ACTIVE).first()
    answer = {
        "project_id": comparison.project_id,
        "tiers": _checked(tiers, comparison.slots.count()),
        "note": note.strip(),
        "source": source,
        "state": State.ACTIVE,
        "created_by": actor,
    }
    item, _created = GoldItem.objects.update_or_create(comparison=comparison, defaults=answer)
    comparison.state, comparison.open_slots = Comparison.State.GOLD, 0
    comparison.save(update_fields=["state", "open_slots"])
    audit.record(
        actor=actor,
        project=comparison.project,
        verb="gold.set",
        obj=item,
        data={
            "comparison": comparison.pk,
            "tiers": item.tiers,
            "before": before.tiers if before else None,
            "source": source.pk if source else None,
        },
    )
    return item


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE:
        raise InvalidInput(
            _("The note is too long."),
            errors={"note": [_("At most {count} characters.").format(count=MAX_NOTE)]},
        )


def _checked(tiers: Sequence[Sequence[int]], count: int) -> Tiers:
    try:
        return check_tiers(tiers, count)
    except RankingError as error:
        raise InvalidRanking(said(error.reason), errors={"tiers": [said(error.reason)]}) from None


@transaction.atomic
def use_as_gold(
    *, actor: User, comparison: Comparison, judgement_uid: UUID, note: str = ""
) -> GoldItem:
    """Make a judgement's ranking the known answer; a reply written while ranking is left out.

    Raises NotFound where the comparison has no such judgement, InvalidInput where it ranks nothing
    or was superseded.
    """
    judgement = Judgement.objects.filter(comparison=comparison, uid=judgement_uid).first()
    if judgement is None:
        raise NotFound(_("There is no such judgement of this comparison."))
    if judgement.verdict not in _USABLE or Judgement.objects.filter(supersedes=judgement).exists():
        raise InvalidInput(
            _("This judgement can't be gold."),
            errors={"judgement": [_("It ranks nothing, or a newer one supersedes it.")]},
        )
    shown = set(judgement.shown_order) or set(range(comparison.slots.count()))
    tiers = [[slot for slot in tier if slot in shown] for tier in judgement.tiers]
    return set_gold(
        actor=actor,
        comparison=comparison,
        tiers=[tier for tier in tiers if tier],
        note=note,
        source=judgement,
    )


@transaction.atomic
def withdraw_gold(*, actor: User, comparison: Comparison) -> GoldItem:
    """Take the known answer away: the comparison is an ordinary one again.

    All that was judged counts for its overlap now; what the overlap still wants goes back to the
    queue. Leases on it end, and a judgement that comes under one is taken as any late one. Raises
    NotFound where the comparison is no gold item.
    """
    leased = Assignment.objects.filter(comparison=comparison, state=Assignment.State.LEASED)
    list(leased.select_for_update().values_list("pk"))
    comparison = Comparison.objects.select_for_update().get(pk=comparison.pk)
    item = GoldItem.objects.filter(comparison=comparison, state=State.ACTIVE).first()
    if item is None:
        raise NotFound(_("This comparison is no gold item."))
    leased.update(state=Assignment.State.EXPIRED, ended_at=timezone.now())
    item.state = State.WITHDRAWN
    item.save(update_fields=["state"])
    _return_to_queue(comparison)
    audit.record(
        actor=actor,
        project=comparison.project,
        verb="gold.withdraw",
        obj=item,
        data={"comparison": comparison.pk},
    )
    return item


def _return_to_queue(comparison: Comparison) -> None:
    judged = Judgement.objects.filter(comparison=comparison, supersedes=None, surplus=False)
    comparison.judgement_count = judged.count()
    wanted = max(0, comparison.overlap - comparison.judgement_count)
    comparison.open_slots = 0 if comparison.for_ai else wanted  # an AI judge takes no slot
    comparison.state = Comparison.State.OPEN if wanted else Comparison.State.CLOSED
    comparison.save(update_fields=["judgement_count", "open_slots", "state"])
