"""The rows of a run's folder, encoded and ready for a trainer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from training import rundir
from training.encoding import Dropped as Dropped
from training.encoding import Encoder as Encoder
from training.encoding import Ids as Ids
from training.encoding import Messages as Messages
from training.encoding import Rows, fill_demonstrations, fill_pairs, texts_in


@dataclass(kw_only=True)
class Splits(Rows):
    """Encoded rows by split, as trainers take them."""

    def dataset(self, split: str) -> Dataset | None:
        """The rows of a split as an in-memory dataset, or None if there are none."""
        return Dataset.from_list(self.splits[split]) if self.splits[split] else None


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of data.jsonl; RunFolderError with the line's number for one that is no object."""
    with (folder / rundir.DATA).open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            row = json.loads(line)
            if not isinstance(row, dict):
                raise rundir.RunFolderError(f"{rundir.DATA} line {number}: not an object.")
            yield row


def encode_demonstrations(folder: Path, encoder: Encoder, *, completion_only: bool) -> Splits:
    """The folder's rows for SFT; RunFolderError if none is left to train on."""
    found = Splits()
    fill_demonstrations(found, read_rows(folder), encoder, completion_only=completion_only)
    return usable(found)


def encode_pairs(folder: Path, encoder: Encoder, *, soft: bool = False) -> Splits:
    """The folder's pairs; RunFolderError if none is left to train on."""
    found = Splits()
    fill_pairs(found, read_rows(folder), encoder, soft=soft)
    return usable(found)


def usable(found: Splits) -> Splits:
    """The same rows; RunFolderError if none is left to train on."""
    if not found.splits["train"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.dropped.items())
        raise rundir.RunFolderError(
            f"No row of {found.rows} is left to train on (left out: {reasons or 'none'}): add rows "
            f"with split train, or raise max_length."
        )
    return found


def tokenizer_texts(folder: Path) -> Iterator[str]:
    """What a new tokenizer learns from: rows of the splits `train` and `tokenizer`."""
    for row in read_rows(folder):
        if row["split"] in ("train", "tokenizer"):
            yield from texts_in(row)
