"""What a run would leave out of its rows, said before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from training.encoding import Encoder, Rows, fill_demonstrations, fill_pairs
from training.tokenizing import LightTokenizer

# So many rows are encoded while a person waits: about two seconds of replies of usual length.
MOST_ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How many of the rows looked at are used, and why the others are not.

    `dropped` holds the names of docs/run-protocol.md with their counts, the largest first.
    `contradicted` pairs are used all the same: people who disagree are votes against each other.
    """

    rows: int
    used: dict[str, int]
    dropped: list[tuple[str, int]] = field(default_factory=list)
    contradicted: int = 0
    cut: bool = False
    lengths_known: bool = True


def preview(
    rows: Iterable[Mapping[str, Any]], *, pairs: bool, model: Path | None, max_length: int
) -> Preview:
    """Encode the first MOST_ROWS rows as the recipe would, and say what is left out.

    Without a model, or with one whose tokenizer can't be read here, lengths are not known.
    """
    looked = list(islice(rows, MOST_ROWS + 1))
    cut, looked = len(looked) > MOST_ROWS, looked[:MOST_ROWS]
    tokens = _tokenizer(model)
    found = Rows()
    encoder = Encoder(tokens or _Letters(), max_length if tokens else 10**9)
    if pairs:
        fill_pairs(found, looked, encoder)
    else:
        fill_demonstrations(found, looked, encoder, completion_only=True)
    return Preview(
        rows=found.rows,
        used={name: len(kept) for name, kept in found.splits.items()},
        dropped=found.dropped.most_common(),
        contradicted=_contradicted(looked) if pairs else 0,
        cut=cut,
        lengths_known=tokens is not None,
    )


def _tokenizer(model: Path | None) -> LightTokenizer | None:
    if model is None:
        return None
    try:
        return LightTokenizer(model)
    except Exception:  # noqa: BLE001 - what the tokenizers library raises has no name of its own
        return None


class _Letters:
    """Stands in for a tokenizer where none can be read: everything but lengths is still seen."""

    all_special_tokens: tuple[str, ...] = ()
    bos_token_id = None
    eos_token_id = 0

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": []}

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        return "".join(message["content"] for message in messages)


def _contradicted(rows: Iterable[Mapping[str, Any]]) -> int:
    """Pairs with a winner whose opposite is among them too."""
    kept = [row for row in rows if not row.get("tie") and row["chosen"] != row["rejected"]]
    said = [_said(row, "chosen", "rejected") for row in kept]
    known = set(said)
    return sum(_said(row, "rejected", "chosen") in known for row in kept)


def _said(row: Mapping[str, Any], better: str, worse: str) -> str:
    return json.dumps([row["prompt"], row[better], row[worse]], sort_keys=True)
