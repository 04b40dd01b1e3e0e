"""A lineage as the numbers of an SVG drawing: a row for each box, lines beside them. Pure.

Boxes stand one below the other, so that the drawing has the width of a phone however large the
family is. Lines run in lanes left of them, as in the log of a version control system.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from training.lineage.graph import Edge, Graph, Kind, Node

WIDTH = 380
ROW, BOX = 58, 46
EDGE = 6
LANE, LANES_WIDTH = 15.0, 130.0
TITLE, DETAIL = 30, 40  # characters that fit beside the fewest lanes


@dataclass(frozen=True)
class Box:
    """One box, and the dot in its lane."""

    node: Node
    x: float
    y: float
    width: float
    dot_x: float
    dot_y: float
    title: str
    detail: str
    text_x: float
    title_y: float
    detail_y: float
    height: int = BOX


@dataclass(frozen=True)
class Line:
    """One edge."""

    style: str
    path: str


@dataclass(frozen=True)
class Drawing:
    """Everything that a template draws."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    height: float
    width: int = WIDTH


@dataclass(frozen=True)
class _Lane:
    """A lane that is taken down to the row of what it leads to; edges of a kind share it."""

    of: str
    kind: Kind


class _Lanes:
    """Which lanes are taken, from one row to the next."""

    def __init__(self) -> None:
        self.taken: list[_Lane | None] = []

    def free(self) -> int:
        """Return the first free lane, a new one if there is none."""
        if None not in self.taken:
            self.taken.append(None)
        return self.taken.index(None)

    def arrive(self, key: str) -> int:
        """Return the lane of a node, and end all lanes that led to it."""
        ending = [at for at, lane in enumerate(self.taken) if lane and lane.of == key]
        for at in ending:
            self.taken[at] = None
        return ending[0] if ending else self.free()

    def leave(self, edge: Edge, own: int) -> int:
        """Return the lane by which an edge goes on: one that leads there, its own, or a new one."""
        lane = _Lane(edge.of, edge.kind)
        if lane not in self.taken:
            at = own if self.taken[own] is None else self.free()
            self.taken[at] = lane
        return self.taken.index(lane)


def draw(graph: Graph) -> Drawing:
    """Return the drawing of a graph whose nodes are in order (`in_order`)."""
    rows = {node.key: row for row, node in enumerate(graph.nodes)}
    leaving: dict[str, list[Edge]] = {}
    for edge in sorted(graph.edges, key=lambda edge: rows[edge.of]):
        leaving.setdefault(edge.made, []).append(edge)
    lanes = _Lanes()
    own: dict[str, int] = {}
    by: dict[Edge, int] = {}
    for node in graph.nodes:
        own[node.key] = lanes.arrive(node.key)
        for edge in leaving.get(node.key, ()):
            by[edge] = lanes.leave(edge, own[node.key])
    step = min(LANE, LANES_WIDTH / max(len(lanes.taken), 1))
    left = EDGE + step * len(lanes.taken)
    return Drawing(
        boxes=tuple(
            _box(node, row, own[node.key], step, left) for row, node in enumerate(graph.nodes)
        ),
        lines=tuple(
            Line(edge.kind, _path(own[edge.made], rows[edge.made], lane, own, rows, edge, step))
            for edge, lane in by.items()
        ),
        height=ROW * len(graph.nodes),
    )


def _x(lane: int, step: float) -> float:
    return round(EDGE + step * (lane + 0.5), 1)


def _y(row: int) -> float:
    return ROW * row + ROW / 2


def _box(node: Node, row: int, lane: int, step: float, left: float) -> Box:
    middle = _y(row)
    width = WIDTH - left - EDGE
    room = width / (WIDTH - EDGE - LANE)
    return Box(
        node=node,
        x=round(left, 1),
        y=middle - BOX / 2,
        width=round(width, 1),
        dot_x=_x(lane, step),
        dot_y=middle,
        title=shortened(node.title, int(TITLE * room)),
        detail=shortened(node.detail, int(DETAIL * room)),
        text_x=round(left + 10, 1),
        title_y=middle - 4,
        detail_y=middle + 13,
    )


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many letters' width; one of Chinese is as wide as two.

    >>> shortened("policy v12", 8)
    'policy …'
    """
    width = 0
    for at, letter in enumerate(text):
        width += 2 if ord(letter) > 0x2E7F else 1
        if width > most:
            return text[: max(at - 1, 0)] + "…"
    return text


def _path(
    start: int,
    row: int,
    lane: int,
    own: dict[str, int],
    rows: dict[str, int],
    edge: Edge,
    step: float,
) -> str:
    """Return the way of an edge: out of its dot, down its lane, into the other dot."""
    end = rows[edge.of]
    points: Sequence[tuple[float, float]]
    out, across, home = _x(start, step), _x(lane, step), _x(own[edge.of], step)
    if end == row + 1:
        points = [(out, _y(row)), (home, _y(end))]
    else:
        points = [
            (out, _y(row)),
            (across, _y(row + 1)),
            (across, _y(end - 1)),
            (home, _y(end)),
        ]
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 == y1:
            continue
        if x0 == x1:
            path += f"V{y1:g}"
        else:
            middle = (y0 + y1) / 2
            path += f"C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {y1:g}"
    return path
