"""One's own judgements over the API: read back in the fields in which they are given, revised."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from labeling.models import Demonstration, FlagSet, Judgement, Project
from tests.factories import make_comparison, make_member, make_project, owner_of
from tests.labeling.api.conftest import ClientFor

pytestmark = pytest.mark.django_db

SAID: dict[str, Any] = {
    "tiers": [[2], [1], [0]],
    "strength": 2,
    "confidence": 3,
    "comment": "Both miss the point.",
    "ratings": {
        "0": {"quality": 2, "flags": ["hallucination"]},
        "1": {"quality": 3, "flags": []},
    },
    "own_text": "    code first\n\nThen words.",
}


@pytest.fixture
def project() -> Project:
    """Return a project that asks for everything, with two comparisons of two."""
    project = make_project(
        strength_scale=3, asks_ratings=True, asks_confidence=True, asks_demonstrations=True
    )
    for _ in range(2):
        make_comparison(project, k=2)
    return project


@pytest.fixture
def client(client_for: ClientFor, project: Project) -> APIClient:
    """Return an annotator's client."""
    return client_for(make_member(project))


def _judged(client: APIClient, project: Project, body: dict[str, Any]) -> Any:
    card = client.post(f"/api/v1/projects/{project.slug}/assignments/next/").json()
    return client.post(
        f"/api/v1/assignments/{card['assignment']}/judgement/",
        data=body,
        format="json",
        headers={"Idempotency-Key": card["assignment"]},
    )


def _last(client: APIClient, project: Project, back: int = 1) -> Any:
    return client.get(f"/api/v1/projects/{project.slug}/own-judgements/{back}/")


def _revise(client: APIClient, uid: str, body: dict[str, Any]) -> Any:
    url = f"/api/v1/judgements/{uid}/revision/"
    return client.post(url, data=body, format="json", headers={"Idempotency-Key": f"r {uid}"})


def test_card_says_what_is_asked(client: APIClient, project: Project) -> None:
    card = client.post(f"/api/v1/projects/{project.slug}/assignments/next/").json()
    flags = card["asked"].pop("flags")
    assert card["asked"] == {
        "strength_scale": 3,
        "ratings": True,
        "confidence": True,
        "demonstrations": True,
    }
    assert flags[1] == {"key": "hallucination", "label": "Hallucination"}


def test_what_is_given_is_what_is_read_back(client: APIClient, project: Project) -> None:
    answer = _judged(client, project, SAID)
    assert answer.status_code == 200, answer.json()
    found = _last(client, project).json()
    nothing = {"verdict": "ranked", "unrankable_reason": ""}
    assert found["said"] == SAID | nothing
    assert found["judgement"] == answer.json()["judgement"]["uid"]
    assert found["has_older"] is False
    assert [c["position"] for c in found["card"]["candidates"]] == [0, 1]
    assert "model-" not in str(found)
    assert Demonstration.objects.get().messages[0]["content"][0]["text"] == SAID["own_text"]


def test_what_the_project_asks_may_be_left_out(client: APIClient, project: Project) -> None:
    assert _judged(client, project, {"tiers": [[0], [1]]}).status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"strength": 4}, "strength"),
        ({"strength": 5}, "strength"),
        ({"confidence": 4}, "confidence"),
        ({"tiers": [[2], [0, 1]]}, "strength"),
        ({"tiers": [[0], [1]]}, "tiers"),
        ({"tiers": [[3], [0], [1]]}, "tiers"),
        ({"own_text": ""}, "tiers"),
        ({"own_text": "a\x00"}, "own_text"),
        ({"ratings": {"0": {"flags": ["wordy"]}}}, "ratings.0.flags"),
        ({"ratings": {"0": {"quality": 8}}}, "ratings.0.quality"),
    ],
)
def test_what_can_not_be_taken_is_refused_by_field(
    client: APIClient, project: Project, change: dict[str, Any], field: str
) -> None:
    answer = _judged(client, project, SAID | change)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]
    assert not Judgement.objects.exists()


def test_revision_takes_the_place_of_the_old(client: APIClient, project: Project) -> None:
    uid = _judged(client, project, SAID).json()["judgement"]["uid"]
    said = {"verdict": "unrankable", "unrankable_reason": "No question in it."}
    for _ in range(2):
        answer = _revise(client, uid, said)
        assert answer.status_code == 200
    new = Judgement.objects.get(supersedes__uid=uid)
    assert answer.json()["uid"] == str(new.uid)
    assert new.origin == "api"
    found = _last(client, project).json()
    assert found["judgement"] == str(new.uid)
    assert (found["said"]["tiers"], found["said"]["own_text"]) == ([], "")
    assert _last(client, project, 2).status_code == 404
    again = _revise(client, uid, {"tiers": [[0], [1]]})
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_conflict")


def test_revision_needs_a_key_and_known_fields(client: APIClient, project: Project) -> None:
    uid = _judged(client, project, SAID).json()["judgement"]["uid"]
    url = f"/api/v1/judgements/{uid}/revision/"
    assert client.post(url, data=SAID, format="json").status_code == 422
    answer = _revise(client, uid, SAID | {"next": True})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["next"])


def test_flag_sets_are_published_and_listed_newest_first(
    client_for: ClientFor, project: Project
) -> None:
    client = client_for(owner_of(project))
    url = f"/api/v1/projects/{project.slug}/flag-sets/"
    flags = [{"key": "rude", "label": "Rude"}]
    made = client.post(url, data={"flags": flags}, format="json")
    assert (made.status_code, made.json()["version"]) == (201, 2)
    listed = client.get(url).json()["results"]
    assert [row["version"] for row in listed] == [2, 1]
    assert listed[0]["flags"] == flags
    refused = client.post(url, data={"flags": [{"key": "Rude!", "label": "R"}]}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["flags"])
    assert FlagSet.objects.filter(project=project).count() == 2
