"""Files from snapshots: written in the background, whole or not at all."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.records import to_line
from labeling.exceptions import InvalidInput, SnapshotChanged
from labeling.models import Export, Snapshot, User
from labeling.selectors.snapshots import demonstration_rows, kway_rows, preference_rows
from labeling.services import audit
from labeling.services.snapshots import hash_of

Rows = Iterator[dict[str, Any]]
# Settings differ from row to row, and Parquet wants one type a column: they go as JSON texts.
_AS_JSON = ("sampling", "ratings", "other_sources")


def trl_rows(snapshot: Snapshot) -> Rows:
    """Yield TRL's preference rows: explicit prompt, conversational, ties left out.

    A snapshot of demonstrations gives TRL's prompt-completion rows.
    """
    if snapshot.kind == Snapshot.Kind.DEMONSTRATIONS:
        yield from demonstration_rows(snapshot)
        return
    for row in preference_rows(snapshot):
        if not row["tie"]:
            yield {key: value for key, value in row.items() if key not in {"tie", "weight"}}


def rows_of(snapshot: Snapshot, export_format: str) -> Rows:
    """Return the rows of an export format."""
    if export_format == Export.Format.TRL_PREFERENCE:
        return trl_rows(snapshot)
    if snapshot.kind == Snapshot.Kind.DEMONSTRATIONS:
        return demonstration_rows(snapshot)
    return kway_rows(snapshot)


@transaction.atomic
def request_export(
    *, actor: User | None, snapshot: Snapshot, format: str, container: str
) -> Export:
    """Queue a file to be made from a snapshot."""
    errors = {}
    if format not in Export.Format.values:
        errors["format"] = [_("Use one of {known}.").format(known=", ".join(Export.Format.values))]
    if container not in Export.Container.values:
        errors["container"] = [
            _("Use one of {known}.").format(known=", ".join(Export.Container.values))
        ]
    if errors:
        raise InvalidInput(_("There is no such export."), errors=errors)
    export = Export.objects.create(
        snapshot=snapshot, format=format, container=container, created_by=actor
    )
    audit.record(
        actor=actor,
        project=snapshot.project,
        verb="export.request",
        obj=export,
        data={"format": format, "container": container},
    )
    return export


def write_export(*, export_id: int) -> Export:
    """Write a queued export's file and mark it ready.

    Delivered twice, it runs once. Raises SnapshotChanged (and marks the export failed) when the
    rows no longer give the hash that the snapshot was frozen with.
    """
    claimed = Export.objects.filter(pk=export_id, state=Export.State.QUEUED).update(
        state=Export.State.RUNNING, heartbeat_at=timezone.now()
    )
    export = Export.objects.select_related("snapshot__project").get(pk=export_id)
    if not claimed:
        return export
    try:
        checked(export.snapshot)
    except SnapshotChanged as error:
        fail_export(export_id=export_id, error=error.message)
        raise
    path = export_path(export)
    export.rows, export.sha256 = write_file(
        path, rows_of(export.snapshot, export.format), export.container
    )
    export.path = str(path)
    export.state = Export.State.READY
    export.finished_at = timezone.now()
    export.save()
    return export


def checked(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot if its rows still give its hash; raise SnapshotChanged if they don't."""
    if hash_of(snapshot) != snapshot.sha256:
        raise SnapshotChanged(_("The rows differ from what was frozen: restore the database."))
    return snapshot


def fail_export(*, export_id: int, error: str) -> None:
    """Mark an export as failed, with the reason that people are shown."""
    Export.objects.filter(pk=export_id, state=Export.State.RUNNING).update(
        state=Export.State.FAILED, error=error, finished_at=timezone.now()
    )


def export_path(export: Export) -> Path:
    """Return where an export's file lies; its name says what it is."""
    ending = "parquet" if export.container == Export.Container.PARQUET else "jsonl"
    project = export.snapshot.project.slug
    name = f"{project}-snapshot-{export.snapshot.number}-{export.format}.{ending}"
    return Path(settings.EXPORT_DIR) / str(export.uid) / name


def write_file(path: Path, rows: Iterable[dict[str, Any]], container: str) -> tuple[int, str]:
    """Write rows beside `path`, then move the whole file there; return row count and sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    writer: Callable[[Path, Iterable[dict[str, Any]]], int] = (
        _write_parquet if container == Export.Container.PARQUET else _write_jsonl
    )
    count = writer(part, rows)
    digest = hashlib.sha256()
    with part.open("rb") as file:
        os.fsync(file.fileno())
        while block := file.read(1 << 20):
            digest.update(block)
    part.replace(path)
    return count, digest.hexdigest()


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(to_line(row) + "\n")
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    # Only the worker that writes a file needs pyarrow; a web process stays small without it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = [_flat(row) for row in rows]
    # Not every row has every field, and the first one alone would say which columns there are.
    names = list(dict.fromkeys(name for row in flat for name in row))
    table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in flat])
    pq.write_table(table, path)
    return int(table.num_rows)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for key, value in row.items():
        if key in _AS_JSON:
            value = json.dumps(value, ensure_ascii=False, sort_keys=True)
        elif key in {"responses", "ranked_responses"}:
            value = [_flat(item) for item in value]
        flat[key] = value
    return flat


def requeue_lost_exports(*, older_than: datetime) -> list[int]:
    """Put exports back whose worker died, and return the ids of all that are queued."""
    Export.objects.filter(state=Export.State.RUNNING, heartbeat_at__lt=older_than).update(
        state=Export.State.QUEUED
    )
    return list(Export.objects.filter(state=Export.State.QUEUED).values_list("pk", flat=True))
