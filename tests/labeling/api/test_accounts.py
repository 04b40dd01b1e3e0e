"""Tokens, sessions, and who is signed in."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from tests.factories import PASSWORD, make_comparison, make_member, make_project, make_user

pytestmark = pytest.mark.django_db

LOGIN = {"username": "ada", "password": PASSWORD}


@pytest.fixture(autouse=True)
def fresh_throttle() -> Iterator[None]:
    """Forget who asked for tokens before."""
    cache.clear()
    yield
    cache.clear()


def test_a_token_signs_in() -> None:
    user = make_user("ada", time_zone="Asia/Tokyo")
    token = APIClient().post("/api/v1/token/", data=LOGIN, format="json").json()["token"]
    client = APIClient(headers={"Authorization": f"Token {token}"})
    assert client.get("/api/v1/me/").json() == {
        "username": user.username,
        "email": "",
        "time_zone": "Asia/Tokyo",
        "language": "",
        "is_site_admin": False,
    }


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"username": "eve"}, {"password": ""}])
def test_a_wrong_login_is_refused(change: dict[str, str]) -> None:
    make_user("ada")
    answer = APIClient().post("/api/v1/token/", data=LOGIN | change, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_an_account_out_of_use_gets_no_token_and_keeps_none() -> None:
    user = make_user("ada")
    token = APIClient().post("/api/v1/token/", data=LOGIN, format="json").json()["token"]
    user.is_active = False
    user.save()
    assert APIClient().post("/api/v1/token/", data=LOGIN, format="json").status_code == 422
    client = APIClient(headers={"Authorization": f"Token {token}"})
    answer = client.get("/api/v1/me/")
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


def test_guessing_is_slowed() -> None:
    statuses = [APIClient().post("/api/v1/token/", format="json").status_code for _ in range(61)]
    assert statuses == [422] * 60 + [429]


def test_a_session_reads_and_needs_the_csrf_token_to_write() -> None:
    project = make_project()
    make_comparison(project)
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(make_member(project))
    url = f"/api/v1/projects/{project.slug}/assignments/next/"
    assert client.get("/api/v1/me/").status_code == 200
    refused = client.post(url)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    client.cookies["csrftoken"] = "a" * 32
    assert client.post(url, headers={"X-CSRFToken": "a" * 32}).status_code == 200


def test_a_signed_in_time_zone_does_not_leak_into_the_next_request() -> None:
    """Two askers in one thread, Tokyo first: the second one's moments are in UTC."""
    project = make_project()
    make_comparison(project, overlap=2)
    ends = []
    for zone in ("Asia/Tokyo", "UTC"):
        user = make_member(project)
        user.time_zone = zone
        user.save()
        client = APIClient()
        client.force_authenticate(user)
        card = client.post(f"/api/v1/projects/{project.slug}/assignments/next/").json()
        ends.append(card["expires_at"][-6:])
    assert ends[0] == "+09:00"
    assert ends[1].endswith("Z")
