"""The win rates of a project's rounds as one drawing: dots on their intervals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.charts import BOTTOM, LEFT, RIGHT, TOP, Frame, Points, Tick, path_of
from training.compared_charts import Key, key_of, mark
from training.rounds.report import BY, EVEN, Turn

WIDTH, HEIGHT = 560, 230
_APART = 0.12  # of the room between two rounds: dots of several judges stand beside each other
_EVERY = 12  # so many rounds are numbered at most


@dataclass(frozen=True)
class Series:
    """What one kind of judge says of every round."""

    by: str
    name: str
    key: Key
    path: str
    marks: str
    bars: str
    says: str


@dataclass(frozen=True)
class RateChart:
    """Everything a template draws; `even` is the height of one half."""

    series: tuple[Series, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    even: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def rate_chart(turns: Sequence[Turn], names: Mapping[str, str]) -> RateChart | None:
    """Return the win rates of rounds over their numbers; None where no round has one.

    `names` says each kind of judge in the reader's words; kinds that it lacks are not drawn.
    """
    shown = [by for by in BY if by in names and any(by in turn.rates for turn in turns)]
    if not shown:
        return None
    first, last = turns[0].number, turns[-1].number
    frame = Frame(x=(first - 0.5, last + 0.5), y=(0.0, 1.0), width=WIDTH, height=HEIGHT)
    every = -(-len(turns) // _EVERY)
    return RateChart(
        series=tuple(
            _series(frame, place, by, names[by], turns, (place - (len(shown) + 1) / 2) * _APART)
            for place, by in enumerate(shown, start=1)
        ),
        x_ticks=tuple(
            Tick(frame.place((turn.number, 0))[0], str(turn.number)) for turn in turns[::-every]
        ),
        y_ticks=tuple(
            Tick(frame.place((first, share / 4))[1], f"{share * 25} %") for share in range(5)
        ),
        even=frame.place((first, EVEN))[1],
    )


def _series(
    frame: Frame, place: int, by: str, name: str, turns: Sequence[Turn], aside: float
) -> Series:
    known = [(turn.number, turn.rates[by]) for turn in turns if by in turn.rates]
    placed: Points = [frame.place((number + aside, rate.value)) for number, rate in known]
    bars = [
        path_of([frame.place((number + aside, end)) for end in (rate.low, rate.high)])
        for number, rate in known
    ]
    says = ", ".join(f"{number}: {round(rate.value * 100)} %" for number, rate in known)
    return Series(
        by=by,
        name=name,
        key=key_of(place),
        path=path_of(placed),
        marks="".join(mark(place, at, size=4) for at in placed),
        bars="".join(bars),
        says=says,
    )
