"""Reads of AI judges: who they are, what they said, how they lean, and what they are to judge."""

import random
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.domain.content import plain_messages
from labeling.exceptions import NotFound
from labeling.models import Assignment, Comparison, Judgement, Project
from training.judges.labels import LEAN_BINS
from training.judges.models import Judge, Judging
from training.models import TrainingRun

BATCH = 500
State = Comparison.State

CHOICES: Final = {
    "waiting": gettext_lazy("comparisons that wait for AI judges"),
    "queue": gettext_lazy("comparisons that wait for people: they are taken out of their queue"),
    "judged": gettext_lazy("comparisons that people have judged, to see how far the judge agrees"),
}
"""Which comparisons a judge may be asked about, by the name of the choice."""


def judges_of(project: Project) -> QuerySet[Judge]:
    """Return the project's judges, newest first, with how much each has judged."""
    return (
        Judge.objects.filter(project=project)
        .select_related("model", "annotator", "created_by")
        .annotate(
            judgement_count=Coalesce(
                Sum("judgings__judgements_made"), 0, output_field=IntegerField()
            ),
            judging_count=Count("judgings"),
        )
        .order_by("is_archived", "-pk")
    )


def get_judge(project: Project, uid: uuid.UUID | str) -> Judge:
    """Return one judge of the project. Raises NotFound."""
    found = judges_of(project).filter(uid=uid).first()
    if found is None:
        raise NotFound(_("There is no such AI judge in this project."))
    return found


def judge_named(project: Project, name: str) -> Judge | None:
    """Return the newest version of a judge that is not retired; None where there is none."""
    rows = Judge.objects.filter(project=project, name=name, is_archived=False)
    return rows.select_related("model", "annotator").order_by("-version").first()


def judgings_of(judge: Judge) -> QuerySet[Judging]:
    """Return what the judge was asked, newest first."""
    rows = Judging.objects.filter(judge=judge).select_related("run", "run__created_by")
    return rows.order_by("-run_id")


@dataclass(frozen=True)
class Bias:
    """How a judge leans to a place: pairs by their lean in equal bins from -1 to 1, and the mean.

    A lean is how much likelier a reply is to win by standing first; 0 is no bias.
    """

    bins: tuple[int, ...]
    mean: float
    pairs: int


def bias_of(judge: Judge) -> Bias | None:
    """Return the judge's position bias over all that it judged; None where no pair was asked."""
    bins, total = [0] * LEAN_BINS, 0.0
    for found, lean_sum in judge.judgings.values_list("leans", "lean_sum"):
        bins = [a + b for a, b in zip(bins, found or [0] * LEAN_BINS, strict=True)]
        total += lean_sum
    pairs = sum(bins)
    return Bias(tuple(bins), total / pairs, pairs) if pairs else None


def latest_judgements(judge: Judge, count: int) -> list[Judgement]:
    """Return the judge's newest judgements with what they are about."""
    rows = Judgement.objects.filter(annotator=judge.annotator_id, superseded_by=None)
    rows = rows.select_related("comparison__prompt", "annotator")
    return list(rows.prefetch_related("comparison__slots__candidate").order_by("-pk")[:count])


def comparisons_to_judge(
    project: Project, judge: Judge, *, which: str, limit: int | None = None, seed: int = 0
) -> list[int]:
    """Return comparisons of a kind (a key of CHOICES) that the judge has not judged, by their ids.

    With `limit` as many as that are drawn by the seed.
    """
    judged = Judgement.objects.filter(comparison=OuterRef("pk"), annotator=judge.annotator_id)
    rows = Comparison.objects.filter(~Exists(judged), project=project, for_evaluation=False)
    held = Assignment.objects.filter(comparison=OuterRef("pk"), state=Assignment.State.LEASED)
    if which == "waiting":
        rows = rows.filter(for_ai=True, state=State.OPEN)
    elif which == "queue":
        rows = rows.filter(~Exists(held), for_ai=False, state=State.OPEN, judgement_count=0)
    else:
        open_or_closed = [State.OPEN, State.CLOSED]
        rows = rows.filter(for_ai=False, state__in=open_or_closed, judgement_count__gt=0)
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    if limit is None or limit >= len(ids):
        return ids
    return sorted(random.Random(seed).sample(ids, limit))  # noqa: S311 - repeatable, no secret


def unjudged(judge: Judge, comparison_ids: Collection[int]) -> list[int]:
    """Return those of some comparisons that the judge can still judge, by their ids."""
    judged = Judgement.objects.filter(comparison=OuterRef("pk"), annotator=judge.annotator_id)
    rows = Comparison.objects.filter(~Exists(judged), project=judge.project_id)
    rows = rows.filter(pk__any=comparison_ids).exclude(state=State.WITHDRAWN)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def comparisons_in_order(comparison_ids: Sequence[int]) -> Iterator[Comparison]:
    """Yield comparisons with their prompts and slots; a batch takes a fixed number of reads."""
    rows = Comparison.objects.select_related("prompt").prefetch_related("slots__candidate")
    for start in range(0, len(comparison_ids), BATCH):
        ids = comparison_ids[start : start + BATCH]
        found = rows.in_bulk(ids)
        yield from (found[pk] for pk in ids)


def replies_of(comparison: Comparison) -> list[list[dict[str, str]]]:
    """Return the comparison's replies in the order of slots, as plain messages."""
    return [plain_messages(slot.candidate.messages) for slot in comparison.slots.all()]


def comparison_rows(run: TrainingRun) -> Iterator[dict[str, Any]]:
    """Yield the rows that the recipe `judge` reads, one a comparison."""
    judging = Judging.objects.select_related("judge").get(run=run)
    for comparison in comparisons_in_order(judging.comparison_ids):
        yield {
            "comparison_id": str(comparison.pk),
            "prompt": plain_messages(comparison.prompt.messages),
            "replies": replies_of(comparison),
            "criteria": judging.judge.criteria,
            "principle": judging.principles.get(str(comparison.pk)),
        }
