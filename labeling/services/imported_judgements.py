"""The rankings of an imported file, as judgements of named sources on comparisons of their own."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from labeling.domain.content import content_hash
from labeling.domain.pairs import pairs_of
from labeling.domain.records import JudgementRecord, Record, to_line, to_row
from labeling.domain.sentences import sentence
from labeling.exceptions import InvalidInput
from labeling.models import (
    Annotator,
    Candidate,
    Comparison,
    ImportBatch,
    Judgement,
    PreferencePair,
    Project,
    Prompt,
)
from labeling.services import comparisons
from labeling.services.projects import named_annotator
from labeling.services.written_replies import keep_imported_replies

BATCH = 1000
_SOFT = ("first", "second", "soft")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "prefloop:import")


@dataclass(frozen=True)
class Line:
    """A record with its place in the file."""

    number: int
    record: Record


def write_judgements(
    *,
    batch: ImportBatch,
    project: Project,
    rows: list[tuple[Prompt, Line]],
    candidates: dict[tuple[int, str], Candidate],
) -> set[int]:
    """Write the rankings of a file as judgements of named sources; return their line numbers."""
    uids = {_judgement_uid(batch, line.record): (prompt, line) for prompt, line in rows}
    known = set(
        Judgement.objects.filter(project=project, uid__in=list(uids)).values_list("uid", flat=True)
    )
    fresh = {uid: row for uid, row in uids.items() if uid not in known}
    ranked = {
        uid: [candidates[(prompt.pk, content_hash(r.messages))] for r in line.record.replies]
        for uid, (prompt, line) in fresh.items()
    }
    groups = {uid: ranked[uid][: len(line.record.shown)] for uid, (_, line) in fresh.items()}
    comparison_of = _judged_comparisons(batch, project, fresh, groups)
    annotators = _imported_annotators(batch, project, fresh)
    judgements = Judgement.objects.bulk_create(
        [
            _judgement(batch, uid, line, comparison_of[uid], annotators, ranked[uid])
            for uid, (_, line) in fresh.items()
        ],
        batch_size=BATCH,
    )
    keep_imported_replies(judgements=judgements)
    pairs = [pair for judgement in judgements for pair in _pairs(judgement, ranked[judgement.uid])]
    PreferencePair.objects.bulk_create(pairs, batch_size=BATCH)
    return {line.number for _, line in fresh.values()}


def _pairs(judgement: Judgement, ranked: list[Candidate]) -> list[PreferencePair]:
    """Return the pairs that a judgement implies, from its candidates in the order of slots."""
    return [
        PreferencePair(
            judgement=judgement,
            chosen=ranked[pair.chosen],
            rejected=ranked[pair.rejected],
            rank_gap=pair.rank_gap,
            is_tie=pair.is_tie,
        )
        for pair in pairs_of(judgement.tiers)
    ]


def _judgement_uid(batch: ImportBatch, record: Record) -> uuid.UUID:
    """Return the line's own id, else one made from what it says, so that a repeat is known."""
    given = record.judgement.judgement_id if record.judgement else None
    if given:
        try:
            return uuid.UUID(str(given))
        except ValueError:
            pass
    return uuid.uuid5(_NAMESPACE, f"{batch.source_name}\n{given}\n{to_line(to_row(record))}")


def _judged_comparisons(
    batch: ImportBatch,
    project: Project,
    rows: dict[uuid.UUID, tuple[Prompt, Line]],
    groups: dict[uuid.UUID, list[Candidate]],
) -> dict[uuid.UUID, Comparison]:
    """Return each judgement's comparison, closed; lines that name one comparison share it."""
    uid_of = {uid: _comparison_uid(uid, line.record) for uid, (_, line) in rows.items()}
    known = {
        c.uid: c for c in Comparison.objects.filter(project=project, uid__in=set(uid_of.values()))
    }
    new: dict[uuid.UUID, uuid.UUID] = {}
    for uid, comparison_uid in uid_of.items():
        if comparison_uid not in known:
            new.setdefault(comparison_uid, uid)
    made = Comparison.objects.bulk_create(
        [
            Comparison(
                uid=comparison_uid,
                project=project,
                prompt=rows[uid][0],
                overlap=1,
                open_slots=0,
                judgement_count=sum(c == comparison_uid for c in uid_of.values()),
                state=Comparison.State.CLOSED,
                import_batch=batch,
            )
            for comparison_uid, uid in new.items()
        ],
        batch_size=BATCH,
    )
    comparisons.fill_slots(made, [groups[uid] for uid in new.values()])
    known.update({c.uid: c for c in made})
    _check_same_candidates(uid_of, groups, rows, new)
    return {uid: known[comparison_uid] for uid, comparison_uid in uid_of.items()}


def _check_same_candidates(
    uid_of: dict[uuid.UUID, uuid.UUID],
    groups: dict[uuid.UUID, list[Candidate]],
    rows: dict[uuid.UUID, tuple[Prompt, Line]],
    new: dict[uuid.UUID, uuid.UUID],
) -> None:
    """Raise InvalidInput where lines of one comparison rank other replies, or in other slots."""
    for uid, comparison_uid in uid_of.items():
        first = new.get(comparison_uid)
        if first is not None and groups[first] != groups[uid]:
            number = rows[uid][1].number
            raise InvalidInput(
                _("Lines of one comparison must hold the same replies in the same order."),
                errors={
                    f"line {number}": [
                        sentence("differs from line {number}.", number=rows[first][1].number)
                    ]
                },
            )


def _comparison_uid(judgement_uid: uuid.UUID, record: Record) -> uuid.UUID:
    given = record.judgement.comparison_id if record.judgement else None
    if given:
        try:
            return uuid.UUID(str(given))
        except ValueError:
            return uuid.uuid5(_NAMESPACE, str(given))
    return uuid.uuid5(_NAMESPACE, f"comparison {judgement_uid}")


def _imported_annotators(
    batch: ImportBatch, project: Project, rows: dict[uuid.UUID, tuple[Prompt, Line]]
) -> dict[str, Annotator]:
    """Return the annotators of a file by the pseudonym its lines give; "" is the file's source."""
    found = {}
    for _prompt, line in rows.values():
        pseudonym = (line.record.judgement and line.record.judgement.annotator) or ""
        if pseudonym in found:
            continue
        if not pseudonym:
            found[""] = named_annotator(
                project=project, kind=Annotator.Kind.IMPORTED, name=batch.source_name
            )
            continue
        found[pseudonym], _made = Annotator.objects.get_or_create(
            project=project,
            pseudonym=pseudonym,
            defaults={
                "kind": Annotator.Kind.IMPORTED,
                "name": f"{batch.source_name}: {pseudonym}"[:120],
            },
        )
    return found


def _judgement(
    batch: ImportBatch,
    uid: uuid.UUID,
    line: Line,
    comparison: Comparison,
    annotators: dict[str, Annotator],
    ranked: list[Candidate],
) -> Judgement:
    said = line.record.judgement
    assert said is not None  # noqa: S101 - only judged lines come here
    return Judgement(
        uid=uid,
        project_id=batch.project_id,
        comparison=comparison,
        annotator=annotators[said.annotator or ""],
        verdict=_verdict(said, line.record),
        tiers=line.record.tiers,
        unrankable_reason=said.unrankable_reason,
        strength=said.strength,
        confidence=said.confidence,
        comment=said.comment,
        ratings=dict(said.ratings),
        written_candidate=ranked[-1] if line.record.written else None,
        shown_order=list(said.shown_order),
        active_ms=said.active_ms,
        origin=Judgement.Origin.IMPORT,
        provenance=_provenance(said),
        idempotency_key=str(uid),
        request_hash=hashlib.sha256(to_line(to_row(line.record)).encode()).hexdigest(),
        import_batch=batch,
        created_at=_moment(said.created_at),
    )


def _verdict(said: JudgementRecord, record: Record) -> str:
    if said.verdict == "ranked" and len(record.tiers) == 1:
        return Judgement.Verdict.TIE
    return said.verdict


def _provenance(said: JudgementRecord) -> dict[str, Any]:
    """Keep what the file says of the judgement's birth, which this project can't point to."""
    told = {
        "annotator_kind": said.annotator_kind,
        "origin": said.origin,
        "guideline_version": said.guideline_version,
        "pairs": [dict(zip(_SOFT, label, strict=True)) for label in said.soft] or None,
    }
    return {key: value for key, value in told.items() if value is not None}


def _moment(text: str | None) -> datetime:
    moment = parse_datetime(text) if text else None
    if moment is None:
        return timezone.now()
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
