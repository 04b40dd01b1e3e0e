"""The family of models and what each one is made of, as a graph. Pure.

An edge leads from what was made to what it was made of: from a model to the one that it started
from, to the reward model that scored it, to the snapshot that it learned from; from a snapshot to
the runs whose replies, judgements or revisions stand in it; from such a run to its model.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an edge says."""

    STARTED = "started"  # a model from the weights of another
    SCORED = "scored"  # a model by another's rewards
    LEARNED = "learned"  # a model from a snapshot
    HOLDS = "holds"  # a snapshot the work of a run
    MADE_BY = "made_by"  # a run's work by a model


WEIGHTS = frozenset({Kind.STARTED, Kind.SCORED})
"""What hands on what a model has learned; the other edges hand on texts and labels alone."""


class Relation(StrEnum):
    """How near a judgement is to a model, the nearest first."""

    DIRECT = "direct"  # the model learned from it
    INHERITED = "inherited"  # it started from, or was scored by, a model that did
    DISTANT = "distant"  # it learned from what such a model wrote or judged
    HELD_OUT = "held_out"  # measured by it: it stands in no split that is learned from


@dataclass(frozen=True)
class Node:
    """One box: a model, a snapshot, or a run that made what stands in a snapshot.

    `url` is empty where the reader has no page of it.
    """

    key: str
    kind: str
    title: str
    detail: str
    url: str = ""
    is_focus: bool = False


@dataclass(frozen=True)
class Edge:
    """From what was made to what it was made of."""

    made: str
    of: str
    kind: Kind


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they are drawn: nothing stands above what was made of it."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    left_out: int = 0


def reached(start: Iterable[str], edges: Iterable[Edge], *, back: bool = False) -> set[str]:
    """Return what can be reached from the start, which is not counted, against the edges.

    That is all that was made of it; with `back` all that it was made of.
    """
    following: dict[str, list[str]] = {}
    for edge in edges:
        here, there = (edge.made, edge.of) if back else (edge.of, edge.made)
        following.setdefault(here, []).append(there)
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        for key in following.get(waiting.pop(), ()):
            if key not in found:
                found.add(key)
                waiting.append(key)
    return found


def relations(
    models: Iterable[str],
    edges: Sequence[Edge],
    *,
    learned: Collection[str],
) -> dict[str, Relation]:
    """Return how each model relates to a judgement from which the models `learned` learned.

    `models` are all that can be reached from snapshots which hold it, in whatever split.
    """
    inherited = reached(learned, [edge for edge in edges if edge.kind in WEIGHTS])
    near = inherited | set(learned)
    distant = reached(near, edges)

    def relation(key: str) -> Relation:
        if key in learned:
            return Relation.DIRECT
        if key in inherited:
            return Relation.INHERITED
        return Relation.DISTANT if key in distant else Relation.HELD_OUT

    return {key: relation(key) for key in models}


def near_the_focus(graph: Graph, focus: str, most: int) -> Graph:
    """Return the graph with at most so many nodes, the nearest to the focus, and what it lacks."""
    beside: dict[str, set[str]] = {}
    for edge in graph.edges:
        beside.setdefault(edge.made, set()).add(edge.of)
        beside.setdefault(edge.of, set()).add(edge.made)
    kept = {focus}
    waiting = deque([focus])
    while waiting and len(kept) < most:
        for key in sorted(beside.get(waiting.popleft(), ())):
            if key not in kept and len(kept) < most:
                kept.add(key)
                waiting.append(key)
    nodes = [node for node in graph.nodes if node.key in kept]
    edges = [edge for edge in graph.edges if edge.made in kept and edge.of in kept]
    return Graph(nodes, edges, left_out=len(graph.nodes) - len(nodes))


def in_order(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> Graph:
    """Return the graph with its nodes sorted: what was made first, then what it was made of.

    Ties keep the order of `nodes`. What stands in a circle, which no lineage has, comes last.
    """
    waits = dict.fromkeys(nodes, 0)
    of: dict[str, list[str]] = {}
    for edge in edges:
        waits[edge.of] += 1
        of.setdefault(edge.made, []).append(edge.of)
    place = {key: number for number, key in enumerate(nodes)}
    ready = [key for key in nodes if not waits[key]]
    ordered = []
    while ready:
        ready.sort(key=place.__getitem__, reverse=True)
        key = ready.pop()
        ordered.append(key)
        for other in of.get(key, ()):
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    rest = [key for key in nodes if waits[key] > 0]
    return Graph([nodes[key] for key in (*ordered, *rest)], edges)
