"""Judging over the API: claim, submit once, skip, renew."""

import json
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from labeling.models import Candidate, Comparison, Judgement, PreferencePair, Project, User
from tests.factories import make_comparison, make_member, make_project
from tests.labeling.api.conftest import ClientFor

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    """Return a project without comparisons."""
    return make_project()


@pytest.fixture
def annotator(project: Project) -> User:
    """Return an annotator in Tokyo."""
    user = make_member(project)
    user.time_zone = "Asia/Tokyo"
    user.save()
    return user


@pytest.fixture
def client(client_for: ClientFor, annotator: User) -> APIClient:
    """Return the annotator's client."""
    return client_for(annotator)


def _next(client: APIClient, project: Project) -> Any:
    return client.post(f"/api/v1/projects/{project.slug}/assignments/next/")


def _judge(client: APIClient, uid: str, body: dict[str, Any], key: str = "k1") -> Any:
    url = f"/api/v1/assignments/{uid}/judgement/"
    return client.post(url, data=body, format="json", headers={"Idempotency-Key": key})


def test_a_card_names_candidates_by_position_alone(client: APIClient, project: Project) -> None:
    comparison = make_comparison(project, k=3)
    card = _next(client, project).json()
    assert set(card) == {
        "assignment",
        "messages",
        "candidates",
        "expires_at",
        "guideline_version",
        "done_today",
        "asked",
    }
    assert [c["position"] for c in card["candidates"]] == [0, 1, 2]
    assert {tuple(sorted(c)) for c in card["candidates"]} == {("html", "position", "text")}
    assert set(card["messages"][0]) == {"role", "text", "html"}
    texts = {c["text"] for c in card["candidates"]}
    assert texts == {row.messages[0]["content"][0]["text"] for row in comparison.candidates.all()}
    assert "model-" not in json.dumps(card)
    assert card["guideline_version"] == 1


def test_a_lease_is_given_again_until_it_is_judged(client: APIClient, project: Project) -> None:
    make_comparison(project, k=2)
    make_comparison(project, k=2)
    first, again = _next(client, project).json(), _next(client, project).json()
    assert first["assignment"] == again["assignment"]
    assert [c["text"] for c in first["candidates"]] == [c["text"] for c in again["candidates"]]


def test_nothing_left_is_204(client: APIClient, project: Project) -> None:
    answer = _next(client, project)
    assert (answer.status_code, answer.content) == (204, b"")


def test_tiers_are_positions_and_pairs_follow(client: APIClient, project: Project) -> None:
    """Positions [[2], [0, 1]] by text: 2 > 0, 2 > 1, 0 = 1, whatever the shuffle was."""
    make_comparison(project, k=3)
    card = _next(client, project).json()
    text = [c["text"] for c in card["candidates"]]
    answer = _judge(client, card["assignment"], {"tiers": [[2], [0, 1]], "active_ms": 900})
    assert answer.status_code == 200
    assert set(answer.json()["judgement"]) == {"uid", "verdict", "surplus", "created_at"}
    assert answer.json()["next"] is None
    judgement = Judgement.objects.get(uid=answer.json()["judgement"]["uid"])
    assert (judgement.origin, judgement.active_ms) == ("api", 900)

    def said(candidate: Candidate) -> str:
        return str(candidate.messages[0]["content"][0]["text"])

    pairs = PreferencePair.objects.filter(judgement=judgement)
    strict = {(said(p.chosen), said(p.rejected), p.rank_gap) for p in pairs if not p.is_tie}
    assert strict == {(text[2], text[0], 1), (text[2], text[1], 1)}
    ties = [{said(p.chosen), said(p.rejected)} for p in pairs if p.is_tie]
    assert ties == [{text[0], text[1]}]


def test_next_brings_the_following_card(client: APIClient, project: Project) -> None:
    first, second = make_comparison(project, k=2), make_comparison(project, k=2)
    card = _next(client, project).json()
    answer = _judge(client, card["assignment"], {"tiers": [[0], [1]], "next": True}).json()
    assert answer["next"]["assignment"] != card["assignment"]
    assert answer["next"]["done_today"] == 1
    last = _judge(client, answer["next"]["assignment"], {"tiers": [[0, 1]], "next": True}, "k2")
    assert last.json()["next"] is None
    assert last.json()["judgement"]["verdict"] == "tie"
    for comparison in (first, second):
        comparison.refresh_from_db()
        assert comparison.state == Comparison.State.CLOSED


def test_a_retry_stores_one_and_another_body_is_409(client: APIClient, project: Project) -> None:
    make_comparison(project, k=2)
    uid = _next(client, project).json()["assignment"]
    first = _judge(client, uid, {"tiers": [[0], [1]]})
    again = _judge(client, uid, {"tiers": [[0], [1]], "active_ms": 77})
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    other = _judge(client, uid, {"tiers": [[1], [0]]})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    late = _judge(client, uid, {"tiers": [[0], [1]]}, key="k2")
    assert (late.status_code, late.json()["code"]) == (409, "assignment_ended")
    assert Judgement.objects.count() == 1


@pytest.mark.parametrize("key", ["", " ", "k" * 81])
def test_a_key_is_needed(client: APIClient, project: Project, key: str) -> None:
    make_comparison(project, k=2)
    uid = _next(client, project).json()["assignment"]
    answer = _judge(client, uid, {"tiers": [[0], [1]]}, key)
    assert answer.status_code == 422
    assert answer.json()["errors"] == {"Idempotency-Key": ["Must be 1 to 80 characters."]}
    assert not Judgement.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tiers"),
        ({"tiers": []}, "tiers"),
        ({"tiers": [[0]]}, "tiers"),
        ({"tiers": [[0], [1], [2]]}, "tiers"),
        ({"tiers": [[0], [0], [1]]}, "tiers"),
        ({"tiers": [[0], []]}, "tiers"),
        ({"tiers": [[-1], [0]]}, "tiers[0][0]"),
        ({"tiers": "01"}, "tiers"),
        ({"tiers": [[0], ["b"]]}, "tiers[1][0]"),
        ({"teirs": [[0], [1]]}, "teirs"),
        ({"verdict": "fine"}, "verdict"),
        ({"verdict": "unrankable"}, "unrankable_reason"),
        ({"tiers": [[0], [1]], "strength": 10}, "strength"),
        ({"tiers": [[0], [1]], "comment": "a\x00"}, "comment"),
        ({"tiers": [[0], [1]], "active_ms": 2**31}, "active_ms"),
        ({"tiers": [[0], [1]], "ratings": {"5": {"quality": 1}}}, "ratings"),
        ({"tiers": [[0], [1]], "ratings": {"0": {"quality": 9}}}, "ratings.0.quality"),
        ({"tiers": [[0], [1]], "ratings": {"0": {"mood": 9}}}, "ratings.0.mood"),
    ],
)
def test_what_is_no_judgement_is_refused_by_field(
    client: APIClient, project: Project, body: dict[str, Any], field: str
) -> None:
    make_comparison(project, k=2)
    uid = _next(client, project).json()["assignment"]
    answer = _judge(client, uid, body)
    assert answer.status_code == 422
    assert field in answer.json()["errors"], answer.json()
    assert not Judgement.objects.exists()


def test_ratings_and_verdicts_without_order_are_kept(client: APIClient, project: Project) -> None:
    make_comparison(project, k=2)
    uid = _next(client, project).json()["assignment"]
    body = {"verdict": "both_bad", "ratings": {"1": {"quality": 2, "flags": ["hallucination"]}}}
    assert _judge(client, uid, body).status_code == 200
    judgement = Judgement.objects.get()
    slot = str(judgement.shown_order[1])
    assert judgement.ratings == {slot: {"quality": 2, "flags": ["hallucination"]}}
    assert (judgement.verdict, judgement.tiers) == ("both_bad", [])


def test_a_skipped_comparison_does_not_come_back(client: APIClient, project: Project) -> None:
    make_comparison(project, k=2)
    uid = _next(client, project).json()["assignment"]
    url = f"/api/v1/assignments/{uid}/skip/"
    refused = client.post(url, data={"reason": " "}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["reason"])
    assert client.post(url, data={"reason": "off topic"}, format="json").status_code == 204
    assert _next(client, project).status_code == 204
    late = _judge(client, uid, {"tiers": [[0], [1]]})
    assert (late.status_code, late.json()["code"]) == (409, "assignment_ended")


def test_renew_puts_off_the_end(client: APIClient, project: Project) -> None:
    make_comparison(project, k=2)
    card = _next(client, project).json()
    answer = client.post(f"/api/v1/assignments/{card['assignment']}/renew/")
    assert answer.status_code == 200
    assert answer.json()["expires_at"] > card["expires_at"]


def test_nobody_elses_next_card(client: APIClient) -> None:
    answer = _judge(client, str(uuid4()), {"tiers": [[0], [1]], "next": True})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_moments_are_told_in_the_askers_time_zone(client: APIClient, project: Project) -> None:
    make_comparison(project, k=2)
    assert _next(client, project).json()["expires_at"].endswith("+09:00")
