"""Reads rendered HTML as a browser would: tags, attributes, and the text between them."""

from html.parser import HTMLParser

from labeling.domain import formulas, highlighting

BLOCKS = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table", "pre")
_PLAIN = {"br", "hr", "strong", "em", "s", "li", "thead", "tbody", "tr", "th", "td", "code", "span"}
TAGS = _PLAIN | {*BLOCKS, *formulas.TAGS, "a", "div"}
_CLASSES = highlighting.CLASSES | {
    *("image-text", "address", "named", "language", "source", "scroll", "al-center", "al-right"),
    "al-left",
}
_ATTRIBUTES = {
    "a": {"href", "rel"},
    "li": {"value"},
    "div": {"class", "tabindex"},
    "span": {"class", "title"},
    **{"th": {"class"}, "td": {"class"}},
    "code": {"class"},
    **{tag: {"dir", "class"} for tag in BLOCKS},
    **dict.fromkeys(formulas.TAGS, formulas.ATTRIBUTES),
}


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, html: str) -> None:
        """Read it all."""
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.seen = ""  # the text, and in their places the sources of formulas and items' numbers
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        given = dict(attrs)
        self.tags.append((tag, given))
        self.seen += given.get("alttext") or given.get("value") or ""

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data
        self.seen += data

    @property
    def names(self) -> list[str]:
        """Return the tags' names in order."""
        return [name for name, _ in self.tags]


def assert_harmless(html: str) -> Reader:
    """Fail on any tag, attribute, class or address that the renderer does not write itself."""
    read = Reader(html)
    for tag, attributes in read.tags:
        assert tag in TAGS
        assert set(attributes) <= _ATTRIBUTES.get(tag, set())
        href = attributes.get("href")
        assert href is None or href.lower().startswith(("http://", "https://", "mailto:"))
        assert set((attributes.get("class") or "").split()) <= _CLASSES
        assert attributes.get("dir", "auto") == "auto"
    return read
