"""Taking a file of K-way lines: all or nothing, with a report that names every refused line."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.content import content_hash
from labeling.domain.fields import RecordError
from labeling.domain.records import (
    Record,
    Reply,
    Source,
    parse_line,
)
from labeling.domain.sentences import parts_of, sentence
from labeling.exceptions import InvalidInput, NotFound, PrefloopError
from labeling.models import (
    Candidate,
    ImportBatch,
    Project,
    Prompt,
    User,
)
from labeling.services import audit, comparisons, prompts
from labeling.services.imported_judgements import Line, write_judgements

REFUSED_SHOWN = 500
PROGRESS_EVERY = 200


@dataclass
class Report:
    """What became of a file's lines."""

    taken: int = 0
    duplicates: int = 0
    refused_total: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    prompts: int = 0
    candidates: int = 0
    flagged: int = 0
    sources: int = 0
    demonstrations: int = 0
    comparisons: int = 0
    judgements: int = 0

    def refuse(self, line: int, field_name: str, reason: str) -> None:
        """Note a line that can't be taken; the first few hundred are shown."""
        self.refused_total += 1
        if len(self.refused) < REFUSED_SHOWN:
            row = {"line": line, "field": field_name, "reason": reason, "parts": parts_of(reason)}
            self.refused.append(row)


def create_import(
    *,
    actor: User,
    project: Project,
    file_name: str,
    chunks: Iterable[bytes],
    source_name: str = "",
    options: dict[str, Any] | None = None,
) -> ImportBatch:
    """Store an uploaded file and queue its import.

    Raises InvalidInput for a file over the size limit; nothing of it is kept then.
    """
    uid = uuid.uuid4()
    path = Path(settings.UPLOAD_DIR) / f"{uid}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with path.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > settings.MAX_IMPORT_BYTES:
                path.unlink()
                raise InvalidInput(
                    _("The file is too large: split it."),
                    errors={
                        "file": [
                            _("At most {count} bytes are taken.").format(
                                count=settings.MAX_IMPORT_BYTES
                            )
                        ]
                    },
                )
            file.write(chunk)
    with transaction.atomic():
        batch = ImportBatch.objects.create(
            uid=uid,
            project=project,
            file_name=file_name[:255],
            path=str(path),
            source_name=source_name or Path(file_name).stem[:120],
            options=options or {},
            created_by=actor,
        )
        audit.record(actor=actor, project=project, verb="import.create", obj=batch)
    return batch


def run_import(*, batch_id: int) -> ImportBatch:
    """Take a queued file: read every line, then write everything or nothing.

    Delivered twice, it runs once: the batch is claimed by compare-and-swap.
    """
    claimed = ImportBatch.objects.filter(pk=batch_id, state=ImportBatch.State.QUEUED).update(
        state=ImportBatch.State.RUNNING, heartbeat_at=timezone.now()
    )
    batch = ImportBatch.objects.select_related("project", "created_by").get(pk=batch_id)
    if not claimed:
        return batch
    report = Report()
    lines: list[Line] = []
    try:
        lines.extend(_read(batch, report))
        if report.refused_total:
            return _finish(batch, ImportBatch.State.REFUSED, report)
        with transaction.atomic():
            _write(batch, lines, report)
            return _finish(batch, ImportBatch.State.SUCCEEDED, report)
    except PrefloopError as error:
        return _refuse_whole(batch, error, lines)


def _refuse_whole(batch: ImportBatch, error: PrefloopError, lines: list[Line]) -> ImportBatch:
    """Report an error that was found while writing; the transaction has left nothing."""
    report = Report()
    numbers = {line.record.external_id: line.number for line in reversed(lines)}
    for name, reasons in (error.errors or {"": [error.message]}).items():
        report.refuse(numbers.get(name, 0), "external_id" if name in numbers else name, reasons[0])
    return _finish(batch, ImportBatch.State.REFUSED, report)


def _finish(batch: ImportBatch, state: str, report: Report) -> ImportBatch:
    batch.state = state
    batch.report = report.__dict__
    batch.finished_at = timezone.now()
    batch.save(update_fields=["state", "report", "finished_at"])
    return batch


def _read(batch: ImportBatch, report: Report) -> Iterator[Line]:
    """Yield the file's records, note what is refused, and tell how far the reading is."""
    path = Path(batch.path)
    if not path.exists():
        raise NotFound(_("The uploaded file is gone. Upload it again."))
    with path.open("rb") as file:
        batch.lines_total = sum(1 for _ in file)
    ImportBatch.objects.filter(pk=batch.pk).update(lines_total=batch.lines_total)
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if number % PROGRESS_EVERY == 0 or number == batch.lines_total:
                ImportBatch.objects.filter(pk=batch.pk).update(
                    lines_done=number, heartbeat_at=timezone.now()
                )
            record = _record(number, raw, report)
            if record is not None:
                yield Line(number, record)
    if not batch.lines_total:
        report.refuse(0, "file", sentence("holds no line."))


def _record(number: int, raw: bytes, report: Report) -> Record | None:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        report.refuse(
            number, "line", sentence("is no UTF-8 text at byte {place}.", place=error.start)
        )
        return None
    if not text:
        return None
    try:
        return parse_line(text)
    except RecordError as error:
        report.refuse(number, error.field, error.reason)
        return None


def _write(batch: ImportBatch, lines: list[Line], report: Report) -> None:
    """Write all records of a file; runs inside the import's transaction."""
    project = Project.objects.select_for_update(no_key=True).get(pk=batch.project_id)
    records = [line.record for line in lines]
    prompt_of, new_prompts = prompts.ensure_prompts(project=project, records=records)
    rows = [(prompt_of[content_hash(r.prompt)], r) for r in records]
    replies = [(prompt, reply) for prompt, record in rows for reply in record.replies]
    candidates, report.candidates = prompts.ensure_candidates(replies=replies)
    report.flagged = len(_flagged(replies, candidates))
    report.prompts = len(new_prompts)
    report.sources = prompts.ensure_sources(sources=_sources(rows, candidates), batch=batch)
    report.demonstrations = prompts.ensure_demonstrations(
        rows=[(prompt, item) for prompt, record in rows for item in record.demonstrations]
    )
    judged = [(p, line) for (p, _), line in zip(rows, lines, strict=True) if line.record.judgement]
    written = write_judgements(batch=batch, project=project, rows=judged, candidates=candidates)
    report.judgements = len(written)
    unranked = [(p, r) for p, r in rows if r.judgement is None]
    report.comparisons = len(
        comparisons.queue_comparisons(
            actor=batch.created_by,
            project=project,
            prompt_ids={p.pk for p, r in unranked if r.replies},
            import_batch=batch,
        )
    )
    _count_lines(batch, lines, report, new_prompts, written)


def _count_lines(
    batch: ImportBatch, lines: list[Line], report: Report, new_prompts: set[str], written: set[int]
) -> None:
    """Count lines that brought something new as taken, the others as duplicates.

    A file whose every line was known already brings no source, demonstration or judgement.
    """
    brought = report.sources + report.demonstrations + report.judgements + report.prompts
    for line in lines:
        if line.record.judgement is not None:
            new = line.number in written
        else:
            new = bool(brought) and (
                content_hash(line.record.prompt) in new_prompts
                or bool(report.sources or report.demonstrations)
            )
        report.taken += new
        report.duplicates += not new


def _sources(
    rows: list[tuple[Prompt, Record]], candidates: dict[tuple[int, str], Candidate]
) -> list[tuple[Candidate, Source]]:
    """Return each source of each reply; lines that judge one comparison tell of the same ones."""
    told: dict[Any, tuple[Prompt, Record]] = {}
    for number, (prompt, record) in enumerate(rows):
        comparison = record.judgement.comparison_id if record.judgement else None
        told.setdefault(comparison or number, (prompt, record))
    return [
        (candidates[(prompt.pk, content_hash(reply.messages))], source)
        for prompt, record in told.values()
        for reply in record.replies
        for source in reply.sources
    ]


def _flagged(
    replies: list[tuple[Prompt, Reply]], candidates: dict[tuple[int, str], Candidate]
) -> set[int]:
    """Return the candidates of a file that seem to name their maker."""
    found = (candidates[(prompt.pk, content_hash(reply.messages))] for prompt, reply in replies)
    return {candidate.pk for candidate in found if candidate.names_its_maker}


def requeue_lost_imports(*, older_than: datetime) -> list[int]:
    """Put imports back whose worker died; nothing of them was written. Return all queued ids."""
    ImportBatch.objects.filter(state=ImportBatch.State.RUNNING, heartbeat_at__lt=older_than).update(
        state=ImportBatch.State.QUEUED, lines_done=0
    )
    return list(
        ImportBatch.objects.filter(state=ImportBatch.State.QUEUED).values_list("pk", flat=True)
    )
