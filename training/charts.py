"""Curves as the numbers of an SVG drawing: pure, so that a page needs no script to show them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labeling.domain.sentences import sentence as _

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 440, 190
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 12, 26
BUCKETS = 240
STYLES = ("line", "line-2", "line-3")


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it is drawn, and what stands beside it."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One curve: its path, where it ends, and its last value in words.

    `marks` are drawn along it in place of a dot at its end, `key` beside its name.
    """

    name: str
    style: str
    path: str
    end_x: float
    end_y: float
    last: str
    marks: str = ""
    key: str = ""


@dataclass(frozen=True)
class Chart:
    """Everything a template draws."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]

    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Frame:
    """The part of a drawing inside its axes, by the values at its ends."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = WIDTH
    height: int = HEIGHT

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return where a point is drawn."""
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        x = LEFT + (self.width - LEFT - RIGHT) * across
        y = self.height - BOTTOM - (self.height - TOP - BOTTOM) * up
        return round(x, 1), round(y, 1)

    def x_ticks(self) -> tuple[Tick, ...]:
        """Return about five marks along the level axis."""
        return tuple(
            Tick(self.place((value, self.y[0]))[0], short(value)) for value in ticks(*self.x, 5)
        )

    def y_ticks(self) -> tuple[Tick, ...]:
        """Return about five marks along the upright axis."""
        return tuple(
            Tick(self.place((self.x[0], value))[1], short(value)) for value in ticks(*self.y, 5)
        )


def line_chart(
    title: str,
    curves: Iterable[tuple[str, Points]],
    *,
    total: int,
    limits: tuple[float, float] | None = None,
) -> Chart | None:
    """Return the drawing of up to three curves over steps 0 to `total`; None without a point.

    `limits` fixes the vertical axis; else it covers the values, with room above and below.
    """
    drawn = [(name, points) for name, points in curves if points][: len(STYLES)]
    if not drawn:
        return None
    frame = frame_of([points for _, points in drawn], total=total, limits=limits)
    return Chart(
        title=title,
        lines=tuple(
            _line(frame, name, style, points)
            for style, (name, points) in zip(STYLES, drawn, strict=False)
        ),
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
    )


def frame_of(
    curves: Sequence[Points], *, total: int, limits: tuple[float, float] | None = None
) -> Frame:
    """Return the frame for curves over steps 0 to `total`, none of which is empty."""
    values = [y for points in curves for _, y in points]
    last_step = max([total, 1, *(points[-1][0] for points in curves)])
    return Frame(x=(0, last_step), y=limits or padded(min(values), max(values)))


# What belongs together is drawn together; the rest gets a chart each.
TOGETHER: tuple[tuple[str, tuple[str, ...], tuple[float, float] | None], ...] = (
    (_("loss"), ("loss", "eval_loss"), None),
    (
        _("accuracy"),
        ("accuracy", "eval_accuracy", "rewards/accuracies", "eval_rewards/accuracies"),
        (0.0, 1.0),
    ),
    (_("rewards"), ("rewards/chosen", "rewards/rejected", "rewards/margins"), None),
    (_("log-probabilities"), ("logps/chosen", "logps/rejected"), None),
    (_("reward"), ("objective/scores", "objective/rlhf_reward", "eval_objective/scores"), None),
    (
        _("KL to the reference"),
        ("objective/kl", "objective/kl_k3", "eval_objective/kl", "eval_objective/kl_k3"),
        None,
    ),
    (_("length of a reply"), ("val/length", "eval_val/length"), None),
    (
        _("share without an end"),
        ("val/share_without_eos", "eval_val/share_without_eos"),
        (0.0, 1.0),
    ),
)
NOT_DRAWN = {
    *("epoch", "num_tokens", "eval_num_tokens", "samples", "episode", "eps", "lr"),
    *("time/drawing", "time/learning", "val/updates", "val/first_ratio_gap", "val/ratio_var"),
    *("val/num_eos_tokens", "objective/non_score_reward"),
}


def charts_of(curves: Mapping[str, Points], *, total: int) -> list[Chart]:
    """Return the charts of a run: loss, accuracy, rewards, then each other quantity alone."""
    rest = {name: points for name, points in curves.items() if name not in NOT_DRAWN}
    found = []
    for title, names, limits in TOGETHER:
        lines = [(name, rest.pop(name)) for name in names if name in rest]
        found.append(line_chart(title, lines, total=total, limits=limits))
    found += [
        line_chart(name, [(name, points)], total=total)
        for name, points in sorted(rest.items())
        if not name.startswith("eval_")
    ]
    return [chart for chart in found if chart is not None]


def _line(frame: Frame, name: str, style: str, points: Points) -> Line:
    placed = [frame.place(point) for point in thin(points)]
    return Line(name, style, path_of(placed), *placed[-1], short(points[-1][1]))


def path_of(placed: Points) -> str:
    """Return the path through places of a drawing."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in placed)


def padded(low: float, high: float) -> tuple[float, float]:
    """Return an interval a little wider than the one given, and never empty."""
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def thin(points: Points, buckets: int = BUCKETS) -> list[tuple[float, float]]:
    """Return at most two points a bucket of neighbours, its lowest and its highest, and the end.

    A spike of one step stays visible, which a mean would hide.
    """
    if len(points) <= 2 * buckets:
        return list(points)
    size = math.ceil(len(points) / buckets)
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        ends = {min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers (1, 2 or 5 times a power of ten) from low to high.

    >>> ticks(0, 10, 5)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def short(value: float) -> str:
    """Return a number in at most four significant digits."""
    return f"{value:.4g}"


def in_words(measures: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return measured quantities by name, in few digits."""
    return [(name, short(value)) for name, value in sorted(measures.items())]
