"""Days in a row: weekends don't break them, and today is not over yet."""

from datetime import date

import pytest

from labeling.domain.pace import days_in_a_row

# 9 March 2026 is a Monday.
MONDAY = date(2026, 3, 9)


def march(*days: int) -> list[date]:
    """Return days of March 2026."""
    return [date(2026, 3, day) for day in days]


@pytest.mark.parametrize(
    ("days", "today", "expected"),
    [
        ((), 9, 0),
        ((9,), 9, 1),
        ((6,), 9, 1),  # Friday, and nothing yet on Monday
        ((5, 6, 9), 9, 3),  # the weekend between is no gap
        ((5, 6, 7, 9), 9, 4),  # Saturday's work counts
        ((4, 6, 9), 9, 2),  # Thursday was one
        ((5,), 9, 0),
        ((6, 7), 8, 2),  # on a Sunday
        ((9, 10, 12), 11, 2),  # what comes later is not looked at
    ],
)
def test_days_in_a_row(days: tuple[int, ...], today: int, expected: int) -> None:
    assert days_in_a_row(march(*days), date(2026, 3, today)) == expected


def test_days_in_a_row_reach_back_over_months() -> None:
    worked = [date(2026, 2, 26), date(2026, 2, 27), *march(2, 3, 4, 5, 6)]
    assert days_in_a_row(worked, MONDAY) == 7
