"""Prompts to reply to, and the file of lines that replies are written to as they come."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from training import rundir
from training.recipes.data import Dropped, Ids, Messages, read_rows
from training.recipes.running import Run


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt to reply to, as messages and as ids."""

    prompt_id: str
    messages: Messages
    ids: Ids


class PromptEncoder(Protocol):
    """What makes ids of a prompt. Raises Dropped for one that can't be replied to."""

    def prompt(self, messages: Messages) -> Ids:
        """The ids of a prompt."""
        ...


def read_prompts(
    run: Run, encoder: PromptEncoder, rows: Iterable[Mapping[str, Any]] | None = None
) -> tuple[list[Prompt], dict[str, Any]]:
    """Every prompt of the run, short ones first, and what result.json says of the rows.

    `rows` are those of the folder that are prompts, where others lie beside them. Raises
    RunFolderError where none is left.
    """
    count, dropped = 0, Counter[str]()
    prompts: dict[str, Prompt] = {}
    for row in read_rows(run.folder) if rows is None else rows:
        count += 1
        name, messages = row["prompt_id"], row["prompt"]
        try:
            if name in prompts:
                raise Dropped("duplicate")
            prompts[name] = Prompt(prompt_id=name, messages=messages, ids=encoder.prompt(messages))
        except Dropped as reason:
            dropped[str(reason)] += 1
    if not prompts:
        raise rundir.RunFolderError(f"No prompt is left (left out: {dict(dropped)}).")
    ordered = sorted(prompts.values(), key=lambda one: (len(one.ids), one.prompt_id))
    return ordered, {"rows": count, "prompts": len(prompts), "dropped": dict(dropped)}


def candidate_seed(seed: int, prompt_id: str, candidate: int) -> int:
    """The seed of one candidate, from the run's seed and what it is; below 2**53."""
    digest = hashlib.sha256(f"{seed}:{prompt_id}:{candidate}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 11


class Lines:
    """A file of objects, one a line, of which a checkpoint says how many bytes are whole."""

    def __init__(self, run: Run, name: str) -> None:
        self._folder = run.folder
        self.path = run.folder / name

    def go_on(self, *, by_line: bool = False) -> int:
        """Cut the file to what the newest checkpoint vouches for; returns its step, else 0.

        With `by_line` every whole line is kept, whether a checkpoint came after it or not.
        """
        checkpoint = rundir.newest_checkpoint(self._folder)
        self.path.touch()
        if by_line:
            size = self.path.read_bytes().rfind(b"\n") + 1
        else:
            size = checkpoint.state["bytes"] if checkpoint else 0
        os.truncate(self.path, size)
        return checkpoint.step if checkpoint else 0

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write some lines, and see them to the disk."""
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
            )
            file.flush()
            os.fsync(file.fileno())

    def checkpoint(self, step: int) -> None:
        """Let what is written be what a run goes on from."""
        path = rundir.checkpoint_path(self._folder, step)
        path.mkdir(parents=True, exist_ok=True)
        rundir.mark_complete(path, {"step": step, "bytes": self.path.stat().st_size})
        rundir.remove_checkpoints(self._folder, keep=1)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the lines as objects."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
