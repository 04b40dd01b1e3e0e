"""The writing page: what it shows, what it takes, what it keeps when something is wrong."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Demonstration, WritingAssignment
from labeling.services.writing import skip_writing
from tests.factories import make_prompts
from tests.labeling.views.conftest import World, write_one

PIECE = {"HX-Request": "true"}


def _post(world: World, name: str, more: dict[str, Any], **kwargs: Any) -> Any:
    data = {"assignment": world.ids["writing"], **more}
    return world.client("annotator").post(world.url(name, "slug"), data, **kwargs)


def _submit(world: World, text: str = "A reply.", key: str = "the key", **kwargs: Any) -> Any:
    return _post(world, "write_submit", {"text": text, "key": key, "active_ms": "4200"}, **kwargs)


def _own(world: World) -> Any:
    return Demonstration.objects.filter(assignment__uid=world.ids["writing"])


def _texts(rows: Any) -> list[str]:
    return [row.messages[0]["content"][0]["text"] for row in rows.order_by("id")]


def test_page_contains_the_piece(world: World) -> None:
    client, url = world.client("annotator"), world.url("write", "slug")
    page, piece = client.get(url), client.get(url, headers=PIECE)
    assert "<html" in page.text
    assert 'id="write-card"' in page.text
    assert 'id="guidelines"' in page.text
    assert piece.text.strip().startswith('<div id="write-card"')
    for response in (page, piece):
        assert "HX-Request" in response["Vary"]
        assert str(world.ids["writing"]) in response.text


def test_page_shows_the_prompt_and_nobodys_reply(world: World) -> None:
    """Neither the candidates nor what others wrote: a writer's words are to be their own."""
    assignment = WritingAssignment.objects.get(uid=world.ids["writing"])
    page = world.client("annotator").get(world.url("write", "slug")).text
    assert page.count(assignment.prompt.messages[0]["content"][0]["text"]) == 1
    assert "Reply 0 to" not in page
    assert "Written" not in page
    assert "model-" not in page


def test_submit_stores_the_reply_and_answers_with_the_next_prompt(world: World) -> None:
    response = _submit(world, "One\r\ntwo", headers=PIECE)
    assert response.status_code == 200
    assert response.text.strip().startswith('<div id="write-card"')
    assert f'data-uid="{world.ids["writing"]}"' not in response.text
    assert 'data-uid="' in response.text
    assert 'data-done="2"' in response.text
    written = _own(world).get()
    assert _texts(_own(world)) == ["One\ntwo"]
    assert (written.active_ms, written.origin) == (4200, "browser")


def test_submit_without_a_script_leads_to_the_next_prompt(world: World) -> None:
    response = _submit(world)
    assert (response.status_code, response["Location"]) == (302, world.url("write", "slug"))


def test_submit_twice_stores_one_and_still_answers_with_a_prompt(world: World) -> None:
    first, again = _submit(world, headers=PIECE), _submit(world, headers=PIECE)
    uids = [re.findall(r'data-uid="([^"]+)"', response.text) for response in (first, again)]
    assert uids[0] == uids[1] != []
    assert _own(world).count() == 1
    other = _submit(world, "Another reply.", headers=PIECE)
    assert other.status_code == 409
    assert 'id="error"' in other.text


@pytest.mark.parametrize("headers", [PIECE, {}], ids=["htmx", "plain"])
def test_refused_reply_comes_back_with_its_text(world: World, headers: dict[str, str]) -> None:
    blank = _submit(world, "  ", headers=headers)
    assert blank.status_code == 422
    assert "Write a reply first" in blank.text
    silent = _submit(world, "Long work & <care>.", key="", headers=headers)
    assert silent.status_code == 422
    assert "Long work &amp; &lt;care&gt;.</textarea>" in silent.text
    assert ("<html" in silent.text) is not bool(headers)
    assert not _own(world).exists()


def test_time_that_is_no_number_is_refused(world: World) -> None:
    more = {"text": "A reply.", "key": "k", "active_ms": "long"}
    assert _post(world, "write_submit", more, headers=PIECE).status_code == 422
    assert not _own(world).exists()


@pytest.mark.parametrize("uid", ["", "no uuid", "00000000-0000-4000-8000-000000000000"])
def test_submit_for_an_unknown_assignment_is_not_found(world: World, uid: str) -> None:
    more = {"assignment": uid, "text": "A reply.", "key": "k"}
    assert _post(world, "write_submit", more, headers=PIECE).status_code == 404


def test_skip_takes_a_reason_and_answers_with_the_next_prompt(world: World) -> None:
    assert _post(world, "write_skip", {}, headers=PIECE).status_code == 422
    more = {"reason": "Other", "note": "too long"}
    response = _post(world, "write_skip", more, headers=PIECE)
    assert response.status_code == 200
    assert str(world.ids["writing"]) not in response.text
    skipped = WritingAssignment.objects.get(uid=world.ids["writing"])
    assert (skipped.state, skipped.skip_reason) == ("skipped", "Other: too long")


def test_draft_is_kept_and_comes_back(world: World) -> None:
    kept = _post(world, "write_draft", {"text": "Half a\r\nreply"}, headers=PIECE)
    assert kept.json() == {"revision": 1}
    plain = _post(world, "write_draft", {"text": "Half a\r\nreply"})
    assert plain["Location"] == world.url("write", "slug")
    page = world.client("annotator").get(world.url("write", "slug")).text
    assert "Half a\nreply</textarea>" in page
    assert 'data-revision="1"' in page


def test_preview_is_made_by_the_servers_own_renderer(world: World) -> None:
    text = "**Bold** <script>alert(1)</script> [x](javascript:alert(1))"
    piece = _post(world, "write_preview", {"text": text}, headers=PIECE)
    assert piece.text.strip().startswith('<div id="write-preview"')
    assert "<strong" in piece.text
    assert "<script" not in piece.text
    assert 'href="javascript' not in piece.text


def test_preview_without_a_script_keeps_the_text(world: World) -> None:
    page = _post(world, "write_preview", {"text": "**Bold**"})
    assert "**Bold**</textarea>" in page.text
    assert re.search(r"<strong[^>]*>Bold</strong>", page.text)
    more = {"text": "**Bolder**", "corrects": world.ids["own_writing"]}
    page = _post(world, "write_preview", more)
    assert "**Bolder**</textarea>" in page.text
    assert "Save the correction" in page.text


def test_correction_supersedes_the_reply(world: World) -> None:
    client, url = world.client("annotator"), world.url("write_correct", "slug", "own_writing")
    assert "Written **before**.</textarea>" in client.get(url).text
    blank = client.post(url, {"text": "", "key": "k"}, headers=PIECE)
    assert blank.status_code == 422
    response = client.post(url, {"text": "Corrected.", "key": "k"}, headers=PIECE)
    assert response.status_code == 200
    assert str(world.ids["writing"]) in response.text
    rows = Demonstration.objects.filter(assignment__uid=world.ids["own_writing"])
    assert _texts(rows) == ["Written **before**.", "Corrected."]
    assert rows.get(superseded_by=None).supersedes_id == world.ids["written"]


def test_empty_queue_says_so(world: World) -> None:
    world.project.prompts.update(state="withdrawn")
    client = world.client("manager")
    for headers in (PIECE, {}):
        response = client.get(world.url("write", "slug"), headers=headers)
        assert response.status_code == 200
        assert "Nothing is left for you to write" in response.text
    world.project.demonstrations_per_prompt = 0
    world.project.save()
    assert "Nobody is asked to write here" in client.get(world.url("write", "slug")).text


def test_renew_puts_the_end_of_the_lease_off(world: World) -> None:
    held = WritingAssignment.objects.filter(uid=world.ids["writing"])
    before = held.get().expires_at
    assert _post(world, "write_renew", {}).status_code == 204
    assert held.get().expires_at > before
    held.update(state="expired")
    assert _post(world, "write_renew", {}, headers=PIECE).status_code == 409


def test_project_leads_to_the_writing_page_where_replies_are_wanted(world: World) -> None:
    address, url = world.url("write", "slug"), world.url("project_detail", "slug")
    for name in ("annotator", "manager", "owner"):
        page = world.client(name).get(url).text
        assert page.count(f'href="{address}"') == 2  # the button, and the row of links
        assert "3 left" in page
    assert address not in world.client("viewer").get(url).text
    world.project.demonstrations_per_prompt = 0
    world.project.save()
    assert address not in world.client("annotator").get(url).text


def test_manager_sees_who_wrote_a_demonstration_and_withdraws_it(world: World) -> None:
    address = world.url("demonstration_withdraw", "slug", "prompt", "written")
    url, writer = world.url("prompt_detail", "slug", "prompt"), world.actor("annotator")
    manager, viewer = world.client("manager").get(url).text, world.client("viewer").get(url).text
    for page in (manager, viewer):
        assert re.search(r"Written <strong[^>]*>before</strong>", page)
    assert writer.username in manager
    assert address in manager
    assert writer.username not in viewer
    assert address not in viewer
    client = world.client("manager")
    assert client.post(address)["Location"] == url
    page = client.get(url).text
    assert "The demonstration is withdrawn." in page
    assert address not in page
    assert Demonstration.objects.get(pk=world.ids["written"]).state == "withdrawn"


def _statements(world: World, url: str, actor: str, **kwargs: Any) -> int:
    client = world.client(actor)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url, **kwargs).status_code == 200
    return len(captured.captured_queries)


def test_pages_cost_a_fixed_number_of_statements(world: World) -> None:
    """However much was written before, and however many prompts wait."""
    write, prompt = world.url("write", "slug"), world.url("prompt_detail", "slug", "prompt")

    def cost() -> list[int]:
        page = _statements(world, write, "annotator")
        piece = _statements(world, write, "annotator", headers=PIECE)
        return [page, piece, _statements(world, prompt, "manager")]

    before = cost()
    skip_writing(
        actor=world.actor("annotator"), assignment_uid=world.ids["writing"], reason="other"
    )
    make_prompts(world.project, 5, candidates=0)
    for _ in range(4):
        write_one(world)
    world.client("annotator").get(write)  # claims, which costs statements of its own
    assert cost() == before
    assert max(before) <= 20
