"""A card that fills its frame is the card that the template would have rendered."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.template.loader import render_to_string
from django.utils import timezone, translation

from labeling.exceptions import InvalidInput
from labeling.selectors.queue import Card, CardCandidate, CardMessage
from labeling.views.card import CardContext

TOKEN = "t" * 64


def _card(roles: str, count: int, done: int = 7) -> Card:
    names = {"u": "user", "a": "assistant", "s": "system"}
    return Card(
        assignment_uid=uuid4(),
        messages=tuple(
            CardMessage(names[role], f"<p>turn {n} of {role} &amp; {uuid4()}</p>", "")
            for n, role in enumerate(roles)
        ),
        candidates=tuple(
            CardCandidate(n, f"<p>{{{{ reply }}}} {n} {uuid4()}</p>", "") for n in range(count)
        ),
        expires_at=timezone.now() + timedelta(minutes=30, milliseconds=500),
        guideline_version=1,
        done_today=done,
    )


def _rendered(context: CardContext) -> str:
    template = "labeling/_compare_card.html"
    return render_to_string(template, context.as_dict() | {"csrf_token": TOKEN})


def _without_its_key(html: str) -> str:
    """Every rendering has a key of its own."""
    bare, found = re.subn(r'name="key" value="[0-9a-f]{32}"', "", html)
    assert found == 1
    return bare


@pytest.mark.parametrize(("roles", "count"), [("u", 2), ("u", 4), ("suau", 4), ("uau", 9)])
def test_frame_filled_in_is_what_the_template_renders(roles: str, count: int) -> None:
    for done in (0, 12):  # the second card finds its frame made
        context = CardContext(_card(roles, count, done), "some-project")
        assert _without_its_key(context.as_html(TOKEN)) == _without_its_key(_rendered(context))


def test_frame_is_of_one_language_and_one_project() -> None:
    card = _card("u", 4)
    for slug, language in (("one", "en"), ("two", "en"), ("one", "zh-hans")):
        with translation.override(language):
            context = CardContext(card, slug)
            filled, rendered = context.as_html(TOKEN), _rendered(context)
            assert _without_its_key(filled) == _without_its_key(rendered)
            assert f"/projects/{slug}/compare/" in filled


def test_each_card_has_a_key_of_its_own() -> None:
    context = CardContext(_card("u", 4), "some-project")
    assert context.as_html(TOKEN) != context.as_html(TOKEN)


def test_card_with_an_error_and_no_card_are_rendered_as_they_are() -> None:
    refused = CardContext(_card("u", 4), "some-project", InvalidInput("Place <all> of them."))
    assert "Place &lt;all&gt; of them." in refused.as_html(TOKEN)
    assert "nothing-left" in CardContext(None, "some-project").as_html(TOKEN)
