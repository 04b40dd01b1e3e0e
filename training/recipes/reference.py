"""What the reference says of a run's pairs, asked once and kept beside the run."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from datasets import Dataset, load_from_disk
from transformers import PreTrainedTokenizerBase

from training import rundir
from training.configs import TrainingConfig
from training.recipes.data import Splits


def reference_key(
    weights: str, tokenizer: PreTrainedTokenizerBase, config: TrainingConfig, rows: Splits
) -> str:
    """A hash of all that the reference's log-probabilities depend on.

    `weights` is the checkpoint's `rundir.weights_sha256`. With it go the chat template, the marks
    that were added to the tokenizer, the longest length, the number format, and the ids of every
    text.
    """
    head = [weights, tokenizer.chat_template, sorted(tokenizer.all_special_tokens)]
    digest = hashlib.sha256()
    for part in [*head, len(tokenizer), config.max_length, config.precision]:
        digest.update(json.dumps(part).encode() + b"\n")
    for split, pairs in rows.splits.items():
        for pair in pairs:
            digest.update(json.dumps([split, *_ids(pair)]).encode() + b"\n")
    return digest.hexdigest()


def _ids(pair: dict[str, Any]) -> list[list[int]]:
    return [pair["prompt_ids"], pair["chosen_ids"], pair["rejected_ids"]]


def keep(dataset: Dataset | None, folder: Path, key: str, split: str) -> Dataset | None:
    """The same rows from a folder of the run, where all processes find what the reference said.

    TRL writes it beside the rows and finds it there when the run goes on. Processes don't wait for
    each other here, where accelerate does not yet know of them on a CPU: each makes the folder
    whole before it gets its name, and the first one's stays.
    """
    if dataset is None:
        return None
    place = folder / rundir.CACHE / f"reference-{key[:16]}" / split
    if not (place / "state.json").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix=f"{split}-", dir=place.parent))
        dataset.save_to_disk(own)
        try:
            own.rename(place)
        except OSError:  # another process was faster, with the same rows
            if not (place / "state.json").exists():
                raise
            shutil.rmtree(own)
    return load_from_disk(place)
