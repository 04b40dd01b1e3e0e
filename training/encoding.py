"""Which rows can be learned from, and their token ids. What is left out is counted with its reason.

A prompt and its reply are encoded apart and joined, so the prompt's ids are always a prefix of the
whole and no token spans the boundary: the policy is trained on what it sees when it generates.
Free of torch, so that a page can say before a run what it would leave out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labeling.domain.sentences import sentence as _
from training import rundir

Messages = list[dict[str, str]]
Ids = list[int]
# A tokenizer as transformers makes one, or the light one of training.tokenizing: it is called on a
# text, and has apply_chat_template, all_special_tokens, bos_token_id and eos_token_id.
Tokens = Any
SPLITS = ("train", "validation", "test")


class Dropped(Exception):
    """A row that can't be learned from; the text is the reason's name."""


@dataclass(kw_only=True)
class Rows:
    """Encoded rows by split, and how many rows were left out for which reason."""

    rows: int = 0
    splits: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {name: [] for name in SPLITS}
    )
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """What result.json says about the data."""
        sizes = {name: len(rows) for name, rows in self.splits.items()}
        return {"rows": self.rows, **sizes, "dropped": dict(self.dropped), **self.notes}


class Encoder:
    """Conversations into ids by the model's own chat template."""

    def __init__(self, tokenizer: Tokens, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._marks = [mark for mark in tokenizer.all_special_tokens if mark]

    def prompt(self, messages: Messages) -> Ids:
        """The ids of a prompt up to where the assistant begins to write."""
        self._check(messages)
        return self.join(self._ids(self._render(messages, open_turn=True)), [])[0]

    def exchange(self, prompt: Messages, reply: Messages) -> tuple[Ids, Ids]:
        """Ids of the prompt and of the reply with its end mark; Dropped if they can't be used."""
        self._check(prompt)
        self._check(reply)
        head = self._render(prompt, open_turn=True)
        whole = self._render(prompt + reply, open_turn=False)
        if not whole.startswith(head):
            raise Dropped("template_changes_prompt")
        return self.join(self._ids(head), self._ids(whole[len(head) :]))

    def text(self, text: str) -> tuple[Ids, Ids]:
        """Ids of plain text between the marks of beginning and end; the first part may be empty."""
        self._check([{"role": "user", "content": text}])
        begin, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return self.join([] if begin is None else [begin], [*self._ids(text), end])

    def join(self, head: Ids, tail: Ids) -> tuple[Ids, Ids]:
        """Both parts, if together they are not too long."""
        if len(head) + len(tail) > self.max_length:
            raise Dropped("too_long")
        return head, tail

    def _check(self, messages: Messages) -> None:
        if not messages:
            raise Dropped("empty_prompt")
        # A mark written out in a text would become the mark itself and end the turn there.
        if any(mark in message["content"] for message in messages for mark in self._marks):
            raise Dropped("special_token_in_text")

    def _render(self, messages: Messages, *, open_turn: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=open_turn
            )
        )

    def _ids(self, text: str) -> Ids:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def fill_demonstrations(
    found: Rows, rows: Iterable[Mapping[str, Any]], encoder: Encoder, *, completion_only: bool
) -> None:
    """Add rows for SFT: `input_ids` and `labels`, where -100 marks what is not learned."""
    seen: set[str] = set()
    for row in rows:
        if row["split"] == "tokenizer":
            continue
        found.rows += 1
        try:
            _once(seen, [row.get("text"), row.get("prompt"), row.get("completion")])
            head, tail = _demonstration(row, encoder)
        except Dropped as reason:
            found.dropped[str(reason)] += 1
            continue
        hidden = [-100] * len(head) if completion_only else head
        encoded = {"input_ids": head + tail, "labels": hidden + tail}
        found.splits[row["split"]].append(encoded)


def texts_in(row: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a demonstration, which a new tokenizer learns from."""
    if "text" in row:
        yield row["text"]
    for message in [*row.get("prompt", []), *row.get("completion", [])]:
        yield message["content"]


def _demonstration(row: Mapping[str, Any], encoder: Encoder) -> tuple[Ids, Ids]:
    if "text" in row:
        return encoder.text(row["text"])
    _written(row["completion"])
    return encoder.exchange(row["prompt"], row["completion"])


def fill_pairs(
    found: Rows, rows: Iterable[Mapping[str, Any]], encoder: Encoder, *, soft: bool = False
) -> None:
    """Add rows for DPO: `prompt_ids`, `chosen_ids`, `rejected_ids` (replies) and `margin`.

    Ties have no winner and are left out (InstructGPT, 2203.02155, C.2), but where a soft label is
    learned, which says more than the tie. The same pair from two judgements is kept twice: that is
    two votes. `judgement` says of which a pair is. Targets and weights other than 1 are used where
    they can be (`soft`), else counted as ignored.
    """
    seen: set[str] = set()
    for row in rows:
        found.rows += 1
        try:
            encoded = _pair(row, encoder, seen, soft=soft)
        except Dropped as reason:
            found.dropped[str(reason)] += 1
            continue
        for name in () if soft else ("target", "weight"):
            if row.get(name, 1.0) != 1.0:
                found.notes[f"ignored_{name}s"] += 1
        found.splits[row["split"]].append(encoded)


def _pair(
    row: Mapping[str, Any], encoder: Encoder, seen: set[str], *, soft: bool
) -> dict[str, Any]:
    if row.get("tie") and not (soft and "target" in row):
        raise Dropped("tie")
    if row.get("weight", 1.0) == 0:
        raise Dropped("zero_weight")
    if row["chosen"] == row["rejected"]:
        raise Dropped("equal_replies")
    _once(seen, [row["prompt"], row["chosen"], row["rejected"], row.get("judgement")])
    _written(row["chosen"])
    _written(row["rejected"])
    prompt, chosen = encoder.exchange(row["prompt"], row["chosen"])
    again, rejected = encoder.exchange(row["prompt"], row["rejected"])
    if prompt != again:
        raise Dropped("template_changes_prompt")
    return {
        "prompt_ids": prompt,
        "chosen_ids": chosen,
        "rejected_ids": rejected,
        "margin": float(row.get("margin", 0.0)),
        "target": _probability(row.get("target", 1.0)),
        "weight": float(row.get("weight", 1.0)),
        "judgement": str(row.get("judgement") or ""),
    }


def _probability(target: Any) -> float:
    """RunFolderError for a target that is no probability."""
    if not isinstance(target, int | float) or not 0 <= target <= 1:
        raise rundir.RunFolderError(
            _(
                "A row's target is {target}: write the probability, from 0 to 1, that its chosen "
                "reply is the better one.",
                target=repr(target),
            )
        )
    return float(target)


def _written(reply: Messages) -> None:
    if not "".join(message["content"] for message in reply).strip():
        raise Dropped("empty_reply")


def _once(seen: set[str], key: list[Any]) -> None:
    text = json.dumps(key, sort_keys=True)
    if text in seen:
        raise Dropped("duplicate")
    seen.add(text)
