"""Several runs in one drawing: each has a colour, a dash and a mark of its own. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.charts import (
    BOTTOM,
    LEFT,
    NOT_DRAWN,
    RIGHT,
    TOGETHER,
    WIDTH,
    Chart,
    Frame,
    Line,
    Points,
    Tick,
    frame_of,
    padded,
    path_of,
    short,
)
from training.frontier import BestOf, Measured, Plane, Trajectory, averaged, staircase

MOST_RUNS = 8
# A curve of more points than this is drawn as means of neighbours: eight noisy lines hide each
# other, and what is compared is where they go.
MOST_POINTS = 60
PLANE_HEIGHT = 300
_MARKED = 4
_ROOM = 22
_KEY_AT = (13.0, 4.0)

# By the place of a run, 0 being none of them; {d} is the width, {r} half and {h} a quarter of it.
_SHAPES = (
    "m-{r} 0l{h} -{r}h{r}l{h} {r}l-{h} {r}h-{r}z",
    "m-{r} 0a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z",
    "m-{r} -{r}h{d}v{d}h-{d}z",
    "m0 -{r}l{r} {d}h-{d}z",
    "m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z",
    "m-{r} -{r}h{d}l-{r} {d}z",
    "m-{r} 0h{d}m-{r} -{r}v{d}",
    "m-{r} -{r}l{d} {d}m-{d} 0l{d} -{d}",
    "m-{r} -{r}h{d}l-{d} {d}h{d}z",
)


@dataclass(frozen=True)
class Key:
    """By what a run is known in every drawing of a page: its class, and its mark in a legend."""

    style: str
    mark: str


@dataclass(frozen=True)
class Dot:
    """One evaluated policy: its mark, the bars of its intervals, and what it is."""

    style: str
    mark: str
    bars: str
    says: str


@dataclass(frozen=True)
class PlaneChart:
    """Reward over KL: the ways of runs, evaluated policies, best-of-n, and the frontier."""

    title: str
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...]
    numbers: tuple[tuple[float, float, int], ...]
    frontier: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]

    width: int = WIDTH
    height: int = PLANE_HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = PLANE_HEIGHT - BOTTOM


def key_of(place: int) -> Key:
    """Return by what the run in that place, from 1, is known."""
    return Key(f"run-{place}", mark(place, _KEY_AT))


def mark(place: int, at: tuple[float, float], size: float = 3.5) -> str:
    """Return the path of a run's mark around a place of a drawing."""
    shape = _SHAPES[place].format(h=f"{size / 2:g}", r=f"{size:g}", d=f"{2 * size:g}")
    return f"M{at[0]:g} {at[1]:g}{shape}"


def overlay(
    title: str,
    lines: Sequence[tuple[str, Points]],
    *,
    limits: tuple[float, float] | None = None,
) -> Chart:
    """Return the drawing of one quantity in several runs, of which some may have no points.

    The place of a line among `lines` is that of its run. One of them at least has a point.
    """
    smooth = [(name, averaged(points, MOST_POINTS)) for name, points in lines]
    frame = frame_of([points for _, points in smooth if points], total=0, limits=limits)
    return Chart(
        title=title,
        lines=tuple(
            _line(frame, place, name, points)
            for place, (name, points) in enumerate(smooth, start=1)
            if points
        ),
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
    )


def overlays(
    curves: Mapping[str, Sequence[Points]], names: Sequence[str]
) -> tuple[list[Chart], list[Chart]]:
    """Return a drawing of each quantity: first those that most look at, then the others.

    `curves` holds a quantity's points for each of the runs, whose `names` they are.
    """
    known = {name: limits for _, group, limits in TOGETHER for name in group}
    first = [name for name in known if name in curves]
    rest = sorted(set(curves) - set(known) - NOT_DRAWN)
    drawn = {
        name: overlay(name, list(zip(names, curves[name], strict=True)), limits=known.get(name))
        for name in [*first, *rest]
    }
    return [drawn[name] for name in first], [drawn[name] for name in rest]


def plane_chart(title: str, plane: Plane, *, reach: float) -> PlaneChart:
    """Return the drawing of a plane that has a point; `reach` is the largest KL on its axis."""
    kls, rewards = zip(*plane.points(), strict=True)
    ends = [end for one in plane.measured for end in (one.reward.low, one.reward.high)]
    frame = Frame(
        x=(min(0.0, *kls), max(reach, *kls) * 1.04 or 1.0),
        y=padded(min(*rewards, *ends), max(*rewards, *ends)),
        height=PLANE_HEIGHT,
    )
    return PlaneChart(
        title=title,
        lines=(
            *(_way(frame, way) for way in plane.trajectories),
            *(_best(frame, best) for best in plane.best_of),
        ),
        dots=tuple(_dot(frame, one) for one in plane.measured),
        numbers=tuple(number for best in plane.best_of for number in _numbers(frame, best)),
        frontier=path_of([frame.place(corner) for corner in staircase(plane.frontier())]),
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
    )


def _line(frame: Frame, place: int, name: str, points: Points) -> Line:
    placed = [frame.place((step, value)) for step, value in points]
    every = len(placed) // _MARKED + 1
    # From the end back, and each run a little further: marks of alike curves don't cover another.
    marked = placed[-1 - every // 2 - place :: -every] if every > 1 else placed
    return _drawn(place, name, placed, [placed[-1], *marked], short(points[-1][1]))


def _way(frame: Frame, way: Trajectory) -> Line:
    placed = [frame.place((kl, reward)) for _, kl, reward in way.points]
    return _drawn(way.place, way.name, placed, placed[::-1], short(way.points[-1][2]))


def _best(frame: Frame, best: BestOf) -> Line:
    placed = [frame.place((kl, reward.value)) for _, kl, reward in best.points]
    last = short(best.points[-1][2].value)
    return _drawn(best.place, best.name, placed, placed[::-1], last, style="best-of")


def _numbers(frame: Frame, best: BestOf) -> list[tuple[float, float, int]]:
    """Return where each n is written that has room: not 1, which is the policy itself."""
    kept: list[tuple[float, float, int]] = []
    for n, kl, reward in best.points:
        x, y = frame.place((kl, reward.value))
        if n > 1 and (not kept or max(abs(x - kept[-1][0]), abs(y - kept[-1][1])) >= _ROOM):
            kept.append((x, y, n))
    return kept


def _drawn(
    place: int,
    name: str,
    placed: Points,
    marked: Points,
    last: str,
    style: str = "",
) -> Line:
    """Return a line with a large mark at the first of the places to be marked."""
    key = key_of(place)
    marks = "".join(mark(place, at, size=2.5) for at in marked[1:]) + mark(place, marked[0])
    style = f"{key.style} {style}".strip()
    return Line(name, style, path_of(placed), *placed[-1], last, marks, key.mark)


def _dot(frame: Frame, one: Measured) -> Dot:
    at = frame.place((one.kl.value, one.reward.value))
    ends = [
        ((one.kl.low, one.reward.value), (one.kl.high, one.reward.value)),
        ((one.kl.value, one.reward.low), (one.kl.value, one.reward.high)),
    ]
    bars = "".join(path_of([frame.place(end) for end in pair]) for pair in ends)
    says = f"{one.name}: {short(one.reward.value)}, KL {short(one.kl.value)}"
    return Dot(key_of(one.place).style, mark(one.place, at, size=5), bars, says)
