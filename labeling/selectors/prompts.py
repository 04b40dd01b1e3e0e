"""Reads of prompts."""

import random
from collections.abc import Collection, Sequence

from django.db.models import Count, Q, QuerySet

from labeling.domain.splits import split_of
from labeling.models import Project, Prompt
from labeling.models.prompts import State


def prompt_rows(
    project: Project, *, tag: str = "", state: str = "", flagged: bool = False
) -> QuerySet[Prompt]:
    """Return a project's prompts in a stable order, with their numbers of candidates.

    `flagged_count` is the number of those that seem to name their maker; `flagged` asks for the
    prompts that have one.
    """
    rows = Prompt.objects.filter(project=project).prefetch_related("tags")
    if tag:
        rows = rows.filter(tags__name=tag)
    if state:
        rows = rows.filter(state=state)
    names_its_maker = Q(candidates__names_its_maker=True)
    rows = rows.annotate(
        candidate_count=Count("candidates", distinct=True),
        flagged_count=Count("candidates", filter=names_its_maker, distinct=True),
    )
    return (rows.filter(flagged_count__gt=0) if flagged else rows).order_by("id")


def select_prompts(
    project: Project,
    *,
    tags: Collection[str] = (),
    exclude_tags: Collection[str] = (),
    limit: int | None = None,
    seed: int = 0,
    split: str = "",
) -> list[Prompt]:
    """Return active prompts with any of the tags and none of the excluded, drawn by the seed.

    With `split` only those of that split, as a snapshot made now would cut them.
    """
    rows = Prompt.objects.filter(project=project, state=State.ACTIVE)
    if tags:
        rows = rows.filter(tags__name__in=list(tags))
    if exclude_tags:
        rows = rows.exclude(tags__name__in=list(exclude_tags))
    shares = {
        "validation_share": project.validation_share,
        "test_share": project.test_share,
    }
    ids = [
        pk
        for pk, group in rows.distinct().order_by("id").values_list("id", "group__key")
        if not split or split_of(group, **shares) == split
    ]
    if limit is not None and limit < len(ids):
        ids = sorted(random.Random(seed).sample(ids, limit))  # noqa: S311 - a draw, not a secret
    return _in_order(ids)


def _in_order(ids: Sequence[int]) -> list[Prompt]:
    found = Prompt.objects.in_bulk(list(ids))
    return [found[pk] for pk in ids]
