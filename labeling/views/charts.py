"""Charts as plain numbers: templates draw them as SVG, without a script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from labeling.domain.agreement import Share

WIDTH, HEIGHT = 560, 140
SPAN_WIDTH, SPAN_HEIGHT, _SPAN_END = 90, 20, 6
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


@dataclass(frozen=True)
class Span:
    """A share from 0 to 1 as a dot on its interval, with a mark to hold it against, if any."""

    share: Share
    at: float
    low: float
    high: float
    mark: float | None
    width: int = SPAN_WIDTH
    height: int = SPAN_HEIGHT
    left: int = _SPAN_END
    right: int = SPAN_WIDTH - _SPAN_END
    middle: int = SPAN_HEIGHT // 2

    @property
    def percent(self) -> int:
        """Return the share in whole per cent."""
        return round(self.share.value * 100)

    @property
    def low_percent(self) -> int:
        """Return the interval's lower end in whole per cent."""
        return round(self.share.low * 100)

    @property
    def high_percent(self) -> int:
        """Return the interval's upper end in whole per cent."""
        return round(self.share.high * 100)


def span(share: Share | None, mark: float | None = None) -> Span | None:
    """Return the drawing of a share; None without one."""
    if share is None:
        return None

    def place(value: float) -> float:
        return round(_SPAN_END + (SPAN_WIDTH - 2 * _SPAN_END) * value, 1)

    return Span(
        share=share,
        at=place(share.value),
        low=place(share.low),
        high=place(share.high),
        mark=None if mark is None else place(mark),
    )


def day_bars(counts: Sequence[tuple[date, int]], label_every: int = 2) -> list[Bar]:
    """Return one bar a day; the tallest fills the drawing, the last bears its date.

    So does each that lies `label_every` days, or a multiple, before it.
    """
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
                labelled=(len(counts) - 1 - number) % label_every == 0,
            )
        )
    return bars
