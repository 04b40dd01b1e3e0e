"""What PPO learns from: prompts to reply to, texts to remember, and the episodes of one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from training import rundir
from training.configs import PPOConfig
from training.recipes.data import Dropped, Encoder, Ids, Messages, read_rows
from training.recipes.rollouts import stream_seed


@dataclass(frozen=True)
class Asked:
    """A prompt to reply to."""

    messages: Messages
    ids: Ids


@dataclass(kw_only=True)
class Material:
    """The prompts and texts of a run, and what was left out of data.jsonl."""

    prompts: list[Asked] = field(default_factory=list)
    texts: list[tuple[Ids, Ids]] = field(default_factory=list)
    rows: int = 0
    held_out: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """What result.json says about the data."""
        sizes = {"train": len(self.prompts), "ptx": len(self.texts)}
        held_out = {name: self.held_out[name] for name in ("validation", "test")}
        return {"rows": self.rows, **sizes, **held_out, "dropped": dict(self.dropped)}


def read_material(folder: Path, encoder: Encoder, config: PPOConfig) -> Material:
    """Rows of the split `train`: those with a reply or a plain text are texts, others prompts.

    Raises RunFolderError where there is no prompt left, or no text though PPO-ptx asks for some.
    """
    found = Material()
    shorter = Encoder(encoder.tokenizer, encoder.max_length - config.max_new_tokens)
    seen: set[Any] = set()
    for row in read_rows(folder):
        found.rows += 1
        if row["split"] != "train":
            found.held_out[row["split"]] += 1
            continue
        try:
            if "text" in row or "completion" in row:
                found.texts.append(_text(row, encoder))
                continue
            if row["prompt_id"] in seen:
                raise Dropped("duplicate")
            seen.add(row["prompt_id"])
            found.prompts.append(Asked(row["prompt"], shorter.prompt(row["prompt"])))
        except Dropped as reason:
            found.dropped[str(reason)] += 1
    _check(found, config)
    return found


def _text(row: dict[str, Any], encoder: Encoder) -> tuple[Ids, Ids]:
    """A text's part that is only read, and the part whose likelihood counts."""
    if "text" in row:
        return encoder.text(row["text"])
    if not "".join(message["content"] for message in row["completion"]).strip():
        raise Dropped("empty_reply")
    return encoder.exchange(row["prompt"], row["completion"])


def _check(found: Material, config: PPOConfig) -> None:
    if not found.prompts:
        raise rundir.RunFolderError(
            f"No prompt of {found.rows} rows is left (left out: {dict(found.dropped)}): add "
            "prompts with split train, or raise max_length."
        )
    if config.ptx_coefficient and not found.texts:
        raise rundir.RunFolderError(
            f"ptx_coefficient is {config.ptx_coefficient}, but data.jsonl has no text to keep "
            "likely: add demonstrations with split train, or set it to 0."
        )


def shuffled(count: int, *words: object) -> list[int]:
    """The numbers below `count` in an order of their own for these words."""
    generator = torch.Generator().manual_seed(stream_seed(*words))
    return list(torch.randperm(count, generator=generator).tolist())


def endless(count: int, start: int, taken: int, *words: object) -> Iterator[int]:
    """Numbers below `count` from place `start` of an endless row of shuffled passes."""
    number, order = -1, [0]
    for place in range(start, start + taken):
        if place // count != number:
            number = place // count
            order = shuffled(count, *words, number)
        yield order[place % count]


@dataclass(kw_only=True)
class Episode:
    """One prompt, the reply drawn for it, and what the four models say; tensors are (tokens,)."""

    number: int
    prompt: Ids
    messages: Messages
    reply: Ids = field(default_factory=list)
    ended: bool = False
    score: float = 0.0
    logprobs: torch.Tensor | None = None
    reference: torch.Tensor | None = None
    values: torch.Tensor | None = None
    entropy: torch.Tensor | None = None

    @property
    def length(self) -> int:
        """Tokens of prompt and reply."""
        return len(self.prompt) + len(self.reply)


def begin(material: Material, step: int, size: int, seed: int) -> list[Episode]:
    """The episodes of a step (from 0), all processes' together, without replies."""
    places = range(step * size, (step + 1) * size)
    picked = endless(len(material.prompts), places.start, size, seed, "prompts")
    return [
        Episode(number=number, prompt=asked.ids, messages=asked.messages)
        for number, asked in zip(places, (material.prompts[at] for at in picked), strict=True)
    ]


Minibatch = list[list[list[int]]]
"""Places of a minibatch's episodes by process, each cut into the parts of one forward pass."""


def cut(
    lengths: Sequence[int], *, minibatches: int, processes: int, size: int, words: Sequence[object]
) -> list[Minibatch]:
    """One pass over the episodes: minibatches drawn at random; in each of them every process gets
    as many, of all lengths alike, and its parts are sorted by length, so they hold little padding.
    """
    order = shuffled(len(lengths), *words)
    share = len(order) // minibatches
    passes = []
    for start in range(0, share * minibatches, share):
        picked = sorted(order[start : start + share], key=lambda at: (lengths[at], at))
        shares = [picked[rank::processes] for rank in range(processes)]
        passes.append([[own[at : at + size] for at in range(0, len(own), size)] for own in shares])
    return passes
