"""Bars of a chart, in numbers."""

from datetime import date

from labeling.views.charts import WIDTH, day_bars

DAYS = [(date(2026, 3, 1), 2), (date(2026, 3, 2), 0), (date(2026, 3, 3), 4)]


def test_day_bars_scales_to_the_tallest() -> None:
    """The room is 140 - 16 - 22 = 102 high: 4 fills it, 2 takes half, 0 nothing."""
    bars = day_bars(DAYS)
    assert [bar.height for bar in bars] == [51.0, 0.0, 102.0]
    assert [bar.y + bar.height for bar in bars] == [118.0] * 3
    assert bars[-1].x + bars[-1].width < WIDTH


def test_day_bars_labels_every_other_day_and_always_the_last() -> None:
    assert [bar.labelled for bar in day_bars(DAYS)] == [True, False, True]


def test_day_bars_of_quiet_days_are_flat() -> None:
    assert [bar.height for bar in day_bars([(date(2026, 3, 1), 0)])] == [0.0]
    assert day_bars([]) == []
