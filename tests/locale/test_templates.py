"""No template shows text that no catalogue knows."""

from pathlib import Path

import pytest

from tests.locale.sources import REPOSITORY, templates
from tests.locale.visible import untranslated


@pytest.mark.parametrize("path", templates(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_every_visible_text_is_translated(path: Path) -> None:
    assert untranslated(path.read_text()) == []


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("<p>Good morning</p>", ["Good morning"]),
        ('<p title="Morning">{% translate "Good" %}</p>', ["Morning"]),
        ('<button aria-label="Close {{ name }}">×</button>', ["Close"]),
        ('<input type="submit" value="Send">', ["Send"]),
        ('{{ name|default:"nobody" }}', ["nobody"]),
        ("{% if x %}yes{% else %}{% translate 'no' %}{% endif %}", ["yes"]),
    ],
)
def test_untranslated_text_is_found(template: str, found: list[str]) -> None:
    assert untranslated(template) == found


@pytest.mark.parametrize(
    "template",
    [
        '{% translate "Good morning" %}',
        "{% blocktranslate count n=n %}{{ n }} day{% plural %}{{ n }} days{% endblocktranslate %}",
        "<kbd>Enter</kbd> · {{ name }} 1/2 → A",
        '{# a comment #}<script src="a.js">let it = "be";</script>',
        '{% if state == "open" %}<i class="on {{ kind }}"></i>{% endif %}',
        '{{ tags|default:_("all") }}',
    ],
)
def test_code_keys_and_translated_text_pass(template: str) -> None:
    assert untranslated(template) == []
