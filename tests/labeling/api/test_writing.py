"""Writing demonstrations over the API: claim, submit once, skip, renew."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from labeling.models import Demonstration, Project, Prompt
from tests.factories import make_member, make_project, make_prompts
from tests.labeling.api.conftest import ClientFor

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    """Return a project that wants one reply to each of two prompts."""
    project = make_project(demonstrations_per_prompt=1)
    make_prompts(project, 2, candidates=2)
    return project


@pytest.fixture
def client(client_for: ClientFor, project: Project) -> APIClient:
    """Return an annotator's client."""
    return client_for(make_member(project))


def _next(client: APIClient, project: Project) -> Any:
    return client.post(f"/api/v1/projects/{project.slug}/writing/next/")


def _submit(client: APIClient, uid: str, body: dict[str, Any], key: str = "k1") -> Any:
    url = f"/api/v1/writing/{uid}/demonstration/"
    return client.post(url, data=body, format="json", headers={"Idempotency-Key": key})


def test_a_card_holds_the_conversation_and_nobodys_reply(
    client: APIClient, project: Project
) -> None:
    card = _next(client, project).json()
    assert set(card) == {
        "assignment",
        "messages",
        "expires_at",
        "guideline_version",
        "draft",
        "done_today",
        "left",
    }
    asked = Prompt.objects.filter(project=project)[0].messages[0]["content"][0]["text"]
    assert [m["text"] for m in card["messages"]] == [asked]
    assert (card["left"], card["guideline_version"]) == (1, 1)
    assert "Reply" not in json.dumps(card)
    assert _next(client, project).json()["assignment"] == card["assignment"]


def test_a_reply_is_kept_and_the_next_prompt_comes_in_the_answer(
    client: APIClient, project: Project
) -> None:
    card = _next(client, project).json()
    body = {"text": "  indented\nreply\n", "active_ms": 900, "next": True}
    answer = _submit(client, card["assignment"], body).json()
    assert set(answer["demonstration"]) == {"assignment", "surplus", "created_at"}
    assert answer["next"]["assignment"] != card["assignment"]
    assert answer["next"]["done_today"] == 1
    written = Demonstration.objects.get()
    assert (written.origin, written.active_ms) == ("api", 900)
    assert written.messages[0]["content"][0]["text"] == "  indented\nreply"
    last = _submit(client, answer["next"]["assignment"], {"text": "b", "next": True}, "k2")
    assert last.json()["next"] is None
    assert _next(client, project).status_code == 204


def test_a_retry_stores_one_and_another_text_is_409(client: APIClient, project: Project) -> None:
    uid = _next(client, project).json()["assignment"]
    first, again = (_submit(client, uid, {"text": "A reply."}) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    other = _submit(client, uid, {"text": "Another."})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    late = _submit(client, uid, {"text": "A reply."}, key="k2")
    assert (late.status_code, late.json()["code"]) == (409, "assignment_ended")
    assert Demonstration.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "a\x00"}, "text"),
        ({"text": "a" * 200_001}, "text"),
        ({"txet": "A reply."}, "txet"),
        ({"text": "A reply.", "active_ms": -1}, "active_ms"),
        ({"text": "A reply.", "next": "maybe"}, "next"),
    ],
)
def test_what_is_no_reply_is_refused_by_field(
    client: APIClient, project: Project, body: dict[str, Any], field: str
) -> None:
    uid = _next(client, project).json()["assignment"]
    answer = _submit(client, uid, body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"], answer.json()
    assert not Demonstration.objects.exists()


@pytest.mark.parametrize("key", ["", " ", "k" * 81])
def test_a_key_is_needed(client: APIClient, project: Project, key: str) -> None:
    uid = _next(client, project).json()["assignment"]
    answer = _submit(client, uid, {"text": "A reply."}, key)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["Idempotency-Key"]


def test_a_skipped_prompt_does_not_come_back(client: APIClient, project: Project) -> None:
    uid = _next(client, project).json()["assignment"]
    url = f"/api/v1/writing/{uid}/skip/"
    assert client.post(url, data={"reason": " "}, format="json").status_code == 422
    assert client.post(url, data={"reason": "off topic"}, format="json").status_code == 204
    assert _next(client, project).json()["assignment"] != uid


def test_renew_puts_off_the_end(client: APIClient, project: Project) -> None:
    card = _next(client, project).json()
    answer = client.post(f"/api/v1/writing/{card['assignment']}/renew/")
    assert answer.status_code == 200
    assert answer.json()["expires_at"] > card["expires_at"]


def test_project_tells_what_it_asks(client: APIClient, project: Project) -> None:
    told = client.get(f"/api/v1/projects/{project.slug}/").json()["project"]
    assert (told["demonstrations_per_prompt"], told["demonstration_tag"]) == (1, "")
