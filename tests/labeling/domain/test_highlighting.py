"""Code gets colours and keeps every character."""

import pytest

from labeling.domain.highlighting import LANGUAGES, MAX_CHARS, highlight
from tests.labeling.domain.reader import Reader


def test_highlight_gives_each_kind_its_class() -> None:
    assert highlight("def f(): # <b>\n    return 'x'", "Python") == (
        '<span class="h-k">def</span> <span class="h-f">f</span>(): '
        '<span class="h-c"># &lt;b&gt;</span>\n    <span class="h-k">return</span> '
        "<span class=\"h-s\">'x'</span>"
    )


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_highlight_loses_no_character(language: str) -> None:
    code = "  if (a < b) { return \"x\"; } // c\n\t# d 'e' <p class=f>&amp;</p>\n\n- 1.5e3 $g ü"
    html = highlight(code, language)
    assert html is not None
    assert Reader(html).text == code


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("x", "no-such-language"),
        ("x", ""),
        ("x\n" * MAX_CHARS, "python"),
        ("/" * 1000, "c"),
        ("\n" * 40, "java"),
    ],
)
def test_highlight_leaves_what_it_does_not_know_or_what_is_too_much(
    code: str, language: str
) -> None:
    assert highlight(code, language) is None
