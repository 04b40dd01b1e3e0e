"""What templates ask."""

from django.template import Context, Template

from labeling.domain.rendering import render_text
from labeling.templatetags.prefloop import rendered

WIDE = "|a|\n|-|\n\n$$x$$\n\nText."


def test_rendered_names_each_frame_that_the_keyboard_reaches() -> None:
    html = rendered(render_text(WIDE))
    assert html.count('tabindex="0"') == 2
    assert '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table' in html
    assert '<div class="scroll" tabindex="0" role="group" aria-label="Formula"><math' in html


def test_rendered_leaves_the_words_of_a_text_as_they_are() -> None:
    html = render_text('Write <div class="scroll" tabindex="0"><table>.')
    assert (
        Template("{% load prefloop %}{{ html|rendered }}").render(Context({"html": html})) == html
    )
