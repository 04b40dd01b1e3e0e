"""What nobody sees is named; what a script needs stays as it is."""

import pytest

from labeling.domain.visible import as_visible


@pytest.mark.parametrize(
    "text",
    [
        "plain text",
        "👨\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم",
        "שלום \u200f(1)",
        "葛\U000e0100城",
        "e\u0301\u0302\u0303\u0304",
        "a\tb\nc",
    ],
)
def test_as_visible_leaves_what_a_script_needs(text: str) -> None:
    assert as_visible(text) == text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a\u200bb", "[U+200B]"),
        ("pass\u200dword", "[U+200D]"),
        ("a\ufe0f", "[U+FE0F]"),
        ("plain \u200f", "[U+200F]"),
        ("\u2066x\u2069", "[U+2066]"),
        ("\x1b[31m", "[U+001B]"),
        ("\U000e0041\U000e0042", "[U+E0042]"),
        ("\u3164", "[U+3164]"),
        ("\ufeff", "[U+FEFF]"),
        ("\u200b" * 57, "[U+200B × 57]"),
        ("\u200b\u200c" * 50, "[+ 92]"),
        ("a" + "\u0301" * 30, "[U+0301 × 26]"),
    ],
)
def test_as_visible_names_what_nobody_sees(text: str, names: str) -> None:
    assert names in as_visible(text)


def test_as_visible_escapes() -> None:
    assert as_visible('<a b="c">&\'\u200b') == (
        '&lt;a b=&quot;c&quot;&gt;&amp;\'<span class="named" title="ZERO WIDTH SPACE">'
        "[U+200B]</span>"
    )
