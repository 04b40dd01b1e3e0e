"""Going back on the ranking page: the card as it was judged, changed beside what it was."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Assignment, Judgement
from labeling.services.projects import update_project
from tests.factories import make_project
from tests.labeling.views.conftest import World

PIECE = {"HX-Request": "true"}


def _judged(world: World) -> Judgement:
    """Return the annotator's judgement that nothing supersedes."""
    rows = Judgement.objects.filter(annotator__user=world.actor("annotator"), superseded_by=None)
    return rows.get()


def _back(world: World, n: Any = 1) -> Any:
    client = world.client("annotator")
    return client.get(world.url("compare_back", "slug"), {"n": n}, headers=PIECE)


def _revise(world: World, ranks: list[int], **more: Any) -> Any:
    fields = {f"rank-{position}": rank for position, rank in enumerate(ranks)}
    data = {"judgement": _judged(world).uid, "key": "again", **fields, **more}
    url = world.url("compare_revise", "slug")
    return world.client("annotator").post(url, data, headers=PIECE)


def test_back_shows_the_judged_card_with_what_was_said(world: World) -> None:
    """It was judged in the order shown: positions 0 to 3 have the ranks 1 to 4."""
    response = _back(world)
    judgement = _judged(world)
    assert response.status_code == 200
    assert "HX-Request" in response["Vary"]
    assert f'name="judgement" value="{judgement.uid}"' in response.text
    assert f"{world.url('compare_revise', 'slug')}" in response.text
    question = judgement.comparison.prompt.messages[0]["content"][0]["text"]
    assert response.text.count(f"to: {question}") >= 4
    fields = response.context["revision"].fields
    assert fields == [(f"rank-{n}", str(n + 1)) for n in range(4)]


@pytest.mark.parametrize("n", [0, 2, 51, "x", "²", "1" * 20, ""])
def test_back_beyond_the_oldest_is_not_found(world: World, n: Any) -> None:
    response = _back(world, n)
    assert response.status_code == 404
    assert 'id="error"' in response.text


def test_back_as_a_page_leads_to_the_ranking_page(world: World) -> None:
    response = world.client("annotator").get(world.url("compare_back", "slug"))
    assert response.status_code == 302
    assert response["Location"] == f"{world.url('compare', 'slug')}?back=1"


def test_back_holds_no_model_name(world: World) -> None:
    assert "model-" not in _back(world).text


def test_back_costs_a_fixed_number_of_statements(world: World) -> None:
    """Session, account, project and role, the annotator, the judgement, its card."""
    client, url = world.client("annotator"), world.url("compare_back", "slug")
    with CaptureQueriesContext(connection) as captured:
        client.get(url, headers=PIECE)
    assert len(captured) <= 7, "\n".join(q["sql"] for q in captured)


def test_revise_supersedes_and_answers_with_the_current_card(world: World) -> None:
    old = _judged(world)
    response = _revise(world, [4, 3, 2, 1], comment="On second thoughts")
    assert response.status_code == 200
    assert f'data-uid="{world.ids["assignment"]}"' in response.text
    new = _judged(world)
    assert (new.supersedes, new.comment) == (old, "On second thoughts")
    assert new.tiers == list(reversed(old.tiers))
    held = Assignment.objects.get(uid=world.ids["assignment"])
    assert held.state == "leased"
    again = _back(world)
    assert again.context["revision"].judgement_uid == new.uid


def test_revise_sent_twice_is_stored_once(world: World) -> None:
    uid = _judged(world).uid
    for _ in range(2):
        assert _revise(world, [4, 3, 2, 1], judgement=uid).status_code == 200
    assert Judgement.objects.filter(annotator__user=world.actor("annotator")).count() == 2


def test_revise_of_what_was_revised_is_a_conflict(world: World) -> None:
    uid = _judged(world).uid
    _revise(world, [4, 3, 2, 1])
    response = _revise(world, [1, 1, 1, 1], judgement=uid, key="third")
    assert response.status_code == 409
    assert 'id="error"' in response.text


def test_revise_refused_shows_the_same_card_and_why(world: World) -> None:
    before = _judged(world)
    response = _revise(world, [1, 2])
    assert response.status_code == 422
    assert f'name="judgement" value="{before.uid}"' in response.text
    assert re.search(r'class="note" role="alert"><span class="note-text">\w', response.text)
    assert _judged(world) == before


def test_revise_asks_what_the_project_asks(world: World) -> None:
    update_project(actor=world.actor("owner"), project=world.project, asks_confidence=True)
    response = _revise(world, [4, 3, 2, 1])
    assert response.status_code == 422
    assert "Say how sure you are." in response.text
    assert _revise(world, [4, 3, 2, 1], confidence=3).status_code == 200
    assert _judged(world).confidence == 3


@pytest.mark.parametrize("uid", ["", "none", "00000000-0000-4000-8000-000000000000"])
def test_revise_of_an_unknown_judgement_is_not_found(world: World, uid: str) -> None:
    assert _revise(world, [4, 3, 2, 1], judgement=uid).status_code == 404


def test_revise_under_another_project_s_address_is_not_found(world: World) -> None:
    other = make_project(owner=world.actor("annotator"))
    data = {"judgement": _judged(world).uid, "key": "again", "rank-0": 1}
    url = world.url("compare_revise", "slug").replace(world.project.slug, other.slug)
    response = world.client("annotator").post(
        url, {**data, **{f"rank-{n}": 1 for n in range(4)}}, headers=PIECE
    )
    assert response.status_code == 404
    assert _judged(world).supersedes is None
