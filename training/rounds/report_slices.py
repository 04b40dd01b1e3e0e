"""How a policy fared prompt by prompt, and on which kinds of prompts it got worse. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import log
from statistics import fmean
from typing import Any, Final

from labeling.domain.agreement import Tally
from training.rounds.report import BY, EVEN, Example, Rate, Slice

MOST_TAGS: Final = 30
MOST_EXAMPLES: Final = 6
ALIKE: Final = 0.1  # of the length: less than that is as long
LENGTHS: Final = ("short", "middle", "long")
BESIDE: Final = ("shorter", "alike", "longer")

Line = Mapping[str, Any]
Messages = Sequence[Mapping[str, str]]
Scored = Callable[[Messages, str], float]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A prompt as the report needs it: its messages as role and text, and its tags."""

    messages: tuple[tuple[str, str], ...]
    tags: tuple[str, ...]

    @property
    def length(self) -> int:
        """Return its length in characters."""
        return sum(len(text) for _role, text in self.messages)


@dataclass(frozen=True, kw_only=True)
class Fared:
    """One prompt: how each pair of replies went by each judge, the first replies, and rewards.

    `longer` is the logarithm of how much longer the policy's replies are, on the average.
    """

    prompt_id: int
    asked: Asked
    longer: float
    policy: str
    baseline: str
    policy_reward: float
    baseline_reward: float
    won: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def fared(
    lines: Iterable[Line],
    prompts: Mapping[int, Asked],
    *,
    gold: Scored | None = None,
    people: Mapping[int, float] | None = None,
) -> list[Fared]:
    """Return how the policy fared on each prompt, from the lines of evaluations.jsonl.

    Every reply of the policy meets every one of the baseline's, as the evaluation counts wins;
    `gold` scores a reply where the project has a hidden score, `people` is what a contest says.
    """
    replies: dict[int, dict[str, list[Line]]] = {}
    for line in lines:
        by = replies.setdefault(int(line["prompt_id"]), {"policy": [], "baseline": []})
        by[line["by"]].append(line)
    return [
        _fared(pk, prompts[pk], said["policy"], said["baseline"], gold, (people or {}).get(pk))
        for pk, said in replies.items()
        if pk in prompts and said["policy"] and said["baseline"]
    ]


def _fared(
    prompt_id: int,
    asked: Asked,
    ours: Sequence[Line],
    theirs: Sequence[Line],
    gold: Scored | None,
    people: float | None,
) -> Fared:
    won = {"reward": _pairs([o["reward"] for o in ours], [t["reward"] for t in theirs])}
    judged = [line["judged"] for line in ours if line.get("judged")]
    if judged:
        won["judge"] = tuple(fmean((said["first"], said["second"])) for said in judged)
    if gold is not None:
        messages = [{"role": role, "content": text} for role, text in asked.messages]
        scores = [[gold(messages, line["text"]) for line in lines] for lines in (ours, theirs)]
        won["gold"] = _pairs(*scores)
    if people is not None:
        won["people"] = (people,)
    lengths = [fmean(max(1, line["tokens"]) for line in lines) for lines in (ours, theirs)]
    return Fared(
        prompt_id=prompt_id,
        asked=asked,
        longer=log(lengths[0] / lengths[1]),
        policy=ours[0]["text"],
        baseline=theirs[0]["text"],
        policy_reward=fmean(line["reward"] for line in ours),
        baseline_reward=fmean(line["reward"] for line in theirs),
        won=won,
    )


def _pairs(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    return tuple(EVEN if a == b else float(a > b) for a, b in product(ours, theirs))


def rate_of(rows: Iterable[Fared], by: str) -> Rate | None:
    """Return the win rate over prompts by one kind of judge; None where it said nothing.

    The pairs of one prompt go together: Wilson's interval with Kish's effective size.
    """
    tally = Tally()
    for row in rows:
        won = row.won.get(by, ())
        tally.add(sum(won), len(won))
    found = tally.share()
    if found is None:
        return None
    return Rate(value=found.value, low=found.low, high=found.high, pairs=found.pairs)


def slices_of(rows: Sequence[Fared]) -> tuple[Slice, ...]:
    """Return how it went by tag, by a prompt's length in thirds, and by the replies' lengths.

    Where it went worst comes first. Tags are the most frequent ones, MOST_TAGS at most.
    """
    found = [
        _slice("tag", name, [row for row in rows if name in row.asked.tags]) for name in _tags(rows)
    ]
    found += [
        _slice("prompt_length", name, part)
        for name, part in zip(LENGTHS, _thirds(rows), strict=True)
    ]
    edge = log(1 + ALIKE)
    beside = (
        [row for row in rows if row.longer < -edge],
        [row for row in rows if -edge <= row.longer <= edge],
        [row for row in rows if row.longer > edge],
    )
    found += [_slice("reply_length", name, part) for name, part in zip(BESIDE, beside, strict=True)]
    return tuple(sorted((one for one in found if one.prompts), key=_worst_first))


def _slice(kind: str, name: str, rows: Sequence[Fared]) -> Slice:
    rates = {by: rate for by in BY if (rate := rate_of(rows, by)) is not None}
    return Slice(kind=kind, name=name, prompts=len(rows), rates=rates)


def _worst_first(one: Slice) -> tuple[int, float]:
    order = ("worse", "seems_worse", "unsure", "better")
    first = next((one.rates[by] for by in BY if by in one.rates), None)
    return order.index(one.says), first.value if first else EVEN


def _tags(rows: Iterable[Fared]) -> list[str]:
    counts = Counter(name for row in rows for name in row.asked.tags)
    return sorted(name for name, _count in counts.most_common(MOST_TAGS))


def _thirds(rows: Sequence[Fared]) -> list[list[Fared]]:
    """Return the prompts in three parts by their length, none where they are too few."""
    ordered = sorted(rows, key=lambda row: (row.asked.length, row.prompt_id))
    if len(ordered) < len(LENGTHS):
        return [[] for _name in LENGTHS]
    cuts = [round(len(ordered) * part / len(LENGTHS)) for part in range(len(LENGTHS) + 1)]
    return [ordered[start:end] for start, end in pairwise(cuts)]


def examples_of(rows: Sequence[Fared], most: int = MOST_EXAMPLES) -> tuple[Example, ...]:
    """Return prompts on which the policy did worse: by people's word first, then by the reward.

    Nobody has picked them; none is shown where both said the same.
    """
    lost = [row for row in rows if row.policy != row.baseline and _standing(row) < EVEN]
    lost.sort(key=lambda row: (_standing(row), row.policy_reward - row.baseline_reward))
    return tuple(
        Example(
            prompt_id=row.prompt_id,
            asked=row.asked.messages,
            policy=row.policy,
            baseline=row.baseline,
            tags=row.asked.tags,
            won={by: fmean(row.won[by]) for by in BY if row.won.get(by)},
            policy_reward=row.policy_reward,
            baseline_reward=row.baseline_reward,
        )
        for row in lost[:most]
    )


def _standing(row: Fared) -> float:
    """Return how far the policy won here, by the first judge that spoke of those who count."""
    by = next((by for by in BY if row.won.get(by)), "")
    return fmean(row.won[by]) if by else EVEN
