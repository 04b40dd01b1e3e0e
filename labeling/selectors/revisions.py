"""Reads of what a person said before, to be looked at again and said anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from labeling.domain.content import reply_text
from labeling.domain.rankings import ranks_from_tiers
from labeling.models import Annotator, Judgement, Project, User
from labeling.selectors.queue import Card, card_of

MOST: Final = 50  # judgements back


@dataclass(frozen=True, slots=True)
class Said:
    """A judgement in terms of what was shown: ranks, from 1, and ratings by position.

    `ranks` is empty where the verdict has no order; `own_rank` is the written reply's.
    """

    verdict: str
    ranks: Mapping[int, int]
    own_rank: int | None
    own_text: str
    strength: int | None
    confidence: int | None
    ratings: Mapping[int, Mapping[str, Any]]
    comment: str
    unrankable_reason: str


@dataclass(frozen=True, slots=True)
class OwnJudgement:
    """One of a person's own judgements on its card, and whether there is an older one."""

    judgement_uid: UUID
    made_at: datetime
    card: Card
    said: Said
    has_older: bool


def own_judgement(user: User, project: Project, *, back: int) -> OwnJudgement | None:
    """Return the account's `back`-th last judgement that nothing supersedes; 1 is the newest.

    None where there is none so far back, or further back than the last fifty.
    """
    if not 1 <= back <= MOST:
        return None
    found = list(standing_judgements(user, project)[back - 1 : back + 1])
    if not found:
        return None
    return _on_its_card(found[0], has_older=len(found) > 1 and back < MOST)


def own_judgement_of(user: User, project: Project, uid: UUID) -> OwnJudgement | None:
    """Return that judgement, if it is the account's own and nothing supersedes it."""
    found = standing_judgements(user, project).filter(project=project, uid=uid).first()
    return _on_its_card(found) if found else None


def standing_judgements(user: User, project: Project) -> QuerySet[Judgement]:
    """Return the account's judgements made on a card that nothing supersedes, newest first.

    The annotator is looked up first: its judgements then come by an index, newest first, however
    many there are.
    """
    annotators = Annotator.objects.filter(user=user, project=project)
    rows = Judgement.objects.select_related("written_candidate")
    rows = rows.filter(annotator=annotators.values_list("pk", flat=True).first())
    superseding = Judgement.objects.filter(supersedes=OuterRef("pk"))
    standing = rows.exclude(assignment=None).filter(~Exists(superseding))
    return standing.order_by("-created_at", "-id")


def _on_its_card(judgement: Judgement, *, has_older: bool = False) -> OwnJudgement:
    assert judgement.assignment_id is not None  # noqa: S101 - `standing_judgements` leaves the others out
    return OwnJudgement(
        judgement_uid=judgement.uid,
        made_at=judgement.created_at,
        card=card_of(judgement.assignment_id),
        said=said_of(judgement),
        has_older=has_older,
    )


def said_of(judgement: Judgement) -> Said:
    """Return what a judgement says, slots turned into the positions that were shown."""
    order = judgement.shown_order
    ranks = {slot: rank + 1 for slot, rank in ranks_from_tiers(judgement.tiers).items()}
    written = judgement.written_candidate
    return Said(
        verdict=judgement.verdict,
        ranks={place: ranks[slot] for place, slot in enumerate(order) if slot in ranks},
        own_rank=ranks.get(len(order)),
        own_text=reply_text(written.messages) if written else "",
        strength=judgement.strength,
        confidence=judgement.confidence,
        ratings={
            place: judgement.ratings[str(slot)]
            for place, slot in enumerate(order)
            if str(slot) in judgement.ratings
        },
        comment=judgement.comment,
        unrankable_reason=judgement.unrankable_reason,
    )
