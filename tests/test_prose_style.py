"""The colours of rendered text are legible on what they stand on, in both looks."""

import re
from pathlib import Path

import pytest

STYLES = Path(__file__).resolve().parent.parent / "static" / "css"
LEAST = 4.5  # WCAG 2.2, 1.4.3, for text of normal size


def tokens(dark: bool) -> dict[str, str]:
    """Return the colours of a look by their names, as `#rrggbb`."""
    light_part, _, rest = (STYLES / "app.css").read_text().partition("@media (prefers-color")
    part = light_part if not dark else rest.partition("/* ---")[0]
    found = re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", part)
    return {n: c if len(c) == 7 else "#" + "".join(2 * d for d in c[1:]) for n, c in found}


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, by WCAG's formula."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_of_text_is_legible_on_every_ground(dark: bool) -> None:
    look = tokens(dark)
    rules = re.findall(r"\{([^}]*)\}", (STYLES / "prose.css").read_text())
    checked = 0
    for rule in rules:
        colour = re.search(r"(?:^|[ ;])color: var\(--([\w-]+)\)", rule)
        if not colour:
            continue
        ground = re.search(r"background: var\(--([\w-]+)\)", rule)
        for under in [ground[1]] if ground else ["surface", "sunken", "paper"]:
            assert contrast(look[colour[1]], look[under]) >= LEAST, (colour[1], under)
            checked += 1
    assert checked > 15
