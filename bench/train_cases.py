"""The cases of bench.train, their texts of controlled length, and the arithmetic of its figures.

Texts are words of one token each, drawn by a seed. A hidden score, the share of liked words in a
reply less that of disliked ones, orders the replies, so that there is something to learn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from statistics import fmean, median
from typing import Any

SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "ro", "su", "ti")
WORDS = tuple("".join(pair) for pair in product(SYLLABLES, SYLLABLES))
LIKED, DISLIKED = frozenset(WORDS[:20]), frozenset(WORDS[20:40])
SPREAD = 0.25
"""Lengths are drawn evenly from this much below to this much above a case's own."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model from scratch: what both sides begin with, and the longest text it is given."""

    max_positions: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison of the two sides.

    `rows` train: comparisons of `replies` candidates, pairs or demonstrations; `held` comparisons
    are kept apart. `batch` rows go into one forward pass of the product and into one step of both.
    The baseline takes `share` forward passes for a step: as many as it is fastest with, which on a
    CPU is a pass of about as many texts as the other side has candidates in one.
    """

    name: str
    recipe: str
    rows: int
    batch: int
    prompt: int
    reply: int
    replies: int = 2
    share: int = 1
    held: int = 0
    learning_rate: float = 1e-3
    config: dict[str, Any] = field(default_factory=dict)


SHAPES = {
    "cpu": Shape(max_positions=512, hidden_size=128, layers=4, heads=4, intermediate_size=384),
    "cuda": Shape(
        max_positions=4096, hidden_size=2048, layers=16, heads=16, intermediate_size=6144
    ),
}


def cases(
    *,
    k4: dict[str, int],
    k9: dict[str, int],
    long: dict[str, int],
    dpo_short: dict[str, int],
    dpo_long: dict[str, int],
    sft_short: dict[str, int],
) -> tuple[Case, ...]:
    """The cases of a device, which differ in size alone."""
    reward = {"recipe": "reward", "held": 64}
    return (
        Case(name="reward_k4", replies=4, **reward, **k4),
        Case(name="reward_k9", replies=9, **reward, **k9),
        Case(name="reward_long", replies=4, **reward, **long),
        Case(name="dpo_short", recipe="dpo", **dpo_short),
        Case(name="dpo_long", recipe="dpo", **dpo_long),
        Case(name="sft_short", recipe="sft", **sft_short),
    )


def size(rows: int, batch: int, prompt: int, reply: int, share: int = 1) -> dict[str, int]:
    """The numbers of a case."""
    return {"rows": rows, "batch": batch, "prompt": prompt, "reply": reply, "share": share}


CASES = {
    "cpu": cases(
        k4=size(128, 16, 32, 32, share=6),
        k9=size(40, 4, 24, 24, share=8),
        long=size(48, 8, 160, 16, share=3),
        dpo_short=size(384, 16, 12, 32),
        dpo_long=size(128, 8, 200, 20),
        sft_short=size(768, 16, 12, 32),
    ),
    "cuda": cases(
        k4=size(256, 16, 192, 192, share=2),
        k9=size(128, 8, 192, 192, share=8),
        long=size(128, 8, 1600, 160, share=4),
        dpo_short=size(1024, 32, 64, 192),
        dpo_long=size(256, 8, 2000, 200),
        sft_short=size(2048, 32, 64, 192),
    ),
}


def words(rng: random.Random, length: int) -> list[str]:
    """Words in a row, about as many as asked for."""
    count = rng.randint(round(length * (1 - SPREAD)), round(length * (1 + SPREAD)))
    return [rng.choice(WORDS) for _ in range(max(1, count))]


def score(reply: Sequence[str]) -> float:
    """The share of liked words less that of disliked ones."""
    liked, disliked = (sum(word in kind for word in reply) for kind in (LIKED, DISLIKED))
    return (liked - disliked) / len(reply)


def reply_of(rng: random.Random, length: int) -> list[str]:
    """A reply with a bent of its own, so that replies to one prompt differ."""
    bent = rng.choice((LIKED, DISLIKED))
    share, drawn = rng.random() / 2, words(rng, length)
    kind = sorted(bent)
    return [rng.choice(kind) if rng.random() < share else word for word in drawn]


def comparisons(case: Case, seed: int) -> Rows:
    """Judged comparisons without ties, of the splits train and test; `tiers` from best to worst."""
    rng = random.Random(f"{case.name} {seed}")
    made: Rows = []
    while len(made) < case.rows + case.held:
        prompt = " ".join(words(rng, case.prompt))
        replies = [reply_of(rng, case.reply) for _ in range(case.replies)]
        if len({score(reply) for reply in replies}) < case.replies:
            continue
        order = sorted(range(case.replies), key=lambda place: -score(replies[place]))
        made.append(
            {
                "prompt": [message("user", prompt)],
                "replies": [[message("assistant", " ".join(reply))] for reply in replies],
                "tiers": [[place] for place in order],
                "strength": None,
                "weight": 1.0,
                "comparison": str(len(made)),
                "judgement": str(len(made)),
                "annotator": "score",
                "split": "train" if len(made) < case.rows else "test",
            }
        )
    return made


def rows_of(case: Case, seed: int = 0) -> Rows:
    """The rows of a case as its recipe reads them."""
    ranked = comparisons(case, seed)
    if case.recipe == "reward":
        return ranked
    if case.recipe == "dpo":
        return [pair for row in ranked for pair in pairs_of(row)]
    return [
        {"prompt": row["prompt"], "completion": best_first(row)[0], "split": row["split"]}
        for row in ranked
    ]


def best_first(row: dict[str, Any]) -> list[list[dict[str, str]]]:
    """The replies of a comparison in their order."""
    return [row["replies"][tier[0]] for tier in row["tiers"]]


def pairs_of(row: dict[str, Any]) -> Rows:
    """All pairs of a comparison, the better reply as `chosen`, as TRL reads them."""
    kept = {name: row[name] for name in ("prompt", "split", "judgement")}
    return [
        kept | {"chosen": better, "rejected": worse, "margin": 1.0, "tie": False, "weight": 1.0}
        for better, worse in combinations(best_first(row), 2)
    ]


def trl_rows(case: Case, rows: Rows) -> Rows:
    """The same rows as a bare TRL script reads them; of a ranking all pairs."""
    if case.recipe != "reward":
        return [{name: row[name] for name in TEXTS[case.recipe]} for row in rows]
    return [
        {"chosen": row["prompt"] + pair["chosen"], "rejected": row["prompt"] + pair["rejected"]}
        for row in rows
        for pair in pairs_of(row)
    ]


TEXTS = {"dpo": ("prompt", "chosen", "rejected"), "sft": ("prompt", "completion")}


def rows_a_step(case: Case) -> int:
    """How many rows of a bare TRL script make a step, where a comparison is all its pairs."""
    pairs = case.replies * (case.replies - 1) // 2
    return case.batch * (pairs if case.recipe == "reward" else 1)


def message(role: str, content: str) -> dict[str, str]:
    """One chat message."""
    return {"role": role, "content": content}


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times faster the product is: the ratio of the medians, and of each repeat."""

    of_medians: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.of_medians:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(baseline: Sequence[float], own: Sequence[float]) -> Ratio:
    """The baseline's seconds over the product's, by medians; the spread is that of the repeats."""
    each = [one / other for one, other in zip(baseline, own, strict=True)]
    return Ratio(of_medians=median(baseline) / median(own), low=min(each), high=max(each))


def overhead(baseline: Sequence[float], own: Sequence[float]) -> float:
    """By what part the product is slower than the baseline; negative where it is faster."""
    return median(own) / median(baseline) - 1


def mean_interval(reports: Sequence[dict[str, float]]) -> str:
    """Mean accuracy over the repeats with the mean of their 95 % intervals, in words."""
    accuracy, low, high = (fmean(one[name] for one in reports) for name in REPORTED)
    return f"{accuracy:.3f} ({low:.3f} to {high:.3f})"


REPORTED = ("accuracy", "low", "high")
