"""What is gained for how far a policy has gone: reward against KL to the reference. Pure.

A policy that is optimized against a reward model buys reward with KL to its reference; methods
are told apart by the frontier that they reach, not by reward alone (2210.10760; 2305.18290, 6.1).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from training.estimates import Estimate

Point = tuple[float, float]
Values = TypeVar("Values", bound=tuple[float, ...])


@dataclass(frozen=True)
class Trajectory:
    """The way of one run: (step, KL, reward), in the order of steps.

    `place` is the run's among those that are compared, from 1.
    """

    place: int
    name: str
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Measured:
    """One policy that was evaluated; `place` is 0 where none of the compared runs made it."""

    place: int
    name: str
    kl: Estimate
    reward: Estimate


@dataclass(frozen=True)
class BestOf:
    """The best of n replies of the reference, for growing n: (n, KL, reward)."""

    place: int
    name: str
    points: tuple[tuple[int, float, Estimate], ...]


@dataclass(frozen=True)
class Plane:
    """All that is known of reward over KL, to one reference and by one judge of replies."""

    trajectories: tuple[Trajectory, ...] = ()
    measured: tuple[Measured, ...] = ()
    best_of: tuple[BestOf, ...] = ()

    def points(self) -> list[Point]:
        """Return every point (KL, reward), whatever it belongs to."""
        return [
            *((kl, reward) for way in self.trajectories for _, kl, reward in way.points),
            *((one.kl.value, one.reward.value) for one in self.measured),
            *((kl, reward.value) for best in self.best_of for _, kl, reward in best.points),
        ]

    def places(self) -> set[int]:
        """Return the places of the runs that have a point."""
        return {
            *(way.place for way in self.trajectories),
            *(one.place for one in self.measured),
            *(best.place for best in self.best_of),
        }

    def frontier(self) -> list[Point]:
        """Return the frontier of all points."""
        return frontier(self.points())


@dataclass(frozen=True)
class Standing:
    """One point in figures: of a run at a step, of an evaluated policy, or of its best of n."""

    place: int
    name: str
    step: int | None
    n: int | None
    kl: float
    reward: float
    gold: float | None
    on_frontier: bool


def standings(proxy: Plane, gold: Plane) -> list[Standing]:
    """Return the points of a plane in figures, by growing KL; of each trajectory where it ends."""
    edge = set(proxy.frontier())
    golden: dict[tuple[str, int | None], float] = {
        (best.name, n): mean.value for best in gold.best_of for n, _kl, mean in best.points
    }
    golden |= {(one.name, None): one.reward.value for one in gold.measured}

    def row(
        of: Trajectory | Measured | BestOf, at: Point, step: int | None = None, n: int | None = None
    ) -> Standing:
        found = golden.get((of.name, n))
        return Standing(of.place, of.name, step, n, *at, gold=found, on_frontier=at in edge)

    found = [
        row(way, way.points[-1][1:], step=int(way.points[-1][0])) for way in proxy.trajectories
    ]
    found += [row(one, (one.kl.value, one.reward.value)) for one in proxy.measured]
    found += [
        row(best, (kl, mean.value), n=n) for best in proxy.best_of for n, kl, mean in best.points
    ]
    return sorted(found, key=lambda standing: (standing.kl, standing.reward))


def parted(proxy: Plane, gold: Plane) -> tuple[str, str] | None:
    """Return which policy the reward model puts first and which gold does, where they part.

    They part where gold is sure of it: its interval of the first lies wholly below that of the
    second. That is over-optimization: what was learned is the reward model's error (2210.10760).
    """
    by_gold = {one.name: one.reward for one in gold.measured}
    both = [one for one in proxy.measured if one.name in by_gold]
    if not both:
        return None
    first = max(both, key=lambda one: one.reward.value).name
    best = max(by_gold, key=lambda name: by_gold[name].value)
    return (first, best) if by_gold[first].high < by_gold[best].low else None


def frontier(points: Iterable[Point]) -> list[Point]:
    """Return the points (KL in nats, reward) that no other one beats, by growing KL.

    One point beats another with no less reward at no more KL, and better in one of the two: so
    both KL and reward grow strictly along the frontier. Of equal points one is kept; points that
    are not finite are left out.

    >>> frontier([(0, 0), (2, 1), (1, 1), (3, 0.5), (4, 2)])
    [(0, 0), (1, 1), (4, 2)]
    """
    finite = [point for point in points if all(map(math.isfinite, point))]
    kept: list[Point] = []
    for kl, reward in sorted(finite, key=lambda point: (point[0], -point[1])):
        if not kept or reward > kept[-1][1]:
            kept.append((kl, reward))
    return kept


def averaged(rows: Sequence[Values], most: int) -> list[Values]:
    """Return at most `most` rows (step, value, ...): means of neighbours, at their last step.

    Neighbours are groups of equal size, of which the last may be smaller. Single steps of a run
    are noisy: their largest reward lies above what the policy earns, and would bend a frontier.

    >>> averaged([(1, 0.0), (2, 1.0), (3, 5.0)], 2)
    [(2, 0.5), (3, 5.0)]
    """
    size = math.ceil(len(rows) / most) or 1
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    means = [(group[-1][0], *_means(group)) for group in groups]
    return cast(list[Values], means)


def _means(group: Sequence[tuple[float, ...]]) -> list[float]:
    columns = list(zip(*group, strict=True))[1:]
    return [math.fsum(column) / len(group) for column in columns]


def staircase(points: Sequence[Point]) -> list[Point]:
    """Return the corners of the line under which everything is reached: level, then up.

    No policy was measured between two points of a frontier; at a KL between them what is sure to
    be had is the reward of the left one.

    >>> staircase([(0, 0), (1, 1)])
    [(0, 0), (1, 0), (1, 1)]
    """
    corners: list[Point] = []
    for kl, reward in points:
        if corners:
            corners.append((kl, corners[-1][1]))
        corners.append((kl, reward))
    return corners
