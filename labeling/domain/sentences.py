"""English sentences that can be said again in another language.

The pure modules import no framework, so they can't translate. They write
`_("{name} is no number.", name=name)`, with `sentence` under the name `_` by which catalogues
are collected; an edge says the sentence in the reader's language (labeling/language.py).
"""

from collections.abc import Mapping
from typing import Any


class Sentence(str):
    """A whole English sentence that still knows its pattern and the values in it."""

    pattern: str
    values: Mapping[str, object]

    __slots__ = ("pattern", "values")

    def parts(self) -> dict[str, Any]:
        """Return pattern and values as JSON can keep them; a sentence within is parts again."""
        values = {
            name: value.parts() if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        return {"pattern": self.pattern, "values": values}


def sentence(pattern: str, **values: object) -> Sentence:
    """Return the pattern with its `{name}` filled in; without values it stands as it is.

    Values are numbers, texts or other sentences; anything else is taken as its text.

    >>> sentence("{count} of them.", count=3)
    '3 of them.'
    """
    kept = {name: v if isinstance(v, int | float | str) else str(v) for name, v in values.items()}
    said = Sentence(pattern.format(**kept) if kept else pattern)
    said.pattern, said.values = pattern, kept
    return said


def parts_of(text: str) -> dict[str, Any]:
    """Return what a text is made of, to be stored beside it: nothing for a text of no pattern."""
    return text.parts() if isinstance(text, Sentence) else {}


def said_again(text: str, parts: Mapping[str, Any] | None) -> str:
    """Return a stored text as the sentence that it was, from the parts stored beside it.

    >>> said_again("3 of them.", {"pattern": "{count} of them.", "values": {"count": 3}}).pattern
    '{count} of them.'
    """
    if not parts:
        return text
    values = {
        name: said_again("", value) if isinstance(value, Mapping) else value
        for name, value in parts["values"].items()
    }
    pattern = str(parts["pattern"])
    return sentence(pattern, **values)
