"""Model output becomes HTML once, at import: Markdown rendered, then sanitized.

Text is hostile. Raw HTML in it is shown as the text that it is, never interpreted; images stay
the Markdown that names them, so that nothing is loaded; links keep their address where it is
absolute, and never lead into this site. What `nh3` then finds to remove would be a fault of the
renderer: it is the second wall.

Nothing is hidden from whoever judges it. Addresses, titles, the line that opens a code block and
cells beyond a table's width stand in the text; characters that nobody sees stand by name. At the
end every letter and digit of the source is looked for in what will be seen; where one is missing,
and where the text is too long or grows too much, the source itself is shown.
"""

import html as entities
import re
from collections.abc import Mapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import escapedSplit, getLine, table
from markdown_it.token import Token

from labeling.domain import formulas
from labeling.domain.content import text_of
from labeling.domain.formula_marks import CLOSINGS, add_formulas
from labeling.domain.highlighting import CLASSES, highlight
from labeling.domain.visible import FILLERS, as_visible

FRAME = '<div class="scroll" tabindex="0">'  # around what scrolls: a page names it for who hears it
RENDERER_VERSION = "markdown-3"

MAX_CHARS = 150_000  # the parser's worst texts take time that grows with the square
_MAX_CELLS = 20_000  # short rows are filled up: two kilobytes can ask for 65,000 cells
_MAX_GROWTH, _FREE_GROWTH = 30, 20_000
_MAX_HIGHLIGHTED = 40_000

_BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table"}
_TAGS = _BLOCKS | formulas.TAGS | {
    "br", "hr", "strong", "em", "s", "code", "pre", "li", "a", "thead", "tbody", "tr", "th", "td",
    "span", "div",
}  # fmt: skip
_ATTRIBUTES = {
    **{tag: {"dir"} for tag in _BLOCKS},
    **{"th": {"class"}, "td": {"class"}, "pre": {"class", "dir"}},
    **dict.fromkeys(formulas.TAGS, formulas.ATTRIBUTES),
    **{"a": {"href"}, "li": {"value"}, "code": {"class"}, "span": {"class", "title"}},
    "div": {"class", "tabindex"},
}
_CLASSES = CLASSES | {
    *("image-text", "address", "named", "language", "source", "scroll", "al-center", "al-right"),
    "al-left",
}
_VALUES = {"dir": "auto", "tabindex": "0"}
_TAG = re.compile(r'<(?:"[^"]*"|[^">])*>')
_SEEN_ATTRIBUTE = re.compile(r' (?:alttext|value)="([^"]*)"')
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NO_LETTERS = {ord(filler): None for filler in FILLERS}


class _Renderer(RendererHTML):
    """Writes tokens so that nothing of them is lost, each block with its own direction."""

    def renderToken(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a tag; a block reads in the direction of the first letter in it.

        What lies in it has no direction of its own, since `auto` looks past all that has one: the
        style sheet lets each paragraph, item and cell be read as it is written.
        """
        token = tokens[idx]
        if token.nesting == 1 and token.level == 0 and token.tag in _BLOCKS:
            token.attrSet("dir", "auto")
        align = str(token.attrs.pop("style", ""))
        if align:
            token.attrSet("class", "al-" + align.removeprefix("text-align:"))
        return super().renderToken(tokens, idx, options, env)

    def text(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write text, what is unseen by its name."""
        return as_visible(tokens[idx].content)

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write code in a line."""
        return f"<code>{as_visible(tokens[idx].content)}</code>"

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write indented code."""
        return f"<pre><code>{as_visible(tokens[idx].content)}</code></pre>\n"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a code block, under the line that opened it, where that says something."""
        token = tokens[idx]
        info = token.info.strip()
        title = f'<span class="language">{as_visible(info)}</span>' if info else ""
        env["highlighted"] = env.get("highlighted", 0) + len(token.content)
        code = None
        if info and env["highlighted"] <= _MAX_HIGHLIGHTED:
            code = highlight(token.content, info.split()[0])
        if code is None:
            code = as_visible(token.content)
        return f"<pre>{title}<code>{code}</code></pre>\n"

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write an image as the Markdown that names it: nothing is fetched, nothing is hidden."""
        token = tokens[idx]
        place = _place(str(token.attrs.get("src", "")), str(token.attrs.get("title", "")))
        return (
            f'<span class="image-text">![{as_visible(token.content)}]({as_visible(place)})</span>'
        )

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a link's beginning and keep its address for the end."""
        token = tokens[idx]
        address, title = str(token.attrs.get("href", "")), str(token.attrs.pop("title", ""))
        place = "" if token.markup == "autolink" else _place(address, title)
        env.setdefault("links", []).append(place)
        return self.renderToken(tokens, idx, options, env)

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a link's end, and behind it where it leads."""
        place = env["links"].pop()
        shown = f' <span class="address">({as_visible(place)})</span>' if place else ""
        return "</a>" + shown

    def list_item_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write an item with the number that the text gives it, which need not be the next."""
        if tokens[idx].info:
            tokens[idx].attrSet("value", tokens[idx].info)
        return self.renderToken(tokens, idx, options, env)

    def ordered_list_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a list's beginning; its items carry their numbers."""
        tokens[idx].attrs.pop("start", None)
        return self.renderToken(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a table in a frame that scrolls, and that the keyboard can reach."""
        return FRAME + self.renderToken(tokens, idx, options, env)

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write the end of table and frame."""
        return f"{self.renderToken(tokens, idx, options, env)}</div>\n"

    def math_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a formula in a line."""
        return _formula(tokens[idx])

    def math_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Write a formula that stands by itself."""
        return f"{FRAME}{_formula(tokens[idx])}</div>\n"


def _place(address: str, title: str) -> str:
    return f'{address} "{title}"' if title else address


def _formula(token: Token) -> str:
    """Return MathML, or the source with its marks where it can't be shown as a formula."""
    block = token.markup in {"$$", "\\["}
    mathml = formulas.as_mathml(token.content.strip(), block=block)
    if mathml is not None:
        return mathml
    source = token.markup + token.content + CLOSINGS[token.markup]
    return f'<code class="source">{as_visible(source)}</code>'


def _whole_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a table as the parser does, and add the cells that it drops beyond the heading's."""
    if state.env.get("cells", 0) > _MAX_CELLS:
        return False
    first = len(state.tokens)
    if not table(state, start, end, silent):
        return False
    if not silent:
        made = [piece for token in state.tokens[first:] for piece in _whole_row(state, token)]
        state.env["cells"] = state.env.get("cells", 0) + len(made) // 3
        state.tokens[first:] = made
    return True


def _whole_row(state: StateBlock, token: Token) -> list[Token]:
    """Return a table's token; before the end of a row come the cells that are missing in it."""
    if token.type == "tr_open" and token.map:
        state.env["row"], state.env["in_row"] = token.map[0], 0
    state.env["in_row"] = state.env.get("in_row", 0) + (token.type in {"th_open", "td_open"})
    if token.type != "tr_close":
        return [token]
    cells = escapedSplit(getLine(state, state.env["row"]).strip())
    cells = cells[1:] if cells[0] == "" else cells
    cells = cells[:-1] if cells and cells[-1] == "" else cells
    extra = [_cell(text.strip(), token.level) for text in cells[state.env["in_row"] :]]
    return [*(piece for cell in extra for piece in cell), token]


def _cell(text: str, level: int) -> list[Token]:
    inline = Token("inline", "", 0, content=text, children=[], level=level + 1, block=True)
    opening = Token("td_open", "td", 1, level=level, block=True)
    return [opening, inline, Token("td_close", "td", -1, level=level, block=True)]


def _parser() -> MarkdownIt:
    settings = {"html": False, "linkify": False, "breaks": True}
    markdown = MarkdownIt("commonmark", settings, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.disable("reference")  # a definition would vanish, with any text hidden in it
    markdown.block.ruler.at("table", _whole_table, {"alt": ["paragraph", "reference"]})
    add_formulas(markdown)
    # Addresses are shown as they were written; the browser encodes them when it follows one.
    for name in ("normalizeLink", "normalizeLinkText"):
        setattr(markdown, name, _as_written)
    return markdown


def _as_written(address: str) -> str:
    return address


def _keep_attribute(tag: str, name: str, value: str) -> str | None:
    """Keep the values that the renderer itself gives; drop any other."""
    if name == "class":
        return " ".join(c for c in value.split() if c in _CLASSES) or None
    return value if value == _VALUES.get(name, value) else None


_MARKDOWN = _parser()
_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    attribute_filter=_keep_attribute,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
)


def sanitize(html: str) -> str:
    """Return HTML with nothing in it but what the renderer itself writes."""
    return _CLEANER.clean(html)


def render_text(text: str) -> str:
    """Return safe HTML for one text, in which every word of the text is seen."""
    if len(text) <= MAX_CHARS:
        html = sanitize(_MARKDOWN.render(text, {}))
        if len(html) <= _MAX_GROWTH * len(text) + _FREE_GROWTH and _shows_all(html, text):
            return html
    source = as_visible(text.replace("\r\n", "\n"))
    return sanitize(f'<pre class="source" dir="auto">{source}</pre>\n')


def _shows_all(html: str, text: str) -> bool:
    """Return whether every letter and digit of the text is seen in the HTML, in its order."""
    seen = _letters(entities.unescape(_TAG.sub(_seen_in_tag, html)))
    if _in_order(_letters(_ENTITY.sub(_decoded, text)), seen):
        return True
    return _in_order(_letters(_ENTITY.sub(_undecoded, text)), seen)


def _seen_in_tag(tag: re.Match[str]) -> str:
    """Return the attributes that are seen: a formula's source and an item's number."""
    return "".join(_SEEN_ATTRIBUTE.findall(tag[0]))


def _decoded(entity: re.Match[str]) -> str:
    return entities.unescape(entity[0])


def _undecoded(entity: re.Match[str]) -> str:
    """Return an entity as code shows it; one that stands for a sign, not a letter, asks nothing."""
    return entity[0] if _decoded(entity).isalnum() else ""


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).translate(_NO_LETTERS)


def _in_order(wanted: str, found: str) -> bool:
    """Return whether the letters of one text are met in the other, in order."""
    rest = iter(found)
    return all(letter in rest for letter in wanted)


def render_messages(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one safe piece of HTML for each message."""
    return [render_text(text_of(m)) for m in messages]
