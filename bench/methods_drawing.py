"""Drawings for a page of docs: an SVG that stands alone and reads on light and dark ground."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from training.charts import short, ticks

Point = tuple[float, float]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 50, 44
LETTER = 6.8
COLOURS = ("#3b6fd4", "#c2571a", "#2a8a57", "#8a4fc0", "#b0892a", "#c03a6b", "#5b6770")
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#24292f}
.title{font-weight:600;font-size:13px}
.grid{stroke:#24292f;stroke-opacity:.13}
.axis{stroke:#24292f;stroke-opacity:.6}
.curve{fill:none;stroke-width:1.8}
.bar{stroke-width:1.2;stroke-opacity:.7}
@media (prefers-color-scheme:dark){
text{fill:#dfe5ec}.grid,.axis{stroke:#dfe5ec}
}
"""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One thing that is drawn: a name, a colour by its place, points, and how they are shown.

    `bars` are half lengths, right and up, of a cross at the point of the same place.
    """

    name: str
    colour: int
    points: Sequence[Point]
    joined: bool = False
    bars: Sequence[Point] = field(default=())
    labels: Sequence[str] = field(default=())
    faint: bool = False


def drawing(title: str, x_name: str, y_name: str, series: Sequence[Series]) -> str:
    """Return an SVG of series over common axes. Raises ValueError without a point."""
    return sheet([panel(title, x_name, y_name, series)])


def sheet(panels: Sequence[str]) -> str:
    """Return an SVG with panels one above the other."""
    placed = "".join(
        f'<g transform="translate(0 {HEIGHT * place})">{one}</g>'
        for place, one in enumerate(panels)
    )
    size = f'viewBox="0 0 {WIDTH} {HEIGHT * len(panels)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        f"<style>{_STYLE}</style>{placed}</svg>\n"
    )


def panel(title: str, x_name: str, y_name: str, series: Sequence[Series]) -> str:
    """Return one panel as the inside of an SVG, WIDTH by HEIGHT. Raises ValueError if empty."""
    every = [point for one in series for point in one.points]
    if not every:
        raise ValueError("there is no point to draw")
    frame = _Frame(
        _room([x for x, _ in every], from_zero=True), _room([y for _, y in every], from_zero=False)
    )
    return "".join(
        [
            f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>',
            *(_grid(frame, value) for value in ticks(*frame.y, 6)),
            *(_mark(frame, value) for value in ticks(*frame.x, 8)),
            f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
            _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_name, "middle"),
            f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
            f'transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})">{escape(y_name)}</text>',
            *(_drawn(frame, one) for one in series),
            _legend([(one.name, one.colour) for one in series if one.name]),
        ]
    )


@dataclass(frozen=True)
class _Frame:
    x: Point
    y: Point

    def place(self, point: Point) -> Point:
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )


def _room(values: Sequence[float], *, from_zero: bool) -> Point:
    """Return an axis around the values with some room."""
    low, high = min(values), max(values)
    room = (high - low) * 0.07 or 1.0
    return (min(0.0, low) if from_zero else low - room), high + room


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _grid(frame: _Frame, value: float) -> str:
    _, y = frame.place((frame.x[0], value))
    line = f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
    return line + _text(LEFT - 6, y + 4, short(value), "end")


def _mark(frame: _Frame, value: float) -> str:
    x, _ = frame.place((value, frame.y[0]))
    return _text(x, HEIGHT - BOTTOM + 17, short(value), "middle")


def _drawn(frame: _Frame, one: Series) -> str:
    colour = COLOURS[one.colour % len(COLOURS)]
    placed = [frame.place(point) for point in one.points]
    parts = []
    if one.joined and placed:
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in placed)
        opacity = ' stroke-opacity=".35"' if one.faint else ""
        parts.append(f'<path class="curve" stroke="{colour}"{opacity} d="{path}"/>')
    for (x, y), (across, up) in zip(one.points, one.bars, strict=False):
        ends = [(x - across, y), (x + across, y), (x, y - up), (x, y + up)]
        a, b, c, d = (frame.place(end) for end in ends)
        path = f"M{a[0]:g} {a[1]:g}H{b[0]:g}M{c[0]:g} {c[1]:g}V{d[1]:g}"
        parts.append(f'<path class="bar" stroke="{colour}" d="{path}"/>')
    if not one.joined or one.labels:
        radius = 2.5 if one.faint else 4
        opacity = ' fill-opacity=".45"' if one.faint else ""
        parts += [
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius}" fill="{colour}"{opacity}/>'
            for x, y in placed
        ]
    parts += [
        _text(x + 7, y - 6, label, "start")
        for (x, y), label in zip(placed, one.labels, strict=False)
    ]
    return "".join(parts)


def _legend(names: Sequence[tuple[str, int]]) -> str:
    """Return the legend, in one row under the title; widths are estimated by letters."""
    parts, x = [], float(LEFT)
    for name, colour in names:
        dot = COLOURS[colour % len(COLOURS)]
        parts.append(f'<circle cx="{x + 4:g}" cy="32" r="4" fill="{dot}"/>')
        parts.append(_text(x + 12, 36, name, "start"))
        x += 28 + LETTER * len(name)
    return "".join(parts)
