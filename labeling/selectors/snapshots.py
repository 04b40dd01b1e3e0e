"""Reads of snapshots: their labels as rows, in the order in which they were frozen."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from labeling.domain.content import plain_messages
from labeling.domain.rankings import ranks_from_tiers
from labeling.domain.records import JudgementRecord, Record, Reply, SoftLabel, Source, to_row
from labeling.models import (
    Candidate,
    Demonstration,
    Judgement,
    PreferencePair,
    Snapshot,
    SnapshotItem,
)

BATCH = 500


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _judgements(snapshot: Snapshot) -> Iterator[tuple[str, Judgement]]:
    """Yield (split, judgement) in the frozen order; a batch takes a fixed number of reads."""
    rows = Judgement.objects.select_related(
        "annotator", "comparison__prompt", "guideline", "written_candidate"
    )
    rows = rows.prefetch_related(
        "comparison__prompt__tags", "comparison__slots__candidate__sources", "pairs"
    )
    for batch in _batches(_items(snapshot, "judgement_id")):
        found = rows.in_bulk([pk for _, pk in batch])
        yield from ((split, found[pk]) for split, pk in batch)


def _demonstrations(snapshot: Snapshot) -> Iterator[tuple[str, Demonstration]]:
    """Yield (split, demonstration) in the frozen order."""
    rows = Demonstration.objects.select_related("prompt")
    for batch in _batches(_items(snapshot, "demonstration_id")):
        found = rows.in_bulk([pk for _, pk in batch])
        yield from ((split, found[pk]) for split, pk in batch)


def _items(snapshot: Snapshot, column: str) -> Iterator[tuple[str, int]]:
    items = SnapshotItem.objects.filter(snapshot=snapshot).order_by("position")
    return items.values_list("split", column).iterator(chunk_size=BATCH)


def record_of(judgement: Judgement) -> Record:
    """Return a judgement as a K-way record: replies in the order of slots, then how it was made.

    A reply that was written while judging stands behind the slots.
    """
    ranks = ranks_from_tiers(judgement.tiers)
    prompt = judgement.comparison.prompt
    slots = list(judgement.comparison.slots.all())
    replies = [
        Reply(slot.candidate.messages, _sources(slot.candidate), ranks.get(slot.slot))
        for slot in slots
    ]
    if judgement.written_candidate is not None:
        written = judgement.written_candidate.messages
        replies.append(Reply(written, (), ranks.get(len(slots)), written=True))
    return Record(
        prompt=prompt.messages,
        external_id=prompt.external_id,
        author=prompt.author_key,
        tags=tuple(tag.name for tag in prompt.tags.all()),
        replies=tuple(replies),
        judgement=_judgement_record(judgement),
    )


def _sources(candidate: Candidate) -> tuple[Source, ...]:
    return tuple(Source(s.model_name, s.sampling) for s in candidate.sources.all())


def _judgement_record(judgement: Judgement) -> JudgementRecord:
    """Return who judged, when and how; what an import told of it holds over what is known here."""
    told = judgement.provenance
    version = judgement.guideline.version if judgement.guideline else None
    return JudgementRecord(
        judgement_id=str(judgement.uid),
        comparison_id=str(judgement.comparison.uid),
        annotator=judgement.annotator.pseudonym,
        annotator_kind=told.get("annotator_kind", judgement.annotator.kind),
        origin=told.get("origin", judgement.origin),
        verdict=judgement.verdict,
        unrankable_reason=judgement.unrankable_reason,
        strength=judgement.strength,
        confidence=judgement.confidence,
        comment=judgement.comment,
        ratings=judgement.ratings,
        shown_order=tuple(judgement.shown_order),
        active_ms=judgement.active_ms,
        guideline_version=told.get("guideline_version", version),
        created_at=judgement.created_at.isoformat(),
        soft=tuple(soft_labels(judgement)),
    )


def soft_labels(judgement: Judgement) -> list[SoftLabel]:
    """Return what an AI judge said of pairs: two slots, and how likely the first is the better."""
    told = judgement.provenance.get("pairs") or []
    return [(pair["first"], pair["second"], pair["soft"]) for pair in told]


def _weight(snapshot: Snapshot, judgement: Judgement) -> float:
    """Return how often a judgement counts: as the snapshot weighs its kind of annotator."""
    return float(snapshot.selection.get("weights", {}).get(judgement.annotator.kind, 1.0))


def kway_rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield one full K-way row for each judgement: the import format and more."""
    weighed = bool(snapshot.selection.get("weights"))
    for split, judgement in _judgements(snapshot):
        weight = {"weight": _weight(snapshot, judgement)} if weighed else {}
        yield {**to_row(record_of(judgement)), **weight, "split": split}


def preference_rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield one row a pair, as recipes read them; ties are kept and say so, margin 0."""
    for split, judgement in _judgements(snapshot):
        yield from _pair_rows(split, judgement, _weight(snapshot, judgement))


def _pair_rows(split: str, judgement: Judgement, weight: float) -> Iterator[dict[str, Any]]:
    targets = _targets(judgement)
    texts = {candidate.pk: plain_messages(candidate.messages) for candidate in _judged(judgement)}
    prompt = judgement.comparison.prompt
    for pair in sorted(judgement.pairs.all(), key=lambda p: p.pk):
        yield {
            "prompt_id": prompt.content_hash,
            "prompt": plain_messages(prompt.messages),
            "chosen": texts[pair.chosen_id],
            "rejected": texts[pair.rejected_id],
            "margin": float(pair.rank_gap),
            "tie": pair.is_tie,
            "weight": weight,
            **_target(targets, pair),
            "comparison": str(judgement.comparison.uid),
            "judgement": str(judgement.uid),
            "annotator": judgement.annotator.pseudonym,
            "split": split,
        }


def _targets(judgement: Judgement) -> dict[tuple[int, int], float]:
    """Return soft labels by two candidates: how likely the first is better than the second."""
    soft = soft_labels(judgement)
    candidates = {slot.slot: slot.candidate_id for slot in judgement.comparison.slots.all()}
    found = {(candidates[one], candidates[other]): p for one, other, p in soft}
    return found | {(candidates[other], candidates[one]): 1 - p for one, other, p in soft}


def _target(targets: dict[tuple[int, int], float], pair: PreferencePair) -> dict[str, float]:
    found = targets.get((pair.chosen_id, pair.rejected_id))
    return {} if found is None else {"target": found}


def _judged(judgement: Judgement) -> list[Candidate]:
    """Return what the tiers speak of: the candidates by slot, then the one written meanwhile."""
    candidates = [slot.candidate for slot in judgement.comparison.slots.all()]
    if judgement.written_candidate is not None:
        candidates.append(judgement.written_candidate)
    return candidates


def ranking_rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield one row a judgement, as the reward recipe reads it: `tiers` place the `replies`.

    A ranking that was imported and a pair (K = 2) are rows like any other.
    """
    for split, judgement in _judgements(snapshot):
        prompt = judgement.comparison.prompt
        soft = [list(label) for label in soft_labels(judgement)]
        yield {
            "prompt_id": prompt.content_hash,
            "prompt": plain_messages(prompt.messages),
            "replies": [plain_messages(candidate.messages) for candidate in _judged(judgement)],
            "tiers": judgement.tiers,
            "strength": judgement.strength,
            "weight": _weight(snapshot, judgement),
            **({"soft": soft} if soft else {}),
            "comparison": str(judgement.comparison.uid),
            "judgement": str(judgement.uid),
            "annotator": judgement.annotator.pseudonym,
            "split": split,
        }


def demonstration_rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield one row a demonstration: prompt, completion, split."""
    for split, demonstration in _demonstrations(snapshot):
        yield {
            "prompt_id": demonstration.prompt.content_hash,
            "prompt": plain_messages(demonstration.prompt.messages),
            "completion": plain_messages(demonstration.messages),
            "split": split,
        }


def canonical_rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield the rows that the snapshot's hash is taken over."""
    if snapshot.kind == Snapshot.Kind.PREFERENCES:
        return kway_rows(snapshot)
    return demonstration_rows(snapshot)
