"""How a judge leans to a place, as the numbers of a drawing: pure, so that no script is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 150
LEFT, RIGHT, TOP, BOTTOM = 12, 12, 14, 34
GAP = 1.5


@dataclass(frozen=True)
class Bar:
    """A bin of leans: where its bar stands, and what it holds."""

    x: float
    y: float
    width: float
    height: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class LeanChart:
    """The bars, where no lean and the mean lean are, and the marks below."""

    bars: tuple[Bar, ...]
    middle: float
    mean: float
    ticks: tuple[tuple[float, str], ...]

    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def _across(lean: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (lean + 1) / 2, 1)


def lean_chart(bins: Sequence[int], mean: float) -> LeanChart:
    """Return the drawing of equal bins of leans from -1 to 1; the fullest reaches the top.

    >>> lean_chart([0, 4, 2, 0], 0.25).bars[1].height
    102.0
    """
    size = 2 / len(bins)
    fullest, room = max(1, *bins), HEIGHT - TOP - BOTTOM
    bars = []
    for number, count in enumerate(bins):
        low, high = -1 + number * size, -1 + (number + 1) * size
        height = round(room * count / fullest, 1)
        bars.append(
            Bar(
                x=_across(low) + GAP / 2,
                y=HEIGHT - BOTTOM - height,
                width=round(_across(high) - _across(low) - GAP, 1),
                height=height,
                low=round(low, 2),
                high=round(high, 2),
                count=count,
            )
        )
    marks = tuple(
        (_across(value), f"{value:+g}" if value else "0") for value in (-1, -0.5, 0, 0.5, 1)
    )
    return LeanChart(tuple(bars), middle=_across(0), mean=_across(mean), ticks=marks)
