"""The parts of a forecast in words, and spans of time as a person says them."""

from typing import Final

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

register = template.Library()

_PARTS: Final = {
    "runtime": gettext_lazy("Python and torch"),
    "weights": gettext_lazy("weights that learn"),
    "gradients": gettext_lazy("gradients"),
    "optimizer": gettext_lazy("optimizer"),
    "activations": gettext_lazy("activations"),
    "logits": gettext_lazy("logits"),
    "models": gettext_lazy("models that only answer"),
    "cache": gettext_lazy("keys and values of replies being drawn"),
    "start": gettext_lazy("start"),
    "drawing": gettext_lazy("drawing replies"),
    "judging": gettext_lazy("asking reference and judge"),
    "learning": gettext_lazy("learning"),
    "measuring": gettext_lazy("measuring on held-out rows"),
}


@register.filter
def part(name: str) -> str:
    """Return the words for a part of what a run takes."""
    return str(_PARTS[name])


@register.filter
def lasting(seconds: float) -> str:
    """Return a span of time with about two digits: seconds, minutes, hours or days."""
    if seconds < 100:
        return _("{n} s").format(n=_digits(seconds))
    if seconds < 100 * 60:
        return _("{n} min").format(n=_digits(seconds / 60))
    if seconds < 72 * 3600:
        return _("{n} h").format(n=_digits(seconds / 3600))
    return _("{n} days").format(n=_digits(seconds / 86_400))


def _digits(value: float) -> str:
    return number_format(round(value, 1 if value < 9.95 else 0), 1 if value < 9.95 else 0)
