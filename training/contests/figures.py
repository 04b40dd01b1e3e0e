"""What a contest says: pure figures, from its pairs in the order in which they were judged.

The win rate's interval holds at all times (labeling/domain/sequential.py), so a contest may be
looked at after every judgement and stopped when it is decided. That asks for pairs that are draws
of one kind: their places are drawn beforehand, each is of another prompt, and a pair of equal
replies, whose tie is known without asking, enters in its own place among the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

from labeling.domain.sequential import NOTHING, Reading, outcome_of, readings
from training.estimates import Estimate
from training.length_control import Match, length_controlled

MOST_POINTS = 200  # of the way that is kept to be drawn


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One pair of a contest. `won` is how far the policy won it: 1, 0, or 0.5 for a tie.

    None where nothing is known of it, or nobody could rank it. `judged_at` orders those that were
    asked; None for a pair of equal replies. `spoken` are the judgements that it rests on, and
    `both_bad` those of them that found both replies bad, which is nobody's win.
    """

    place: int
    prompt: int
    won: float | None
    judged_at: float | None
    policy_length: int
    baseline_length: int
    is_same: bool = False
    spoken: int = 0
    both_bad: int = 0
    active_ms: int = 0


def sequence_of(pairs: Iterable[Pair], *, is_over: bool) -> list[Pair]:
    """Return the pairs that count, in order; ties known beforehand stand where they were drawn.

    Such a tie counts once a pair drawn after it is judged. `is_over` says that nothing more will
    be judged: the ties after the last one count, too.
    """
    asked = [pair for pair in pairs if pair.won is not None and not pair.is_same]
    same = sorted((pair for pair in pairs if pair.is_same), key=lambda pair: pair.place)
    found: list[Pair] = []
    known = iter([*same, None])
    waiting = next(known)
    for pair in sorted(asked, key=lambda pair: (pair.judged_at or 0.0, pair.place)):
        while waiting is not None and waiting.place < pair.place:
            found.append(waiting)
            waiting = next(known)
        found.append(pair)
    while is_over and waiting is not None:
        found.append(waiting)
        waiting = next(known)
    return found


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is known of a contest: how many pairs went which way, the rate, and the way to it.

    `outcome` is "policy", "baseline", "alike", or "" where nothing is decided.
    """

    pairs: int
    won: int
    lost: int
    tied: int
    same: int
    both_bad: int
    judgements: int
    active_s: float
    rate: Estimate
    at_equal_length: Estimate | None
    outcome: str
    path: tuple[tuple[int, float, float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything, as `figures_from` reads it again."""
        return {**asdict(self), "path": [list(point) for point in self.path]}


def figures_from(told: dict[str, Any]) -> Figures:
    """Return the figures that `to_json` wrote."""
    equal = told["at_equal_length"]
    return Figures(
        **{
            **told,
            "rate": Estimate(**told["rate"]),
            "at_equal_length": Estimate(**equal) if equal else None,
            "path": tuple((int(n), v, low, high) for n, v, low, high in told["path"]),
        }
    )


_OUTCOMES = {"first": "policy", "second": "baseline", "alike": "alike", None: ""}


def figures_of(pairs: Sequence[Pair], *, indifference: float, is_over: bool) -> Figures:
    """Return what the pairs say, as far as the first moment at which they decide the contest.

    What came after that moment is told by no figure: it was not needed any more.
    """
    counted: list[Pair] = []
    way: list[Reading] = []
    outcome = ""
    sequence = sequence_of(pairs, is_over=is_over)
    for pair, reading in zip(sequence, readings(p.won or 0.0 for p in sequence), strict=True):
        counted.append(pair)
        way.append(reading)
        outcome = _OUTCOMES[outcome_of(reading, indifference=indifference)]
        if outcome:
            break
    last = way[-1] if way else NOTHING
    return Figures(
        pairs=len(counted),
        won=sum((pair.won or 0.0) > 0.5 for pair in counted),
        lost=sum((pair.won or 0.0) < 0.5 for pair in counted),
        tied=sum(pair.won == 0.5 for pair in counted),
        same=sum(pair.is_same for pair in counted),
        both_bad=sum(pair.both_bad for pair in counted),
        judgements=sum(pair.spoken for pair in counted),
        active_s=sum(pair.active_ms for pair in counted) / 1000,
        rate=Estimate(value=last.value, low=last.low, high=last.high),
        at_equal_length=length_controlled([_match(pair) for pair in counted]),
        outcome=outcome,
        path=tuple((r.count, r.value, r.low, r.high) for r in _thinned(way)),
    )


def _match(pair: Pair) -> Match:
    ratio = max(pair.policy_length, 1) / max(pair.baseline_length, 1)
    return Match(cluster=str(pair.prompt), won=pair.won or 0.0, longer=log(ratio))


def _thinned(way: Sequence[Reading]) -> list[Reading]:
    """Return at most MOST_POINTS of the readings, the last among them."""
    every = -(-len(way) // MOST_POINTS) or 1
    return list(way[::-1][::every][::-1])
