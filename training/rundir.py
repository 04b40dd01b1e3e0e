"""A run's folder: the names in it, atomic writes, and reading while another process writes.

docs/run-protocol.md says who writes what. Nothing else in the project knows these names.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from labeling.domain.sentences import sentence as _

CONFIG = "config.json"
DATA = "data.jsonl"
DATA_HASH = "data.sha256"
VERSIONS = "versions.json"
METRICS = "metrics.jsonl"
LOG = "train.log"
STOP = "stop"
LOCK = "lock"
CHECKPOINTS = "checkpoints"
COMPLETE = "COMPLETE"
MODEL = "model"
MEMBER = "member-"
SAMPLES = "samples.jsonl"
DRAWS = "draws.jsonl"
ROLLOUTS = "rollouts.jsonl"
EVALUATIONS = "evaluations.jsonl"
JUDGEMENTS = "judgements.jsonl"
SCORES = "scores.jsonl"
REVISIONS = "revisions.jsonl"
RANKS = "ranks"
RESULT = "result.json"
CACHE = "cache"
ENDPOINT = "endpoint.json"
ENDPOINT_KEY = "PREFLOOP_ENDPOINT_KEY"
"""The environment variable by which a recipe gets the key of its endpoint; it is in no file."""

_CHECKPOINT_PREFIX = "checkpoint-"
_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")
_MODEL_FILES = (".safetensors", ".json", ".jinja", ".model", ".txt")


class RunFolderError(Exception):
    """A run's folder that can't be used as it is; the text names the file and the remedy."""


class RunFolderBusy(RunFolderError):
    """Another process still works in the folder."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """One row of metrics.jsonl; `time` is seconds since 1970."""

    step: int
    total: int
    time: float
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint; `state` is what its COMPLETE file says."""

    step: int
    path: Path
    state: Mapping[str, Any]


def write_json_atomic(path: Path, value: Any) -> None:
    """Write so that a reader, also after a power cut, sees the old content or the new one."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    write_text_atomic(path, text + "\n")


def write_text_atomic(path: Path, text: str) -> None:
    """Like `write_json_atomic`, for text."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def write_lines_atomic(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Like `write_json_atomic`, for objects, one a line."""
    write_text_atomic(
        path,
        "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows),
    )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; RunFolderError if it is missing or not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(
            _("{name} is missing in {parent}.", name=path.name, parent=path.parent)
        ) from None
    except ValueError as problem:
        raise RunFolderError(
            _("{path} is not JSON: {problem}.", path=path, problem=problem)
        ) from None
    if not isinstance(value, dict):
        raise RunFolderError(_("{path} must hold a JSON object.", path=path))
    return value


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepare(
    folder: Path,
    *,
    recipe: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Mapping[str, Any]],
    rows: Iterable[Mapping[str, Any]],
    seed: int,
    run_id: str = "",
    attempt: int = 1,
    git_commit: str | None = None,
) -> str:
    """Write what a recipe needs before it starts; returns the sha256 of the rows.

    Called again for a later attempt it must bring the same rows (RunFolderError otherwise):
    a run that goes on from a checkpoint may not learn from other data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = (folder / DATA_HASH).read_text().strip() if (folder / DATA_HASH).exists() else None
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    temporary = folder / f".{DATA}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    digest = file_sha256(temporary)
    if before not in (None, digest) and newest_checkpoint(folder) is not None:
        temporary.unlink()
        raise RunFolderError(
            _(
                "{folder} has a checkpoint made from other rows ({before}); "
                "start a new run instead.",
                folder=folder,
                before=before,
            )
        )
    temporary.replace(folder / DATA)
    write_text_atomic(folder / DATA_HASH, digest + "\n")
    write_json_atomic(folder / VERSIONS, versions(git_commit))
    head = {"recipe": recipe, "run_id": run_id, "attempt": attempt, "seed": seed}
    body = {"config": dict(config), "inputs": {name: dict(of) for name, of in inputs.items()}}
    write_json_atomic(folder / CONFIG, {**head, **body})
    return digest


def versions(git_commit: str | None = None) -> dict[str, str | None]:
    """Git commit (as given, else PREFLOOP_GIT_COMMIT, else None), Python and library versions."""
    found: dict[str, str | None] = {
        "git_commit": git_commit or os.environ.get("PREFLOOP_GIT_COMMIT") or None,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def verify_data(folder: Path) -> str:
    """The sha256 of data.jsonl; RunFolderError if it is not the one written beside it."""
    if not (folder / DATA).exists() or not (folder / DATA_HASH).exists():
        raise RunFolderError(
            _(
                "{data} or {data_hash} is missing in {folder}: prepare it again.",
                data=DATA,
                data_hash=DATA_HASH,
                folder=folder,
            )
        )
    said = (folder / DATA_HASH).read_text().strip()
    found = file_sha256(folder / DATA)
    if found != said:
        raise RunFolderError(
            _(
                "{data} changed: its sha256 is {found}, {data_hash} says {wanted}.",
                data=DATA,
                found=found,
                data_hash=DATA_HASH,
                wanted=said,
            )
        )
    return found


def lock(folder: Path) -> int:
    """A file descriptor whose owner, and whoever inherits it, alone may work in the folder.

    The lock ends with the last process that holds the descriptor, however that dies. Raises
    RunFolderBusy if another process has it.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RunFolderBusy(_("Another process still works in {folder}.", folder=folder)) from None
    return descriptor


def request_stop(folder: Path) -> None:
    """Ask the recipe to stop at its next step and keep a checkpoint."""
    (folder / STOP).touch()


def stop_requested(folder: Path) -> bool:
    """Whether somebody asked the recipe to stop."""
    return (folder / STOP).exists()


def append_metric(
    folder: Path, *, step: int, total: int, values: Mapping[str, float], now: float | None = None
) -> None:
    """Append one row to metrics.jsonl in one write; NaN and infinities become null."""
    clean = {name: _number(value) for name, value in values.items()}
    stamp = time.time() if now is None else now
    row = {"step": step, "total": total, "time": stamp, "values": clean}
    data = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
    descriptor = os.open(folder / METRICS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _number(value: float) -> float | None:
    return value if value - value == 0 else None  # false for NaN and the infinities


def read_metrics_from(folder: Path, offset: int = 0) -> tuple[list[Metrics], int]:
    """The whole rows from a byte offset on, and the offset after them.

    A half-written last line waits for the next call. Where the file has become shorter than the
    offset (rows after a checkpoint were dropped) reading begins at the start again.
    """
    path = folder / METRICS
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        if offset > os.fstat(file.fileno()).st_size:
            offset = 0
        file.seek(offset)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    rows = [row for line in whole.splitlines() if (row := _metrics(line)) is not None]
    return rows, offset + len(whole)


def _metrics(line: bytes) -> Metrics | None:
    """A row, or None for a line that a crash left torn in the middle of the file."""
    try:
        raw = json.loads(line)
        values = {name: float(value) for name, value in raw["values"].items() if value is not None}
        return Metrics(step=raw["step"], total=raw["total"], time=raw["time"], values=values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def drop_metrics_after(folder: Path, step: int) -> None:
    """Rewrite metrics.jsonl without torn lines and without rows of later steps."""
    if not (folder / METRICS).exists():
        return
    lines = (folder / METRICS).read_bytes().splitlines()
    kept = [line for line in lines if (row := _metrics(line)) is not None and row.step <= step]
    write_text_atomic(folder / METRICS, b"".join(line + b"\n" for line in kept).decode())


def append_rollouts(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append replies drawn while training, one object a line, each with its `step`."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
    with (folder / ROLLOUTS).open("a", encoding="utf-8") as file:
        file.writelines(lines)


def read_rollouts(folder: Path, limit: int) -> list[dict[str, Any]]:
    """The last replies kept while training, oldest first; none where the folder has none."""
    path = folder / ROLLOUTS
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        last = deque((line for line in file if line.endswith("\n")), maxlen=limit)
    return [json.loads(line) for line in last]


def drop_rollouts_after(folder: Path, step: int) -> None:
    """Rewrite rollouts.jsonl without a torn line and without rows of later steps."""
    path = folder / ROLLOUTS
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        whole = [line for line in file if line.endswith("\n")]
    write_text_atomic(path, "".join(line for line in whole if json.loads(line)["step"] <= step))


def tail_log(folder: Path, lines: int = 40) -> str:
    """The last lines of the newest attempt's log, without reading all of a long one."""
    path = folder / LOG
    if not path.exists():
        return ""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 1000 * lines))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def rotate_log(folder: Path) -> Path:
    """Move an earlier attempt's log to train.<n>.log; returns the path for the new one."""
    path = folder / LOG
    if path.exists():
        number = 1
        while (folder / f"train.{number}.log").exists():
            number += 1
        path.rename(folder / f"train.{number}.log")
    return path


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / CHECKPOINTS / f"{_CHECKPOINT_PREFIX}{step}"


def mark_complete(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Sync every file of a checkpoint, then write its COMPLETE file: from now on it counts."""
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(checkpoint)
    write_json_atomic(checkpoint / COMPLETE, dict(state))
    sync_folder(checkpoint.parent)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The whole checkpoint of the latest step, or None."""
    whole = [step for step in _steps(folder) if _is_whole(checkpoint_path(folder, step))]
    if not whole:
        return None
    path = checkpoint_path(folder, max(whole))
    return Checkpoint(step=max(whole), path=path, state=read_json(path / COMPLETE))


def remove_checkpoints(folder: Path, *, keep: int) -> None:
    """Remove torn checkpoints, and whole ones but for the newest `keep`."""
    steps = sorted(_steps(folder), reverse=True)
    whole = [step for step in steps if _is_whole(checkpoint_path(folder, step))]
    for step in set(steps) - set(whole[:keep]):
        path = checkpoint_path(folder, step)
        (path / COMPLETE).unlink(missing_ok=True)  # half removed must not count as whole
        shutil.rmtree(path)


def tidy(folder: Path) -> bool:
    """Remove what only a further attempt would read: checkpoints, caches, a model never taken.

    Returns False, and removes nothing, while a process works in the folder.
    """
    try:
        held = lock(folder)
    except RunFolderBusy:
        return False
    try:
        remove_checkpoints(folder, keep=0)
        for name in (CHECKPOINTS, CACHE, MODEL):
            shutil.rmtree(folder / name, ignore_errors=True)
    finally:
        os.close(held)
    return True


def _steps(folder: Path) -> list[int]:
    names = [path.name for path in (folder / CHECKPOINTS).glob(f"{_CHECKPOINT_PREFIX}*")]
    numbers = [name.removeprefix(_CHECKPOINT_PREFIX) for name in names]
    return [int(number) for number in numbers if number.isdigit()]


def _is_whole(checkpoint: Path) -> bool:
    return (checkpoint / COMPLETE).exists()


def rewind(folder: Path) -> int:
    """Bring the folder back to its newest whole checkpoint; returns that step, 0 if there is none.

    Torn checkpoints, later metric rows, a stop request, an earlier result and the model of an
    earlier stop are removed. Only the holder of the folder's lock may call it.
    """
    checkpoint = newest_checkpoint(folder)
    step = checkpoint.step if checkpoint else 0
    remove_checkpoints(folder, keep=len(_steps(folder)))
    drop_metrics_after(folder, step if checkpoint else -1)
    drop_rollouts_after(folder, step if checkpoint else -1)
    (folder / STOP).unlink(missing_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    return step


def read_result(folder: Path) -> dict[str, Any] | None:
    """What result.json says, or None as long as there is none."""
    return read_json(folder / RESULT) if (folder / RESULT).exists() else None


def weights_sha256(model: Path) -> str:
    """One sha256 over names and contents of a model's weights, config and tokenizer files.

    The members of an ensemble, each in a folder of its own beside them, belong to the model.
    """
    found = [*model.iterdir(), *model.glob(f"{MEMBER}*/*")]
    paths = sorted(path for path in found if path.suffix in _MODEL_FILES)
    if not any(path.suffix == ".safetensors" for path in paths):
        raise RunFolderError(
            _("{model} holds no .safetensors file, so it is no finished model.", model=model)
        )
    lines = [f"{path.relative_to(model)} {file_sha256(path)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
