"""Judgements as the selectors' tests want them: of a person, at a time, of a certain ranking."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.utils import timezone

from labeling.models import Comparison, Judgement, User
from labeling.services.projects import annotator_of


def judged(
    person: User,
    comparison: Comparison,
    tiers: Sequence[Sequence[int]] = ((0,), (1,)),
    at: datetime | None = None,
    **fields: Any,
) -> Judgement:
    """Write a judgement of slots, shown in their own order, without the way through the queue."""
    shown = fields.pop("shown_order", list(range(comparison.slots.count())))
    return Judgement.objects.create(
        project=comparison.project,
        comparison=comparison,
        annotator=annotator_of(user=person, project=comparison.project),
        verdict=fields.pop("verdict", Judgement.Verdict.RANKED),
        tiers=[list(tier) for tier in tiers],
        shown_order=shown,
        origin=Judgement.Origin.BROWSER,
        idempotency_key=uuid4().hex,
        created_at=at or timezone.now(),
        **fields,
    )
