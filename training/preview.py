"""What a run would leave out of its rows, said before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from training.encoding import SPLITS, Encoder, Rows, fill_demonstrations, fill_pairs, texts_in
from training.tokenizing import LightTokenizer
from training.workload import Row, Texts

# So many rows are encoded while a person waits: about two seconds of replies of usual length.
MOST_ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How many of the rows looked at are used, and why the others are not.

    `dropped` holds the names of docs/run-protocol.md with their counts, the largest first.
    `contradicted` pairs are used all the same: people who disagree are votes against each other.
    `texts` are the lengths of what is used, `vocabulary` the number of tokens; None where lengths
    are not known.
    """

    rows: int
    used: dict[str, int]
    dropped: list[tuple[str, int]] = field(default_factory=list)
    contradicted: int = 0
    cut: bool = False
    lengths_known: bool = True
    texts: Texts | None = None
    vocabulary: int | None = None


def preview(
    rows: Iterable[Mapping[str, Any]],
    *,
    pairs: bool,
    model: Path | None,
    max_length: int,
    recipe: str = "",
    new_words: int = 0,
    soft: bool = False,
) -> Preview:
    """Encode the first MOST_ROWS rows as the recipe would, and say what is left out.

    Without a model, or with one whose tokenizer can't be read here, lengths are not known. The
    recipe says what one row of data is: a pair, a whole ranking, or each of its replies. A model
    from scratch learns a tokenizer of at most `new_words` tokens first, and so is one learned here.
    With `soft` the recipe learns from soft labels, which a tie may carry too.
    """
    looked = list(islice(rows, MOST_ROWS + 1))
    cut, looked = len(looked) > MOST_ROWS, looked[:MOST_ROWS]
    tokens = _new_tokenizer(looked, new_words) if new_words else readable_tokenizer(model)
    found = Rows()
    encoder = Encoder(tokens or _Letters(), max_length if tokens else 10**9)
    if pairs:
        fill_pairs(found, looked, encoder, soft=soft)
    else:
        fill_demonstrations(found, looked, encoder, completion_only=True)
    return Preview(
        rows=found.rows,
        used={name: len(kept) for name, kept in found.splits.items()},
        dropped=found.dropped.most_common(),
        contradicted=_contradicted(looked) if pairs else 0,
        cut=cut,
        lengths_known=tokens is not None,
        texts=_texts(found, recipe) if tokens else None,
        vocabulary=len(tokens) if tokens else None,
    )


def _new_tokenizer(rows: list[Mapping[str, Any]], size: int) -> LightTokenizer:
    return LightTokenizer.from_texts(
        (text for row in rows if row["split"] in ("train", "tokenizer") for text in texts_in(row)),
        size,
    )


def _texts(found: Rows, recipe: str) -> Texts:
    """The lengths of the rows that are used, as the recipe groups them."""
    train, *held = (_grouped(found.splits[name], recipe) for name in SPLITS)
    return Texts(train=tuple(train), held=tuple(row for rows in held for row in rows))


def _grouped(rows: list[dict[str, Any]], recipe: str) -> list[Row]:
    """Demonstrations are a row each, and so are pairs; rankings are put together from theirs."""
    if not rows or "labels" in rows[0]:
        heads = [sum(label == -100 for label in row["labels"]) for row in rows]
        return [
            Row(prompt=head, replies=(len(row["labels"]) - head,))
            for head, row in zip(heads, rows, strict=True)
        ]
    if recipe not in ("reward", "kto"):
        names = ("chosen_ids", "rejected_ids")
        return [
            Row(prompt=len(row["prompt_ids"]), replies=tuple(len(row[name]) for name in names))
            for row in rows
        ]
    rankings: dict[tuple[Any, ...], set[tuple[int, ...]]] = {}
    for row in rows:
        replies = rankings.setdefault((row["judgement"], *row["prompt_ids"]), set())
        replies |= {tuple(row["chosen_ids"]), tuple(row["rejected_ids"])}
    whole = [
        Row(prompt=len(key) - 1, replies=tuple(sorted(map(len, replies))))
        for key, replies in rankings.items()
    ]
    if recipe == "reward":
        return whole
    return [Row(prompt=row.prompt, replies=(length,)) for row in whole for length in row.replies]


def readable_tokenizer(model: Path | None) -> LightTokenizer | None:
    """The tokenizer of the model in a folder, or None where it can't be read without torch."""
    if model is None:
        return None
    try:
        return LightTokenizer.in_folder(model)
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
