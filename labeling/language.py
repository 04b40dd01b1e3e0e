"""Saying what was written in English in the reader's own language."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext

from labeling.domain.sentences import parts_of


def said(text: str, parts: Mapping[str, Any] | None = None) -> str:
    """Return a text in the language of this moment; one that no catalogue knows stays as it is.

    `parts` are those that were stored beside the text (`sentences.parts_of`). Without them a
    `Sentence` is taken by its own, and any other text as a whole.
    """
    parts = parts or parts_of(text)
    if not parts:
        return gettext(text) if text else ""
    values = {
        name: said("", value) if isinstance(value, Mapping) else value
        for name, value in parts["values"].items()
    }
    english = str(parts["pattern"])
    pattern = gettext(english)
    return pattern.format(**values) if values else pattern


def all_said(errors: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the sentences about each field in the language of this moment."""
    return {name: [said(text) for text in texts] for name, texts in errors.items()}
