"""What a round came to: one structure that its page, its Markdown and its JSON are made of. Pure.

A win rate is the share of pairs of replies to held-out prompts that the round's new policy won
against the one that the round began with, a tie being half a win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from training.estimates import Estimate

EVEN: Final = 0.5
BY: Final = ("people", "judge", "reward", "gold")
"""Who may say that it helped: people, an AI judge, the reward model, the demo world's own score."""
TRUSTED: Final = ("people", "judge", "reward")
"""Whose word counts, the first that spoke: the hidden score is known to nobody who works."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A win rate with its 95 % interval, and the pairs that it rests on."""

    value: float
    low: float
    high: float
    pairs: int

    @property
    def says(self) -> str:
        """Return better, worse or unsure: what the interval tells of one half."""
        return "better" if self.low >= EVEN else "worse" if self.high <= EVEN else "unsure"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one kind of judge says of the new policy; None where the rate has no such figure."""

    by: str
    rate: Rate
    at_equal_length: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Some of the prompts, and how often the new policy won there, by each kind of judge.

    `kind` is tag, prompt_length or reply_length; `name` is the tag, or which part it is.
    """

    kind: str
    name: str
    prompts: int
    rates: Mapping[str, Rate]

    @property
    def says(self) -> str:
        """Return worse where any judge is sure of it, else what the first that spoke says.

        It seems worse where that one gives the policy less than one half and is not sure.
        """
        if any(rate.says == "worse" for rate in self.rates.values()):
            return "worse"
        first = next((self.rates[by] for by in BY if by in self.rates), None)
        if first is not None and first.value < EVEN:
            return "seems_worse"
        return first.says if first is not None else "unsure"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt on which the new policy did worse, with both replies, to be read.

    `won` is how far the policy won there, by each kind of judge; rewards are the reward model's.
    """

    prompt_id: int
    asked: tuple[tuple[str, str], ...]
    policy: str
    baseline: str
    tags: tuple[str, ...]
    won: Mapping[str, float]
    policy_reward: float
    baseline_reward: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measure of the new policy's replies, beside the old one's where it has any."""

    name: str
    policy: Estimate
    baseline: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the round took: people's judgements, the seconds they took, seconds of its runs.

    What AI judges said, and what people said for the evaluation alone, is told apart.
    """

    judgements: int
    ai_judgements: int
    active_s: float
    computed_s: float
    evaluation_judgements: int
    evaluation_active_s: float


@dataclass(frozen=True, kw_only=True)
class PerPoint:
    """What one point of win rate above 50 % took, by the judge whose word counts."""

    by: str
    points: float
    judgements: float
    active_s: float
    computed_s: float


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What came of the comparisons that one strategy chose; random is the control."""

    name: str
    comparisons: int
    judgements: int
    ties: int
    active_s: float


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One of the project's rounds in a line: how it fared against what it began with.

    `gold` is the mean hidden score of its policy's replies, where the project has one.
    """

    number: int
    rates: Mapping[str, Rate]
    kl: Estimate
    gold: Estimate | None
    was_promoted: bool


@dataclass(frozen=True, kw_only=True)
class Made:
    """One thing that the round began with or made; `number` is what its address is made of."""

    kind: str
    name: str
    number: str


@dataclass(frozen=True, kw_only=True)
class RoundReport:
    """All of it. `answer` is better, worse, unsure, or "" where nothing was measured yet."""

    project: str
    number: int
    state: str
    policy: str
    baseline: str
    was_promoted: bool
    started: str
    ended: str
    answer: str
    answered_by: str
    split: str
    prompts: int
    verdicts: tuple[Verdict, ...]
    slices: tuple[Slice, ...]
    examples: tuple[Example, ...]
    examples_wait: bool
    figures: tuple[Figure, ...]
    best_of: tuple[tuple[int, Estimate, Estimate], ...]
    exploits: tuple[str, ...]
    spent: Spent
    per_point: PerPoint | None
    arms: tuple[Arm, ...]
    turns: tuple[Turn, ...]
    made: tuple[Made, ...]

    @property
    def worse(self) -> tuple[Slice, ...]:
        """Return the slices where it got worse, or seems to have."""
        return tuple(one for one in self.slices if one.says in {"worse", "seems_worse"})

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON keeps it."""
        told = asdict(self)
        told["slices"] = [
            {**row, "says": one.says} for row, one in zip(told["slices"], self.slices, strict=True)
        ]
        told["best_of"] = [
            {"n": n, "reward": reward, "gold": gold} for n, reward, gold in told["best_of"]
        ]
        return told


def answer_of(verdicts: Mapping[str, Rate]) -> tuple[str, str]:
    """Return what the round came to, and by whom: the first that spoke of those who count."""
    by = next((by for by in TRUSTED if by in verdicts), "")
    return (verdicts[by].says, by) if by else ("", "")


def per_point(verdicts: Mapping[str, Rate], spent: Spent) -> PerPoint | None:
    """Return what a point of win rate took; None where there is none that was won."""
    _says, by = answer_of(verdicts)
    points = (verdicts[by].value - EVEN) * 100 if by else 0.0
    if points <= 0:
        return None
    return PerPoint(
        by=by,
        points=points,
        judgements=spent.judgements / points,
        active_s=spent.active_s / points,
        computed_s=spent.computed_s / points,
    )


def exploits_of(verdicts: Mapping[str, Rate]) -> tuple[str, ...]:
    """Return by whose word the reward model is exploited: it sees surely more wins than they do.

    That is over-optimization (2210.10760): what was learned is, in part, the model's error.
    """
    reward = verdicts.get("reward")
    if reward is None:
        return ()
    others = (by for by in ("people", "judge", "gold") if by in verdicts)
    return tuple(by for by in others if verdicts[by].high < reward.low)
