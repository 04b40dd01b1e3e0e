"""How far a judge's certainty can be believed, as the numbers of an SVG drawing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from training.calibration.figures import Bin
from training.charts import BOTTOM, LEFT, RIGHT, TOP, Tick, path_of

SIZE: Final = 300
_TICKS: Final = (0.5, 0.75, 1.0)  # so few that they don't meet on a phone, where they are larger
_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Dot:
    """One bin: its dot, as large as its pairs are many, and its interval."""

    x: float
    y: float
    radius: float
    low_y: float
    high_y: float


@dataclass(frozen=True)
class Reliability:
    """Agreement over certainty; on the diagonal a judge is as often right as it is sure."""

    dots: tuple[Dot, ...]
    path: str
    diagonal: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = SIZE
    height: int = SIZE
    left: int = LEFT
    right: int = SIZE - RIGHT
    bottom: int = SIZE - BOTTOM


def reliability(bins: Sequence[Bin]) -> Reliability | None:
    """Return the drawing of a judge's bins; None without one."""
    if not bins:
        return None
    most = max(one.agreed.pairs for one in bins)
    dots = tuple(
        Dot(
            x=_x(one.certainty),
            y=_y(one.agreed.value),
            radius=round(3 + 5 * sqrt(one.agreed.pairs / most), 1),
            low_y=_y(one.agreed.low),
            high_y=_y(one.agreed.high),
        )
        for one in bins
    )
    return Reliability(
        dots=dots,
        path=path_of([(dot.x, dot.y) for dot in dots]),
        diagonal=path_of([(_x(0.5), _y(0.5)), (_x(1.0), _y(1.0))]),
        x_ticks=tuple(Tick(_x(value), f"{value:g}") for value in _TICKS),
        y_ticks=tuple(Tick(_y(value), f"{value:g}") for value in _SHARES),
    )


def _x(certainty: float) -> float:
    return round(LEFT + (SIZE - LEFT - RIGHT) * (certainty - 0.5) / 0.5, 1)


def _y(share: float) -> float:
    return round(SIZE - BOTTOM - (SIZE - TOP - BOTTOM) * share, 1)
