"""Hostile text becomes harmless HTML that hides nothing from whoever judges it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.domain import rendering
from labeling.domain.rendering import render_messages, render_text
from tests.labeling.domain.reader import Reader, assert_harmless

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
MARKS = [
    "&#x41;",
    *("[", "](", ")", "`", "```py\n", "\n", "\n\n", "![", "<", "> ", "| ", "|-|-|\n", "- ", "3. "),
    *(
        "$",
        "$$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
        "**",
        "_",
        "~~",
        "# ",
        "    ",
        "\\",
        "&amp;",
        "&#x41;",
    ),
    *("word", "hidden text", "x^2", "\\frac{a}{b}", 'http://a.example/b "title"', "[r]: /u 't'"),
    *("\u200b", "\u202e", "e\u0301", "שלום", "1", "\\phantom{secret}", "%20", "---", ":-:|"),
]


def words(text: str) -> list[str]:
    """Return what a reader would call the words of a text, in order."""
    return re.findall(r"[^\W_]+", text)


@pytest.mark.parametrize("text", HOSTILE)
def test_raw_html_is_shown_as_text(text: str) -> None:
    read = assert_harmless(render_text(text))
    assert set(read.names) <= {"p", "br"}
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
    read = assert_harmless(render_text(text))
    assert all("href" not in attributes for _, attributes in read.tags)
    assert "x" in read.text or "javascript" in read.text


def test_a_web_link_keeps_its_address_shows_it_and_tells_nobody() -> None:
    html = render_text('[x](https://example.org/%41ü "t\\" onclick=\\"alert(1)")')
    read = assert_harmless(html)
    rel = "noopener noreferrer nofollow"
    assert read.tags[1] == ("a", {"href": "https://example.org/%41ü", "rel": rel})
    assert read.text.strip() == 'x (https://example.org/%41ü "t" onclick="alert(1)")'


def test_a_bare_link_is_not_shown_twice() -> None:
    assert Reader(render_text("<https://example.org>")).text.strip() == "https://example.org"


def test_an_image_is_named_and_never_loaded() -> None:
    html = render_text('![a <b>cat</b>](http://evil.example/x.png?who=me "a title")')
    read = assert_harmless(html)
    assert read.text.strip() == '![a <b>cat</b>](http://evil.example/x.png?who=me "a title")'
    assert read.names == ["p", "span"]


def test_a_link_definition_is_shown_since_text_could_hide_in_it() -> None:
    read = assert_harmless(render_text('Seen.\n\n[//]: # "unseen praise"'))
    assert "unseen praise" in read.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("```py and unseen praise\n1\n```", "py and unseen praise"),
        ("| a |\n|---|\n| 1 | unseen | praise |", "unseen\npraise"),
        ("> " * 30 + "unseen praise", "unseen praise"),
        ("[" * 30 + "a](b)" + "*" * 50 + "unseen praise", "unseen praise"),
        ("1. a\n1. b\n7. c", "a\nb\nc"),
        ("$x \\phantom{unseen}$", "\\phantom{unseen}"),
        ("$x$ and $\\color{white}{unseen}$", "\\color{white}{unseen}"),
        ("$\\text{a} % unseen$", "% unseen"),
    ],
)
def test_what_markdown_would_drop_is_shown(text: str, shown: str) -> None:
    read = assert_harmless(render_text(text))
    assert shown in read.text


def test_items_keep_the_numbers_that_the_text_gives_them() -> None:
    items = [a for tag, a in Reader(render_text("1. a\n1. b\n7. c")).tags if tag == "li"]
    assert items == [{"value": "1"}, {"value": "1"}, {"value": "7"}]


@pytest.mark.parametrize(
    "text", ["pay \u202e001 now", "pay &#x202e;001 now", "`pay \u202e001 now`"]
)
def test_an_override_of_the_reading_order_is_shown_by_name(text: str) -> None:
    html = render_text(text)
    assert '<span class="named" title="RIGHT-TO-LEFT OVERRIDE">[U+202E]</span>001' in html
    assert "\u202e" not in html


def test_each_block_reads_in_its_own_direction() -> None:
    html = render_text("# שלום \u200f(1)\n\ntext\n\n- א\n\n> ב\n\n| ג |\n|---|\n| d |")
    given = [tag for tag, a in Reader(html).tags if a.get("dir") == "auto"]
    assert given == ["h1", "p", "ul", "blockquote", "table"]
    assert '<h1 dir="auto">שלום \u200f(1)</h1>' in html


def test_markdown_becomes_structure() -> None:
    html = render_text("# T\n\n3. **a**\n4. ~~b~~\n\n| x |\n|:-:|\n| 1 |\n\n```py\n1 < 2\n```")
    names = assert_harmless(html).names
    assert names[:4] == ["h1", "ol", "li", "strong"]
    assert {"s", "table", "th", "td", "pre", "code"} <= set(names)
    assert '<td class="al-center">1</td>' in html
    assert '<span class="language">py</span><code><span class="h-m">1</span> &lt;' in html


def test_a_table_scrolls_in_a_frame_that_the_keyboard_reaches() -> None:
    assert render_text("|a|\n|-|").startswith('<div class="scroll" tabindex="0"><table dir="auto">')


def test_a_code_block_brings_no_foreign_class() -> None:
    html = render_text("~~~a\x0cnavbar\nx\n~~~")
    assert_harmless(html)
    assert 'class="navbar' not in html


def test_formulas_in_every_spelling_become_mathml() -> None:
    html = render_text("$a^2$, \\(b\\) and\n\n$$\nc = 1\n$$\n\n\\[ d \\]\n\n$$e=1$$")
    maths = [a for tag, a in assert_harmless(html).tags if tag == "math"]
    assert [m["alttext"] for m in maths] == ["a^2", "b", "c = 1", "d", "e=1"]
    assert [m["display"] for m in maths] == ["inline", "inline", "block", "block", "block"]


def test_a_formula_that_can_not_be_set_is_shown_as_its_source() -> None:
    assert '<code class="source">$\\frac{1$</code>' in render_text("see $\\frac{1$ there")


@pytest.mark.parametrize(
    "text",
    [
        "It costs $500 and I have $30.",
        "$100-$150 for a GPU",
        "between $5 and 10$ or so",
        "US$5,000 = A$7,000",
        "$HOME/bin and $PATH",
        "cheap ($) or dear ($$$), rarely $$",
        "a \\[link\\](there) and \\(an aside\\)",
        "it is $5 or €4, and 6$",
    ],
)
def test_money_and_brackets_are_no_formulas(text: str) -> None:
    assert "<math" not in render_text(text)
    assert 'class="source"' not in render_text(text)


def test_a_single_line_break_is_kept() -> None:
    assert render_text("a\nb") == '<p dir="auto">a<br>\nb</p>\n'


@given(st.text(max_size=200))
def test_any_text_is_harmless_and_whole(text: str) -> None:
    text = text.encode("utf-8", "replace").decode().replace("\0", "")
    html = render_text(text)
    assert_harmless(html)
    assert_whole(text, html)


@given(st.lists(st.sampled_from([*HOSTILE, *MARKS]), max_size=30))
@settings(max_examples=300)
def test_any_mixture_of_markdown_and_hostile_pieces_is_harmless_and_whole(
    pieces: list[str],
) -> None:
    text = "".join(pieces)
    html = render_text(text)
    assert_harmless(html)
    assert_whole(text, html)


def assert_whole(text: str, html: str) -> None:
    """Fail where a word of the text is missing; entities may stand for what they mean.

    Emphasis within a word parts it, and markup may join two: letters are compared, not spaces.
    """
    seen = iter("".join(words(Reader(html).seen)))
    plain = re.sub(r"&#?\w+;", "", text)
    for filler in "\u115f\u1160\u3164\uffa0":
        plain = plain.replace(filler, "")
    missing = [letter for letter in "".join(words(plain)) if letter not in seen]
    assert not missing


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if _is_list(value) else ():
        yield from texts_of(part)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


@pytest.mark.shared_data
def test_every_real_text_is_harmless_and_shows_every_word(shared_data: Path) -> None:
    texts = [
        text
        for path in sorted(shared_data.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").split("\n")
        if line
        for text in texts_of(json.loads(line))
    ]
    assert len(texts) > 1000
    for text in texts:
        html = render_text(text)
        assert_harmless(html)
        assert_whole(text, html)
        assert '<pre class="source"' not in html  # none had to be shown as its source


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        ">" * 10_000 + " end",
        "> " * 10_000 + "end",
        "[" * 100_000,
        "![" * 50_000,
        "![[" * 33_000 + "]" * 100,
        "*_" * 50_000,
        "- " * 20_000 + "end",
        "$" * 100_000,
        "$a$ " * 25_000,
        "\\[\n" * 33_000,
        "$" + "x_{" * 300 + "}" * 300 + "$",
        "$" + "\\left(" * 300 + "$",
        "\u200b\u200c" * 50_000,
        "a\u200b" * 50_000,
        "\u0301" * 100_000,
        ("|a" * 250 + "|\n" + "|-" * 250 + "|\n" + "|b\n" * 200 + "\n") * 50,
        "```java\n" + "\n" * 50_000 + "```",
        "```js\n" + "/" * 50_000 + "\n```",
        "&#x200b;" * 12_000,
        "a|b\n-|-\n" * 12_000,
        "word " * 100_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_text_made_to_be_slow_ends_soon_and_grows_little(text: str) -> None:
    began = time.process_time()
    html = render_text(text)
    assert time.process_time() - began < 10
    assert len(html) <= 35 * len(text) + 20_000
    assert len(words(html)) >= len(set(words(text)))


def test_the_second_wall_takes_out_what_the_renderer_would_never_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were the renderer to let HTML through, `nh3` would still stand before the page."""
    monkeypatch.setattr(rendering, "_MARKDOWN", _Careless())
    monkeypatch.setattr(rendering, "_shows_all", lambda html, text: True)
    for text in HOSTILE:
        assert_harmless(render_text(text))
    html = render_text("<p class='navbar h-k' dir=rtl id=a style='x'>b</p>")
    assert html == "<p>b</p>"


class _Careless:
    def render(self, text: str, env: dict[str, Any]) -> str:
        return text


def test_render_messages_gives_one_piece_a_message() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "*a*"}]},
        {"role": "user", "content": "b"},
    ]
    wanted = ['<p dir="auto"><em>a</em></p>\n', '<p dir="auto">b</p>\n']
    assert render_messages(messages) == wanted
