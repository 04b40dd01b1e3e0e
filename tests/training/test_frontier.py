"""The frontier of reward over KL, by hand."""

import math

from hypothesis import given
from hypothesis import strategies as st

from training.estimates import Estimate
from training.frontier import (
    BestOf,
    Measured,
    Plane,
    Trajectory,
    averaged,
    frontier,
    parted,
    staircase,
    standings,
)

# DPO, PPO and best-of-n of one base (shared methods, D8), and two that others beat: more KL for
# less reward, and as much KL for less.
KNOWN = [
    (2.15, 1.07),
    (2.05, 1.27),
    (1.0, 0.94),
    (2.4, 1.26),
    (3.1, 1.35),
    (1.0, 0.74),
    (3.2, 1.43),
]


def mean(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.1, high=value + 0.1)


def test_frontier_leaves_out_what_another_beats() -> None:
    """(2.15, 1.07) and (2.4, 1.26) cost more than (2.05, 1.27); (1, .74) is below (1, .94)."""
    assert frontier(KNOWN) == [(1.0, 0.94), (2.05, 1.27), (3.1, 1.35), (3.2, 1.43)]


def test_frontier_keeps_one_of_equals_and_no_level_step() -> None:
    assert frontier([(1, 2), (1, 2), (2, 2), (3, 1)]) == [(1, 2)]


def test_frontier_passes_over_what_is_no_number() -> None:
    assert frontier([(math.nan, 9.0), (1.0, math.inf), (-0.01, 0.1), (0.0, 0.2)]) == [
        (-0.01, 0.1),
        (0.0, 0.2),
    ]
    assert frontier([]) == []


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(-5, 5)), max_size=40))
def test_frontier_is_exactly_what_nothing_beats(points: list[tuple[float, float]]) -> None:
    def beaten(point: tuple[float, float]) -> bool:
        return any(
            other != point and other[0] <= point[0] and other[1] >= point[1] for other in points
        )

    assert frontier(points) == sorted({point for point in points if not beaten(point)})


def test_averaged_takes_means_of_neighbours_at_their_last_step() -> None:
    """Five rows in at most two: three and two."""
    rows = [(1, 0.0, 1.0), (2, 3.0, 1.0), (3, 3.0, 4.0), (4, 8.0, 0.0), (5, 6.0, 1.0)]
    assert averaged(rows, 2) == [(3, 2.0, 2.0), (5, 7.0, 0.5)]
    assert averaged(rows, 5) == rows
    assert averaged([], 5) == []


def test_staircase_promises_between_two_points_what_the_left_one_has() -> None:
    assert staircase([(0, 0), (1, 2), (4, 3)]) == [(0, 0), (1, 0), (1, 2), (4, 2), (4, 3)]


def make_plane() -> tuple[Plane, Plane]:
    way = Trajectory(1, "ppo 7", ((10, 0.5, 0.4), (20, 2.0, 1.0)))
    one = Measured(2, "dpo v2", mean(1.5), mean(1.2))
    best = BestOf(0, "best of base", ((1, 0.0, mean(0.0)), (4, 0.6363, mean(0.8))))
    return Plane((way,), (one,), (best,)), Plane(
        measured=(Measured(2, "dpo v2", one.kl, mean(0.7)),)
    )


def test_a_plane_has_the_frontier_of_all_that_is_in_it() -> None:
    plane, _gold = make_plane()
    assert plane.frontier() == [(0.0, 0.0), (0.5, 0.4), (0.6363, 0.8), (1.5, 1.2)]
    assert plane.places() == {0, 1, 2}


def test_standings_tell_of_each_point_by_growing_kl() -> None:
    found = [
        (row.name, row.step, row.n, row.kl, row.reward, row.gold, row.on_frontier)
        for row in standings(*make_plane())
    ]
    assert found == [
        ("best of base", None, 1, 0.0, 0.0, None, True),
        ("best of base", None, 4, 0.6363, 0.8, None, True),
        ("dpo v2", None, None, 1.5, 1.2, 0.7, True),
        ("ppo 7", 20, None, 2.0, 1.0, None, False),
    ]


def judged(**rewards: float) -> Plane:
    """Policies by name; every interval reaches 0.1 to both sides."""
    return Plane(
        measured=tuple(Measured(1, name, mean(1.0), mean(value)) for name, value in rewards.items())
    )


def test_reward_model_and_gold_part_where_gold_is_sure_of_it() -> None:
    """0.9 + 0.1 lies below 1.21 - 0.1, but above 1.0 - 0.1."""
    proxy = judged(near=1.0, far=3.0)
    assert parted(proxy, judged(near=1.21, far=0.9)) == ("far", "near")
    assert parted(proxy, judged(near=1.0, far=0.9)) is None
    assert parted(proxy, judged(near=0.5, far=0.9)) is None
    assert parted(proxy, judged(near=1.0)) is None  # gold of the first is not known
    assert parted(proxy, Plane()) is None
