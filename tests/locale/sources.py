"""The sentences of the sources, found without gettext's tools: by Django's lexer and Babel's."""

import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.extract import DEFAULT_KEYWORDS, extract_python
from django.utils.translation.template import templatize

REPOSITORY = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("config", "labeling", "training", "templates")
# What labeling/management/commands/makemessages.py tells xgettext, in Babel's terms.
KEYWORDS: dict[str, Any] = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
    "pgettext_lazy": ((1, "c"), 2),
    "sentence": None,
    "option": (3,),
}
Key = tuple[str | None, str]  # context, msgid


def sources() -> list[Path]:
    """Return the Python files and templates that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = [REPOSITORY / name for name in listed if name.endswith((".py", ".html"))]
    return sorted(path for path in paths if path.exists() and "migrations" not in path.parts)


def templates() -> list[Path]:
    """Return the templates alone."""
    return [path for path in sources() if path.suffix == ".html"]


def sentences() -> dict[Key, tuple[str | None, str]]:
    """Return every sentence by its key: its plural, if it has one, and where it stands."""
    found: dict[Key, tuple[str | None, str]] = {}
    for path in sources():
        for place, key, plural in _of_file(path):
            found.setdefault(key, (plural, f"{path.relative_to(REPOSITORY)}:{place}"))
    return found


def _of_file(path: Path) -> Iterator[tuple[int, Key, str | None]]:
    text = path.read_text()
    if path.suffix == ".html":
        # Brackets make one expression of it, whose indentation means nothing to the tokenizer.
        text = f"({templatize(text)})"
    for place, function, arguments, _comments in extract_python(
        BytesIO(text.encode()), KEYWORDS, [], {"encoding": "utf-8"}
    ):
        given = arguments if isinstance(arguments, tuple) else (arguments,)
        yield from _of_call(place, KEYWORDS[str(function)], given)


def _of_call(
    place: int, spec: tuple[int | tuple[int, str], ...] | None, given: tuple[str | None, ...]
) -> Iterator[tuple[int, Key, str | None]]:
    """Yield the sentence of one call, if it is written out there."""
    spec = spec or (1,)
    context = next((given[item[0] - 1] for item in spec if isinstance(item, tuple)), None)
    places = [item - 1 for item in spec if isinstance(item, int)]
    texts = [given[number] for number in places if number < len(given)]
    if texts and texts[0]:
        yield place, (context, texts[0]), texts[1] if len(texts) > 1 else None
