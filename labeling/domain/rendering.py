"""Model output becomes HTML once, at import: Markdown rendered, then sanitized.

Text is hostile. Raw HTML in it is shown as the text that it is, never interpreted; images become
their description and address, so that nothing is loaded; links keep their address where it is
absolute, and never lead into this site. Nothing is hidden from whoever judges it: definitions of
links are shown as they stand, and what would turn the reading order around is shown by its name.
What `nh3` then finds to remove would be a fault of the renderer: it is the second wall.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from labeling.domain.content import text_of

RENDERER_VERSION = "markdown-2"

_TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre",
    "blockquote", "ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td", "span",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}, "span": {"class"}}
_CLASSES = {"image-text"}
_OVERRIDES = {0x202D: "[U+202D]", 0x202E: "[U+202E]"}


def _image_as_text(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any
) -> str:
    """Show an image as its description and address: nothing is fetched, nothing is hidden."""
    token = tokens[index]
    source = nh3.clean_text(str(token.attrs.get("src", "")))
    description = nh3.clean_text(token.content)
    return f'<span class="image-text">[image: {description} {source}]</span>'


def _renderer() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True})
    markdown.enable(["table", "strikethrough"])
    markdown.disable("reference")  # a definition would vanish, with any text hidden in it
    markdown.add_render_rule("image", _image_as_text)
    return markdown


_MARKDOWN = _renderer()


def _keep_attribute(tag: str, name: str, value: str) -> str | None:
    """Keep the classes that the renderer itself gives; drop any other."""
    if name != "class":
        return value
    kept = [c for c in value.split() if c in _CLASSES or c.startswith("language-")]
    return " ".join(kept) or None


def render_text(text: str) -> str:
    """Return safe HTML for one text."""
    return nh3.clean(
        _MARKDOWN.render(text.translate(_OVERRIDES)),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_keep_attribute,
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )


def render_messages(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one safe piece of HTML for each message."""
    return [render_text(text_of(m)) for m in messages]
