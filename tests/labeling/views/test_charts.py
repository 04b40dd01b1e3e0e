"""Bars of a chart, in numbers."""

from datetime import date

from labeling.domain.agreement import Share
from labeling.views.charts import WIDTH, day_bars, span

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


def test_span_lies_between_its_ends() -> None:
    """90 wide with 6 left free at both ends: 0 is drawn at 6, 1 at 84, a half at 45."""
    drawn = span(Share(value=0.5, low=0.0, high=1.0, pairs=20, clusters=5), mark=0.25)
    assert drawn is not None
    assert (drawn.low, drawn.at, drawn.high, drawn.mark) == (6, 45, 84, 25.5)
    assert (drawn.percent, drawn.low_percent, drawn.high_percent) == (50, 0, 100)
    assert span(None) is None


def test_day_bars_labels_each_week_back_from_today() -> None:
    counts = [(date(2026, 3, day), day) for day in range(1, 16)]
    labelled = [bar.day.day for bar in day_bars(counts, label_every=7) if bar.labelled]
    assert labelled == [1, 8, 15]
