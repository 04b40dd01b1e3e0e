"""The text that a template shows without asking the catalogue, and how it is found."""

import re
from html.parser import HTMLParser

_SPOKEN = {"aria-description", "aria-label", "alt", "label", "placeholder", "title", "hx-confirm"}
_SILENT = {"script", "style", "kbd", "code", "pre"}
_COMMENT = re.compile(r"\{#.*?#\}|\{%\s*comment\b.*?%\}.*?\{%\s*endcomment\s*%\}", re.S)
_TRANSLATED = re.compile(
    r"\{%\s*blocktrans(?:late)?\b.*?%\}.*?\{%\s*endblocktrans(?:late)?\s*%\}", re.S
)
_CLASS = re.compile(r"\{%\s*block page_class\s*%\}.*?\{%\s*endblock\s*%\}", re.S)
_CODE = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.S)
# In a variable only a default is text; in a tag, literals are names, but for `default` again.
_DEFAULT = re.compile(r"""\|default(?:_if_none)?:(["'])(.*?)\1""")
_LETTERS = re.compile(r"[^\W\d_]{2,}")
# Names and signs that are the same in every language.
SAME_EVERYWHERE = {"API", "Prefloop", "sha256", "top-p"}


def untranslated(template: str) -> list[str]:
    """Return the pieces of visible text that stand in a template outside translation."""
    text = _CLASS.sub("", _TRANSLATED.sub("", _COMMENT.sub("", template)))
    found = [word for code in _CODE.findall(text) for _, word in _DEFAULT.findall(code)]
    parser = _Visible()
    parser.feed(_CODE.sub("", text))
    parser.close()
    pieces = [" ".join(piece.split()) for piece in (*found, *parser.pieces)]
    return [piece for piece in pieces if _is_language(piece)]


def _is_language(piece: str) -> bool:
    words = _LETTERS.findall(re.sub("|".join(map(re.escape, SAME_EVERYWHERE)), "", piece))
    return bool(words)


class _Visible(HTMLParser):
    """Collects what is read or heard: text outside scripts and keys, and spoken attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.pieces += [value or "" for name, value in attrs if name in _SPOKEN]
        if tag == "input" and given.get("type") in {"submit", "button", "reset"}:
            self.pieces.append(given.get("value") or "")
        if tag in _SILENT:
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)
