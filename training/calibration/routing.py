"""Which comparisons an AI judge had better leave to people. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from labeling.domain.agreement import Share
from training.calibration.figures import Side, Soft, certainty

UNSURE, WEAK_TOPIC = "unsure", "weak_topic"


@dataclass(frozen=True)
class Rule:
    """When a comparison goes to people.

    `least_certainty` is from 0.5, which sends nothing on, to 1; `weak_topics` are tags.
    """

    least_certainty: float = 0.5
    weak_topics: Collection[str] = ()


@dataclass(frozen=True)
class Route:
    """Why a comparison goes to people: the reason, its topic, and how certain the judge was."""

    reason: str
    topic: str = ""
    certainty: float | None = None


def mean_certainty(softs: Sequence[Soft]) -> float | None:
    """Return how sure a judge is of a comparison: the mean over its pairs; None without a pair.

    The least certain of many pairs would be unsure nearly always: neighbours are close.
    """
    return fmean(map(certainty, softs)) if softs else None


def route(softs: Sequence[Soft], topics: Sequence[str], rule: Rule) -> Route | None:
    """Return why people are to judge a comparison, being unsure before a weak topic, or None.

    >>> route([Soft(0, 1, 0.55)], [], Rule(least_certainty=0.6))
    Route(reason='unsure', topic='', certainty=0.55)
    """
    sure = mean_certainty(softs)
    if sure is not None and sure < rule.least_certainty:
        return Route(UNSURE, certainty=sure)
    weak = next((topic for topic in topics if topic in rule.weak_topics), None)
    return Route(WEAK_TOPIC, weak, sure) if weak is not None else None


def is_weak(judge: Share | None, people: Share | None, least: float | None = None) -> bool:
    """Return whether a judge is known to agree less than it should.

    Its interval's upper end lies below people's own agreement, or below `least`. What too few pairs
    tell is not known.
    """
    if judge is None:
        return False
    bars = [bar for bar in (people.value if people else None, least) if bar is not None]
    return any(judge.high < bar for bar in bars)


def weak_topics(
    topics: Iterable[Side], overall: Side, least: float | None = None
) -> frozenset[str]:
    """Return the topics on which a judge is known to be weak.

    Where too few people shared a topic, people's agreement over all of them stands in.
    """
    return frozenset(
        side.name for side in topics if is_weak(side.judge, side.people or overall.people, least)
    )
