"""Charts as plain numbers: templates draw them as SVG, without a script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 560, 140
_TOP, _BOTTOM = 16, 22


@dataclass(frozen=True)
class Bar:
    """One bar of a chart of days, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    day: date
    count: int
    labelled: bool


def day_bars(counts: Sequence[tuple[date, int]]) -> list[Bar]:
    """Return one bar a day; the tallest fills the drawing, every other day bears its date."""
    if not counts:
        return []
    tallest = max(1, *(count for _, count in counts))
    step = WIDTH / len(counts)
    room = HEIGHT - _TOP - _BOTTOM
    bars = []
    for number, (day, count) in enumerate(counts):
        height = round(room * count / tallest, 1)
        bars.append(
            Bar(
                x=round(number * step + step * 0.18, 1),
                y=round(_TOP + room - height, 1),
                width=round(step * 0.64, 1),
                height=height,
                middle=round(number * step + step / 2, 1),
                day=day,
                count=count,
                labelled=(len(counts) - 1 - number) % 2 == 0,
            )
        )
    return bars
