"""Drawings of several runs, worked by hand: the frame goes from 50 to 428 and from 12 down."""

from training.charts import BOTTOM, HEIGHT, LEFT, TOP
from training.compared_charts import (
    MOST_POINTS,
    MOST_RUNS,
    PLANE_HEIGHT,
    key_of,
    mark,
    overlay,
    overlays,
    plane_chart,
)
from training.estimates import Estimate
from training.frontier import BestOf, Measured, Plane, Trajectory


def test_every_run_has_a_class_and_a_shape_of_its_own() -> None:
    keys = [key_of(place) for place in range(MOST_RUNS + 1)]
    assert [key.style for key in keys] == [f"run-{place}" for place in range(9)]
    assert len({key.mark for key in keys}) == MOST_RUNS + 1


def test_mark_stands_around_its_place() -> None:
    """A square of twice 3 from 3 left of and 3 above (10, 20)."""
    assert mark(2, (10, 20), size=3) == "M10 20m-3 -3h6v6h-6z"


def test_overlay_draws_runs_in_one_frame_each_in_its_own_style() -> None:
    """0 to 1 on an axis from 0 to 1; one run goes on to step 20, the other ends half way."""
    chart = overlay(
        "loss",
        [("dpo 1", [(0, 1.0), (10, 0.5)]), ("sft 2", []), ("dpo 3", [(0, 1.0), (20, 0.0)])],
        limits=(0, 1),
    )
    assert [(line.name, line.style, line.last) for line in chart.lines] == [
        ("dpo 1", "run-1", "0.5"),
        ("dpo 3", "run-3", "0"),
    ]
    assert chart.lines[0].path == f"M{LEFT} {TOP}L239 88"
    assert chart.lines[1].path == f"M{LEFT} {TOP}L428 {HEIGHT - BOTTOM}"
    assert chart.lines[1].marks.endswith(mark(3, (428, HEIGHT - BOTTOM)))
    assert chart.lines[0].key == key_of(1).mark


def test_overlay_draws_means_of_neighbours_where_a_curve_is_long() -> None:
    """A saw of 0 and 2, 240 points long: means of four are all 1."""
    saw = [(step, 2.0 * (step % 2)) for step in range(4 * MOST_POINTS)]
    (line,) = overlay("loss", [("dpo 1", saw)]).lines
    assert line.last == "1"
    assert line.path.count("L") == MOST_POINTS - 1


def test_overlays_show_first_what_most_look_at() -> None:
    points = [(1, 0.5), (2, 0.4)]
    names = ("lr", "grad_norm", "objective/kl", "eval_loss", "loss")
    first, rest = overlays({name: [points, points] for name in names}, ["dpo 1", "dpo 2"])
    assert [chart.title for chart in first] == ["loss", "eval_loss", "objective/kl"]
    assert [chart.title for chart in rest] == ["grad_norm"]


def mean(value: float, reach: float = 0.0) -> Estimate:
    return Estimate(value=value, low=value - reach, high=value + reach)


def test_plane_chart_places_ways_bars_and_frontier() -> None:
    """KL from 0 to 10 times 1.04; reward from 0 to 2, a sixteenth of it more at both ends."""
    plane = Plane(
        trajectories=(Trajectory(1, "ppo 1", ((5, 5.2, 1.0), (9, 10.0, 1.0))),),
        measured=(Measured(2, "dpo v2", mean(5.2, 1.04), mean(1.0, 1.0)),),
        best_of=(BestOf(0, "best", ((1, 0.0, mean(0.0)), (4, 0.64, mean(0.5)))),),
    )
    chart = plane_chart("reward", plane, reach=10.0)
    middle = (TOP + PLANE_HEIGHT - BOTTOM) / 2
    way, best = chart.lines
    assert way.path == f"M239 {middle:g}L413.5 {middle:g}"  # 5.2 of 10.4 is the middle
    assert way.marks.endswith(mark(1, (413.5, middle)))  # where it ends
    (dot,) = chart.dots
    assert dot.bars == "M201.2 143L276.8 143M239 260L239 26"
    assert dot.says == "dpo v2: 1, KL 5.2"
    assert best.style == "run-0 best-of"
    assert chart.numbers == ((73.3, 201.5, 4),)  # the best of one is the policy itself
    # From best of 1 to best of 4 and on to the first of those at a reward of 1, and no further.
    assert chart.frontier == "M50 260L73.3 260L73.3 201.5L239 201.5L239 143"


def test_plane_chart_of_one_point_at_the_reference_has_an_axis() -> None:
    plane = Plane(measured=(Measured(0, "base", mean(0.0), mean(0.0)),))
    chart = plane_chart("reward", plane, reach=0.0)
    assert len(chart.x_ticks) > 2
    assert chart.frontier.startswith("M50 ")


def test_numbers_that_have_no_room_are_left_out() -> None:
    """From 2 to 4 it is far in both ways; 5 lies 6 to the right of 4, and no higher."""
    points = ((2, 0.2, mean(0.0)), (4, 0.7, mean(1.0)), (5, 0.8, mean(1.0)))
    chart = plane_chart("reward", Plane(best_of=(BestOf(0, "best", points),)), reach=6.0)
    assert [n for _x, _y, n in chart.numbers] == [2, 4]
