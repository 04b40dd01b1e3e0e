"""The line between two replies, from "A is much better" over the tie to "B is much better"."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from labeling.templatetags.prefloop import letter


@dataclass(frozen=True)
class Point:
    """A point of the line: what the form sends, what it means, the digit that chooses it.

    The value is "tie", or the position of the better reply with the strength, where one is asked.
    """

    value: str
    label: str
    digit: str


def points(scale: int) -> list[Point]:
    """Return the points from left to right for a project's strength scale (0, 3 or 9)."""
    words = _words(scale)
    steps = range(1, len(words) + 1)

    def better(position: int, step: int) -> tuple[str, str]:
        strength = str(step) if scale else ""
        return f"{position}:{strength}", words[step - 1].format(reply=letter(position))

    found = [
        *(better(0, step) for step in reversed(steps)),
        ("tie", _("Equally good")),
        *(better(1, step) for step in steps),
    ]
    return [Point(value, label, str(n)) for n, (value, label) in enumerate(found, 1)]


def _words(scale: int) -> list[str]:
    """Return what each strength is called, weakest first."""
    if not scale:
        return [_("{reply} is better")]
    named = [
        _("{reply} is slightly better"),
        _("{reply} is clearly better"),
        _("{reply} is much better"),
    ]
    return [_("{reply} is barely better"), *named] if scale == 9 else named
