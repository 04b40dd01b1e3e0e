"""Hostile text becomes harmless HTML that hides nothing from whoever judges it."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.domain.rendering import render_messages, render_text

_ALLOWED_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre"),
    *("blockquote", "ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td", "span"),
}
_ALLOWED_ATTRIBUTES = {
    "a": {"href", "title", "rel"},
    "ol": {"start"},
    "code": {"class"},
    "span": {"class"},
}


class _Reader(HTMLParser):
    """Collects what a browser would see: tags, attributes and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _assert_harmless(html: str) -> _Reader:
    read = _Reader(html)
    for tag, attributes in read.tags:
        assert tag in _ALLOWED_TAGS
        assert set(attributes) <= _ALLOWED_ATTRIBUTES.get(tag, set())
        href = attributes.get("href")
        assert href is None or href.lower().startswith(("http://", "https://", "mailto:"))
    return read


HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
    "<style>*{display:none}</style>",
    "<iframe src=//evil.example></iframe>",
    "<b onmouseover=alert(1)>bold</b>",
    "<form action=/logout><button>x</button></form>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">',
    "<!-- hidden -->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<div>\n\n<script>alert(1)</script>\n\n</div>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_raw_html_is_shown_as_text(text: str) -> None:
    read = _assert_harmless(render_text(text))
    assert {tag for tag, _ in read.tags} <= {"p", "br"}
    assert read.text.split() == text.split()


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](\\javascript:alert(1))",
        "[x](<java\tscript:alert(1)>)",
        "[x](vbscript:msgbox(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](file:///etc/passwd)",
        "[x](//evil.example/)",
        "[x](/logout)",
        "[x](?delete=1)",
        "<javascript:alert(1)>",
        "[x][r]\n\n[r]: javascript:alert(1)",
    ],
)
def test_a_link_that_could_act_has_no_address(text: str) -> None:
    read = _assert_harmless(render_text(text))
    assert all("href" not in attributes for _, attributes in read.tags)
    assert "x" in read.text or "javascript" in read.text


def test_a_web_link_keeps_its_address_and_tells_nobody() -> None:
    read = _assert_harmless(render_text('[x](https://example.org "t\\" onclick=\\"alert(1)")'))
    assert read.tags[1] == (
        "a",
        {
            "href": "https://example.org",
            "title": 't" onclick="alert(1)',
            "rel": "noopener noreferrer nofollow",
        },
    )


def test_an_image_is_named_and_never_loaded() -> None:
    html = render_text("![a <b>cat</b>](http://evil.example/x.png?who=me)")
    read = _assert_harmless(html)
    assert read.text.strip() == "[image: a <b>cat</b> http://evil.example/x.png?who=me]"
    assert [tag for tag, _ in read.tags] == ["p", "span"]


def test_a_link_definition_is_shown_since_text_could_hide_in_it() -> None:
    read = _assert_harmless(render_text('Seen.\n\n[//]: # "unseen praise"'))
    assert "unseen praise" in read.text


def test_an_override_of_the_reading_order_is_shown_by_name() -> None:
    assert render_text("pay \u202e001 now") == "<p>pay [U+202E]001 now</p>\n"


def test_right_to_left_text_stays_as_it_is() -> None:
    assert render_text("שלום \u200f(1)") == "<p>שלום \u200f(1)</p>\n"


def test_markdown_becomes_structure() -> None:
    html = render_text("# T\n\n3. **a**\n4. ~~b~~\n\n| x |\n|---|\n| 1 |\n\n```py\n1 < 2\n```")
    tags = [tag for tag, _ in _assert_harmless(html).tags]
    assert tags[:4] == ["h1", "ol", "li", "strong"]
    assert {"s", "table", "th", "td", "pre", "code"} <= set(tags)
    assert '<ol start="3">' in html
    assert '<code class="language-py">1 &lt; 2\n</code>' in html


def test_a_code_block_brings_no_foreign_class() -> None:
    html = render_text("~~~a\x0cnavbar\nx\n~~~")
    classes = [a.get("class") for tag, a in _assert_harmless(html).tags if tag == "code"]
    assert all(c is None or c.startswith("language-") for c in classes)
    assert "navbar" not in " ".join(c or "" for c in classes).split()


def test_a_single_line_break_is_kept() -> None:
    assert render_text("a\nb") == "<p>a<br>\nb</p>\n"


@given(st.text(max_size=200))
def test_any_text_is_harmless(text: str) -> None:
    _assert_harmless(render_text(text.encode("utf-8", "replace").decode()))


@given(st.lists(st.sampled_from([*HOSTILE, "[", "](", ")", "`", "\n", "![", "<", "> ", "|"])))
def test_any_mixture_of_hostile_pieces_is_harmless(pieces: list[str]) -> None:
    _assert_harmless(render_text("".join(pieces)))


def test_render_messages_gives_one_piece_a_message() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "*a*"}]},
        {"role": "user", "content": "b"},
    ]
    assert render_messages(messages) == ["<p><em>a</em></p>\n", "<p>b</p>\n"]
