"""Curves as numbers of a drawing, worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.charts import BOTTOM, HEIGHT, LEFT, TOP, charts_of, line_chart, short, thin, ticks


def test_line_chart_places_the_corners():
    """Steps 0 to 10 and values 0 to 1 fill the frame: LEFT to 428, 164 up to TOP."""
    chart = line_chart("loss", [("loss", [(0, 0.0), (10, 1.0)])], total=10, limits=(0, 1))
    (line,) = chart.lines
    assert line.path == f"M{LEFT} {HEIGHT - BOTTOM}L428 {TOP}"
    assert (line.end_x, line.end_y, line.last) == (428, TOP, "1")
    assert [tick.label for tick in chart.x_ticks] == ["0", "2", "4", "6", "8", "10"]
    assert [tick.label for tick in chart.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


def test_line_chart_leaves_room_for_the_steps_to_come():
    """Half of the run is half of the width: (50 + 428) / 2."""
    chart = line_chart("loss", [("loss", [(0, 1.0), (50, 0.5)])], total=100)
    assert chart.lines[0].end_x == 239


def test_line_chart_without_a_point_is_none():
    assert line_chart("loss", [("loss", [])], total=10) is None


@pytest.mark.parametrize("value", [0.0, 5.0, -2.5])
def test_a_constant_curve_runs_through_the_middle(value: float):
    chart = line_chart("x", [("x", [(0, value), (1, value)])], total=1)
    assert chart.lines[0].end_y == (TOP + HEIGHT - BOTTOM) / 2


def test_thin_keeps_a_spike_of_one_step():
    points = [(step, 1.0) for step in range(10_000)]
    points[7_003] = (7_003, 99.0)
    kept = thin(points, 100)
    assert (7_003, 99.0) in kept
    assert kept[-1] == points[-1]
    assert len(kept) <= 201


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=800), st.integers(1, 50))
def test_thin_keeps_order_range_and_end(values: list[float], buckets: int):
    points = list(enumerate(values))
    kept = thin(points, buckets)
    assert kept == sorted(kept)
    assert {min(values), max(values)} <= {value for _, value in kept}
    assert kept[-1] == points[-1]


@given(st.floats(-1e5, 1e5), st.floats(1e-4, 1e5), st.integers(2, 8))
def test_ticks_lie_inside_and_are_few(low: float, span: float, count: int):
    found = ticks(low, low + span, count)
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in found)
    assert len(found) <= count + 1


def test_charts_of_draws_together_what_belongs_together():
    curves = {
        name: [(1, 0.5), (2, 0.4)]
        for name in ("loss", "eval_loss", "accuracy", "eval_accuracy", "grad_norm", "epoch")
    }
    found = charts_of(curves, total=2)
    assert [(chart.title, [line.name for line in chart.lines]) for chart in found] == [
        ("loss", ["loss", "eval_loss"]),
        ("accuracy", ["accuracy", "eval_accuracy"]),
        ("grad_norm", ["grad_norm"]),
    ]
    assert [line.style for line in found[0].lines] == ["line", "line-2"]


def test_short_keeps_four_digits():
    assert [short(x) for x in (0.123456, 1234.5678, 2e-07)] == ["0.1235", "1235", "2e-07"]
