"""Human references: what people wrote, shown to annotators among the replies of models.

A reference is a candidate like any other, so nobody sees whose it is; its source names the
demonstration that it is the text of.
"""

import random
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime

from labeling.domain.content import content_hash, parse_reply
from labeling.domain.records import Reply
from labeling.domain.rendering import render_text
from labeling.models import Annotator, Candidate, CandidateSource, Demonstration, Project, User
from labeling.models.prompts import State
from labeling.selectors.references import HUMAN
from labeling.services import audit
from labeling.services.prompts import BATCH, ensure_candidates


def each_reference(
    project: Project, prompt_ids: Collection[int], *, before: datetime | None = None
) -> Iterator[Demonstration]:
    """Yield what people wrote to some prompts and stands, oldest first; never what AI wrote.

    Erased texts are left out. With `before` only what was written until then. Rows are read as
    they are asked for.
    """
    rows = Demonstration.objects.filter(
        prompt__project=project,
        prompt__in=prompt_ids,
        prompt__state=State.ACTIVE,
        state=State.ACTIVE,
        superseded_by=None,
    )
    rows = rows.exclude(annotator__kind=Annotator.Kind.AI).select_related("prompt")
    if before is not None:
        rows = rows.filter(created_at__lte=before)
    for row in rows.order_by("pk").iterator(chunk_size=BATCH):
        if row.content_hash == content_hash(row.messages):
            yield row


def references_of(
    project: Project, prompt_ids: Collection[int], *, before: datetime | None = None
) -> dict[int, list[Demonstration]]:
    """Return the references of `each_reference` by prompt."""
    found: dict[int, list[Demonstration]] = defaultdict(list)
    for row in each_reference(project, prompt_ids, before=before):
        found[row.prompt_id].append(row)
    return found


def add_references(
    *,
    actor: User | None,
    project: Project,
    prompt_ids: Collection[int],
    count: int,
    seed: int,
    before: datetime | None = None,
) -> set[int]:
    """Return the candidates of at most `count` human references to each prompt, drawn by the seed.

    Those that are no candidates yet become some; done once or twice it comes to the same. Must run
    inside a transaction.
    """
    luck = random.Random(seed)  # noqa: S311 - repeatable, no secret
    found = references_of(project, prompt_ids, before=before)
    drawn = [
        row
        for _prompt, rows in sorted(found.items())
        for row in luck.sample(rows, min(count, len(rows)))
    ]
    replies = [(row.prompt, Reply(row.messages, ())) for row in drawn]
    candidates, made = ensure_candidates(replies=replies)
    ids = {row.pk: candidates[(row.prompt_id, row.content_hash)].pk for row in drawn}
    known = set(
        CandidateSource.objects.filter(candidate__in=ids.values(), model_name=HUMAN).values_list(
            "candidate_id", "sampling__demonstration"
        )
    )
    fresh = [
        CandidateSource(candidate_id=pk, model_name=HUMAN, sampling={"demonstration": row})
        for row, pk in ids.items()
        if (pk, row) not in known
    ]
    CandidateSource.objects.bulk_create(fresh, batch_size=BATCH)
    if fresh:
        audit.record(
            actor=actor,
            project=project,
            verb="references.add",
            obj=project,
            data={"references": len(ids), "new_candidates": made},
        )
    return set(ids.values())


def erase_references(*, demonstrations: Collection[Demonstration], tombstone: str) -> None:
    """Put a tombstone in place of candidates that are nobody else's texts.

    Called while the demonstrations still have their texts. Must run inside a transaction.
    """
    ids = {row.pk for row in demonstrations}
    writers = {None, *(row.annotator_id for row in demonstrations)}
    rows = Candidate.objects.filter(
        sources__model_name=HUMAN, sources__sampling__demonstration__in=ids
    )
    for candidate in rows.distinct().prefetch_related("sources"):
        others = [
            source
            for source in candidate.sources.all()
            if source.model_name != HUMAN or source.sampling.get("demonstration") not in ids
        ]
        if others or candidate.written_by_id not in writers:
            continue
        candidate.messages = parse_reply(tombstone, "tombstone")
        candidate.html = render_text(tombstone)
        candidate.content_hash = content_hash([{"erased": candidate.pk}])
        candidate.save(update_fields=["messages", "html", "content_hash"])
