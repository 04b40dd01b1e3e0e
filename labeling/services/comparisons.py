"""Writes of the queue's content: comparisons made of candidates, and withdrawn."""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput
from labeling.models import (
    Assignment,
    Candidate,
    Comparison,
    ComparisonCandidate,
    ImportBatch,
    Project,
    User,
)
from labeling.models.projects import MAX_CANDIDATES, MIN_CANDIDATES
from labeling.models.prompts import State
from labeling.services import audit

BATCH = 1000
Deal = Callable[[Mapping[int, Sequence[Candidate]]], list[list[Candidate]]]


def _free_candidates(
    prompt_ids: Collection[int],
    candidate_ids: Collection[int] | None,
    again: Collection[int] = (),
) -> dict[int, list[Candidate]]:
    """Return the candidates of each prompt that stand in no comparison yet, oldest first.

    Those of `again` are free wherever else they stand. One that names its maker would break the
    blindness of its comparison: it is left out.
    """
    rows = Candidate.objects.filter(
        prompt_id__any=prompt_ids,
        state=State.ACTIVE,
        names_its_maker=False,
    ).only("id", "prompt_id", "content_hash")
    found = {row.pk: row for row in rows.filter(pk__any=again)} if again else {}
    rows = rows.filter(slots=None, written_by=None)
    if candidate_ids is not None:
        rows = rows.filter(pk__any=candidate_ids)
    found.update({row.pk: row for row in rows})
    free: dict[int, list[Candidate]] = defaultdict(list)
    for _pk, row in sorted(found.items()):
        free[row.prompt_id].append(row)
    return free


def _disjoint(candidates: Sequence[Candidate], size: int) -> Iterator[list[Candidate]]:
    """Deal the candidates into as many disjoint groups of `size` as they allow.

    The deal is shuffled by the texts themselves, so that models mix and a repetition deals alike.
    """
    dealt = sorted(candidates, key=lambda c: c.content_hash)
    random.Random("".join(c.content_hash for c in dealt)).shuffle(dealt)  # noqa: S311
    for start in range(0, len(dealt) - size + 1, size):
        yield dealt[start : start + size]


@transaction.atomic
def queue_comparisons(
    *,
    actor: User | None,
    project: Project,
    prompt_ids: Collection[int],
    overlap: int | None = None,
    priority: int = 0,
    origin: str = "import",
    candidate_ids: Collection[int] | None = None,
    again: Collection[int] = (),
    import_batch: ImportBatch | None = None,
    size: int | None = None,
    deal: Deal | None = None,
) -> list[Comparison]:
    """Make as many disjoint comparisons of K candidates as each prompt's free candidates allow.

    With `deal` only those that it makes of the free candidates of each prompt, in its order. What
    is left over stays free for later. Candidates of `again` may stand in other comparisons too:
    human references, of which there are few. Raises InvalidInput where K is not 2 to 9.
    """
    size = size or project.candidates_per_comparison
    if not MIN_CANDIDATES <= size <= MAX_CANDIDATES:
        raise InvalidInput(
            _("K must be 2 to 9."), errors={"candidates_per_comparison": [str(size)]}
        )
    overlap = overlap or project.overlap
    # One import or sampling run at a time deals out a project's free candidates.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    free = _free_candidates(prompt_ids, candidate_ids, again)
    if deal:
        groups = deal(free)
    else:
        groups = [g for candidates in free.values() for g in _disjoint(candidates, size)]
    comparisons = _made_of(
        groups,
        project=project,
        overlap=overlap,
        open_slots=overlap,
        priority=priority,
        origin=origin,
        import_batch=import_batch,
    )
    audit.record(
        actor=actor,
        project=project,
        verb="comparisons.queue",
        obj=project,
        data={"comparisons": len(comparisons), "candidates": size, "overlap": overlap},
    )
    return comparisons


def _made_of(groups: Sequence[Sequence[Candidate]], **fields: Any) -> list[Comparison]:
    """Make a comparison of each group of candidates, which are of one prompt each."""
    comparisons = Comparison.objects.bulk_create(
        [Comparison(prompt_id=group[0].prompt_id, **fields) for group in groups], batch_size=BATCH
    )
    fill_slots(comparisons, groups)
    return comparisons


@transaction.atomic
def queue_for_evaluation(
    *,
    actor: User | None,
    project: Project,
    groups: Sequence[Sequence[Candidate]],
    overlap: int,
    priority: int = 0,
) -> list[Comparison]:
    """Ask which of some candidates is better, to measure their models by; one group a comparison.

    On the screen they are comparisons like any other, but what is judged here enters no snapshot.
    """
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    comparisons = _made_of(
        groups,
        project=project,
        overlap=overlap,
        open_slots=overlap,
        priority=priority,
        origin="contest",
        for_evaluation=True,
    )
    audit.record(
        actor=actor,
        project=project,
        verb="comparisons.queue",
        obj=project,
        data={"comparisons": len(comparisons), "overlap": overlap, "for_evaluation": True},
    )
    return comparisons


def fill_slots(comparisons: Sequence[Comparison], groups: Sequence[Sequence[Candidate]]) -> None:
    """Put each group of candidates into its comparison's slots, in order."""
    ComparisonCandidate.objects.bulk_create(
        [
            ComparisonCandidate(comparison=comparison, slot=slot, candidate=candidate)
            for comparison, group in zip(comparisons, groups, strict=True)
            for slot, candidate in enumerate(group)
        ],
        batch_size=BATCH,
    )


@transaction.atomic
def withdraw_open_comparisons(
    *, actor: User | None, project: Project, comparison_ids: Collection[int]
) -> int:
    """Take those of the comparisons that still want judgements out of the queue; return how many.

    Whoever holds one may send a judgement all the same: it is kept, and counts for nothing.
    """
    rows = Comparison.objects.filter(
        project=project, pk__any=comparison_ids, state=Comparison.State.OPEN
    )
    found = list(rows.select_for_update().order_by("pk").values_list("pk", flat=True))
    rows.filter(pk__any=found).update(state=Comparison.State.WITHDRAWN, open_slots=0)
    # A lease that is busy is being answered, which waits for this: nobody waits for it here.
    leased = Assignment.objects.filter(comparison__any=found, state=Assignment.State.LEASED)
    free = leased.select_for_update(of=("self",), skip_locked=True)
    held = list(free.values_list("pk", flat=True))
    Assignment.objects.filter(pk__any=held).update(
        state=Assignment.State.EXPIRED, ended_at=timezone.now()
    )
    audit.record(
        actor=actor,
        project=project,
        verb="comparisons.withdraw",
        obj=project,
        data={"comparisons": len(found)},
    )
    return len(found)


@transaction.atomic
def withdraw_comparison(*, actor: User, comparison: Comparison) -> Comparison:
    """Take a comparison out of the queue for good; its judgements stay."""
    leased = Assignment.objects.filter(comparison=comparison, state=Assignment.State.LEASED)
    # Leases are locked before the comparison, as a submit does, or the two could wait in a circle.
    list(leased.select_for_update().values_list("pk"))
    comparison = Comparison.objects.select_for_update().get(pk=comparison.pk)
    comparison.state = Comparison.State.WITHDRAWN
    comparison.open_slots = 0
    comparison.save(update_fields=["state", "open_slots"])
    leased.update(state=Assignment.State.EXPIRED)
    audit.record(
        actor=actor, project=comparison.project, verb="comparison.withdraw", obj=comparison
    )
    return comparison
