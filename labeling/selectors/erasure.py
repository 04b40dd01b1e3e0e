"""What erasing a person touches: their work, the snapshots that hold it, and what came of those."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

from django.db.models import Count, Q

from labeling.models import (
    Annotator,
    Candidate,
    Demonstration,
    Judgement,
    OfferedPrompt,
    Snapshot,
    SnapshotItem,
    User,
)
from labeling.selectors.references import candidates_written_by
from labeling.signals import Holding, holders_of_snapshots


@dataclass(frozen=True)
class HeldSnapshot:
    """A snapshot and how many labels in it are the person's, or speak of a text of theirs."""

    snapshot: Snapshot
    labels: int


@dataclass(frozen=True)
class Work:
    """What a person leaves behind; `texts` of it become tombstones, the judgements stay.

    `holders` are what other apps made from the snapshots: models, in this product.
    """

    judgements: int
    demonstrations: int
    texts: int
    snapshots: list[HeldSnapshot]
    holders: list[Holding]

    @property
    def direct(self) -> list[Holding]:
        """Return what was made from the snapshots themselves."""
        return [held for held in self.holders if held.is_direct]

    @property
    def inherited(self) -> list[Holding]:
        """Return what was made from something that was."""
        return [held for held in self.holders if not held.is_direct]


def work_of(user: User) -> Work:
    """Return what erasing the account touches, in all projects; counts, never the labels."""
    annotators = list(Annotator.objects.filter(user=user).values_list("pk", flat=True))
    judged = Judgement.objects.filter(annotator__in=annotators).aggregate(
        all=Count("pk"), with_text=Count("pk", filter=~Q(comment="", unrankable_reason=""))
    )
    written = Demonstration.objects.filter(annotator__in=annotators).count()
    replies = Candidate.objects.filter(written_by__in=annotators).count()
    offered = OfferedPrompt.objects.filter(author=user).exclude(messages=[]).count()
    snapshots = _holding(annotators, user)
    asked: list[tuple[Any, Any]] = holders_of_snapshots.send(
        sender=Snapshot, snapshots=[held.snapshot.pk for held in snapshots]
    )
    return Work(
        judgements=judged["all"],
        demonstrations=written,
        texts=judged["with_text"] + written + replies + offered,
        snapshots=snapshots,
        holders=list(chain.from_iterable(answer for _receiver, answer in asked)),
    )


def _holding(annotators: Collection[int], user: User) -> list[HeldSnapshot]:
    """Return the snapshots that hold labels or texts of the person, newest first.

    Others may have labelled a text: a reply that a person wrote stands among those of models, and
    a prompt that they offered is everybody's.
    """
    items = SnapshotItem.objects.order_by()
    held: Counter[int] = Counter()
    for own in ("judgement__annotator__in", "demonstration__annotator__in"):
        rows = items.filter(**{own: annotators}).values_list("snapshot")
        held.update(dict(rows.annotate(labels=Count("pk"))))
    shown = (
        {"judgement__comparison__slots__candidate__any": candidates_written_by(annotators)},
        {"judgement__comparison__prompt__offers__author": user},
        {"demonstration__prompt__offers__author": user},
    )
    texts = reduce(or_, (Q(pk__in=items.filter(**text).values("pk")) for text in shown))
    others = items.exclude(judgement__annotator__in=annotators)
    others = others.exclude(demonstration__annotator__in=annotators)
    rows = others.filter(texts).values_list("snapshot")
    held.update(dict(rows.annotate(labels=Count("pk", distinct=True))))
    found = Snapshot.objects.select_related("project").in_bulk(held)
    return [HeldSnapshot(found[pk], held[pk]) for pk in sorted(held, reverse=True)]
