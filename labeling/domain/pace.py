"""The pace of work, told without pressure: days in a row, and how long since the last break."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Final

BREAK_MINUTES: Final = 10  # this long without work is a break
BREAK_DUE_MINUTES: Final = 60  # after this long without one a break is suggested
_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)


def days_in_a_row(days: Collection[date], today: date) -> int:
    """Return how many days were worked on without a gap, up to today.

    A day off at the weekend is no gap, and today is none while it lasts. Work at a weekend counts.

    >>> days_in_a_row([date(2026, 3, 6), date(2026, 3, 9)], date(2026, 3, 9))  # Friday, Monday
    2
    """
    worked = set(days)
    streak, day = int(today in worked), today - _DAY
    while day in worked or day.weekday() >= _SATURDAY:
        streak += day in worked
        day -= _DAY
    return streak
