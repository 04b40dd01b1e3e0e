"""What the rules about a run's health look at, what they find, and a few formulas; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Final, Literal

from labeling.domain.sentences import Sentence

Points = Sequence[tuple[int, float]]
Severity = Literal["bad", "warn"]

START: Final = 3
"""First rows that say how a run began: one batch is noise, and after three a run has moved."""
LASTING: Final = 5
"""Rows in a row that must all be sick: a threshold passed by chance is soon passed back."""


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """The share of held-out prompts on which a policy wins, with its 95 % interval.

    `step` is how far the run was; `judge` names who judged and against whom: only rates of one
    judge are comparable.
    """

    step: int
    value: float
    low: float
    high: float
    judge: str = ""


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """How often the best possible model puts a pair as one annotator did; the interval's end."""

    value: float
    high: float
    agreement: float


@dataclass(frozen=True, kw_only=True)
class Context:
    """What is known beside what the run measured; what is not known is None or empty.

    `replies_a_row` is how many replies a row of metrics rests on, `reach` the KL, in nats a reply,
    up to which the reward model has seen replies (`reach_of`). `replaced_ends` says whether a
    reply without an end gets a constant.
    """

    replies_a_row: int | None = None
    reach: float | None = None
    ceiling: Ceiling | None = None
    win_rates: Sequence[WinRate] = ()
    replaced_ends: bool = False


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A run as the rules see it: its series by name, the last of its measures, and the context."""

    series: Mapping[str, Points]
    measures: Mapping[str, float] = field(default_factory=dict)
    context: Context = field(default_factory=Context)

    def first_of(self, *names: str) -> Points:
        """Return the first of the series that the run has; empty where it has none."""
        return next((self.series[name] for name in names if self.series.get(name)), ())

    def a_reply(self, name: str, whole: str) -> Points:
        """Return the series of a quantity a reply, else what TRL's trainers log, a token's mean.

        Those are the mean over all tokens of a batch, so that times the mean length is a reply's.
        """
        if self.series.get(whole):
            return self.series[whole]
        lengths = dict(self.series.get("completions/mean_length", ()))
        tokens = self.series.get(name, ())
        return [(step, value * lengths[step]) for step, value in tokens if step in lengths]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sickness: its name, since which step it lasts, what was seen and means, and what to try.

    `since_step` is None for what a run tells at its end alone.
    """

    rule: str
    severity: Severity
    since_step: int | None
    title: Sentence
    sentence: Sentence
    remedy: Sentence


def lasting(points: Points, sick: Callable[[float], bool], least: int = LASTING) -> int | None:
    """Return the step since which every point is sick, at least so many; None where they are not.

    >>> lasting([(1, 0.0), (2, 9.0), (3, 9.0)], lambda value: value > 1, least=2)
    2
    """
    since, count = None, 0
    for step, value in reversed(points):
        if not sick(value):
            break
        since, count = step, count + 1
    return since if count >= least else None


def reach_of(seen_kl: float, candidates: int) -> float:
    """Return the KL, in nats a reply, up to which so many labelled candidates say anything.

    To estimate a mean under one distribution from draws of another takes about exp(KL) draws, no
    fewer and not many more (Chatterjee and Diaconis, 1511.01437): n candidates reach log n nats
    beyond the policy, itself `seen_kl` from the reference, that they were drawn from.
    """
    return seen_kl + log(max(candidates, 1))


def ceiling_of(agreement: float) -> float:
    """Return how often the best possible model puts a strict pair as one noisy annotator did.

    Two annotators who each err with probability e agree with a = (1 - e)^2 + e^2, so the ceiling
    is 1 - e = (1 + sqrt(2a - 1)) / 2; a half for people who agree no more than by chance. Where
    some pairs are harder than others the true ceiling lies lower (e(1 - e) is concave), and where
    people share a mistake it lies higher.

    >>> round(ceiling_of(0.82), 6)
    0.9
    """
    return (1 + sqrt(max(2 * agreement - 1, 0.0))) / 2
