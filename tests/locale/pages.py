"""What a reader of a page sees and hears, and the English that is left in it."""

import re
from html.parser import HTMLParser

_SPOKEN = {"aria-description", "aria-label", "alt", "placeholder", "title", "hx-confirm"}
_VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "option", "wbr"}
# What people, models and programs wrote is in their own language.
_FOREIGN = {"code", "datalist", "kbd", "pre", "textarea"}
_ENGLISH = re.compile(r"[A-Za-z][a-z']* [a-z']+ [a-z']+(?: [a-z']+)*")


def english_in(page: str) -> list[str]:
    """Return every run of three English words and more that a page says in its own voice."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return [found.group() for piece in reader.said for found in _ENGLISH.finditer(piece)]


class _Reader(HTMLParser):
    """Collects a page's words: text, spoken attributes, and the sentences of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        foreign = tag in _FOREIGN or given.get("dir") == "auto"
        if not self._is_foreign() and not foreign:
            self.said += [value or "" for name, value in attrs if name in _SPOKEN]
        if tag not in _VOID:
            self._open.append((tag, foreign))

    def handle_endtag(self, tag: str) -> None:
        while any(name == tag for name, _ in self._open) and self._open.pop()[0] != tag:
            pass  # tags that HTML lets stand open

    def handle_data(self, data: str) -> None:
        if not self._is_foreign():
            self.said.append(" ".join(data.split()))

    def _is_foreign(self) -> bool:
        return any(foreign for _, foreign in self._open)
