"""The pages of endpoints and their API: asked by each of seven, and walked by an admin."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from tests.factories import ACTORS, make_admin, make_project, seven_actors
from tests.openai_server import openai_server
from tests.training.endpoints.factories import KEY, make_endpoint, outside_model_of
from tests.training.factories import make_sampling_run
from tests.training.views.asking import client_of
from training.endpoints.models import Endpoint
from training.endpoints.selectors import key_of
from training.models import TrainingRun

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
FORM = {
    "name": "far",
    "base_url": "http://127.0.0.1:9/v1",
    "model_name": "tiny",
    "key": "",
    "key_variable": "",
    "concurrency": "4",
    "requests_per_minute": "0",
    "silence_s": "5",
    "answer_s": "10",
    "retries": "0",
    "allows_private": "on",
    "is_active": "on",
}
# Of the API: what tests/training/api/test_runs.py holds against all addresses there are.
ADDRESSES = {"endpoints/", "endpoints/1/", "endpoints/1/test/", "endpoints/1/offer/"}
SEES = (302, 403, 403, 403, 403, 403, 200)
SENDS = (302, 403, 403, 403, 403, 403, 302)
FAULTY = (302, 403, 403, 403, 403, 403, 422)


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("endpoint_list", "get", SEES),
        ("endpoint_new", "get", SEES),
        ("endpoint_new", "post", FAULTY),
        ("endpoint_detail", "get", SEES),
        ("endpoint_detail", "post", FAULTY),
        ("endpoint_test", "post", SENDS),
        ("endpoint_offer", "post", FAULTY),
    ],
)
def test_pages_answer_each_of_the_seven(name: str, method: str, expected: tuple[int, ...]):
    project = make_project()
    endpoint = make_endpoint(project=project)
    parts = [] if name in {"endpoint_list", "endpoint_new"} else [endpoint.pk]
    url = reverse(f"training:{name}", args=parts)
    found = [
        getattr(client_of(user), method)(url).status_code for user in seven_actors(project).values()
    ]
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "method", "admin"),
    [
        ("endpoints", "get", 200),
        ("endpoints", "post", 422),
        ("endpoint", "get", 200),
        ("endpoint", "patch", 200),
        ("endpoint_test", "post", 200),
        ("endpoint_offer", "post", 422),
    ],
)
def test_the_api_answers_each_of_the_seven(name: str, method: str, admin: int):
    project = make_project()
    endpoint = make_endpoint(project=project)
    url = reverse(f"training_api:{name}", args=[] if name == "endpoints" else [endpoint.pk])
    found = []
    for user in seven_actors(project).values():
        client = APIClient()
        if user is not None:
            client.force_authenticate(user)
        found.append(getattr(client, method)(url, {}, format="json").status_code)
    assert found == [401, *[403] * 5, admin]


def test_an_admin_names_tests_and_offers_one():
    project = make_project()
    client = client_of(make_admin())
    with openai_server(key=KEY) as server:
        given = {**FORM, "base_url": server.url, "key": KEY}
        made = client.post(reverse("training:endpoint_new"), given)
        endpoint = Endpoint.objects.get()
        here = reverse("training:endpoint_detail", args=[endpoint.pk])
        assert made["Location"] == here
        assert key_of(endpoint) == KEY
        page = client.get(here).content.decode()
        assert "not tested" in page
        assert "A key is stored" in page
        assert KEY not in page
        assert endpoint.key_cipher not in page
        url = reverse("training:endpoint_test", args=[endpoint.pk])
        piece = client.post(url, headers=HTMX).content.decode()
        assert ">answers</span>" in piece
        assert "<html" not in piece
    piece = client.post(url, headers=HTMX).content.decode()
    assert "Nobody answers" in piece
    offer = reverse("training:endpoint_offer", args=[endpoint.pk])
    piece = client.post(offer, {"project": project.slug}, headers=HTMX).content.decode()
    assert "far v1" in piece
    model = outside_model_of(endpoint)
    shown = client.get(reverse("training:model_detail", args=[project.slug, model.pk]))
    page = shown.content.decode()
    assert "Sample and queue" in page
    assert "Train on from here" not in page
    assert (
        "far v1" in client.get(reverse("training:model_list", args=[project.slug])).content.decode()
    )
    assert "does not answer" in client.get(reverse("training:endpoint_list")).content.decode()


def test_a_form_that_can_not_be_taken_shows_no_key_again():
    client = client_of(make_admin())
    given = {**FORM, "base_url": "https://10.0.0.1/v1", "allows_private": "", "key": KEY}
    answer = client.post(reverse("training:endpoint_new"), given, headers=HTMX)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "within this machine" in page
    assert KEY not in page


def test_the_key_stays_is_changed_and_is_forgotten():
    endpoint = make_endpoint(key=KEY)
    client = client_of(make_admin())
    here = reverse("training:endpoint_detail", args=[endpoint.pk])
    for sent, expected in (
        ({}, KEY),
        ({"key": "sk-new"}, "sk-new"),
        ({"forget_key": "on"}, ""),
    ):
        assert client.post(here, {**FORM, **sent}).status_code == 302
        endpoint.refresh_from_db()
        assert key_of(endpoint) == expected


def test_a_hostile_name_is_only_text():
    make_endpoint(name="<script>alert(1)</script>")
    page = client_of(make_admin()).get(reverse("training:endpoint_list")).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_api_takes_a_key_and_gives_none():
    project = make_project()
    client = APIClient()
    client.force_authenticate(make_admin())
    body = {
        "name": "far",
        "base_url": "http://127.0.0.1:9/v1",
        "model_name": "tiny",
        "allows_private": True,
        "key": KEY,
        "project": project.slug,
        "retries": 0,
    }
    made = client.post("/api/v1/endpoints/", body, format="json")
    assert made.status_code == 201
    assert made.json()["has_stored_key"] is True
    assert KEY not in made.content.decode()
    here = f"/api/v1/endpoints/{made.json()['id']}/"
    assert client.patch(here, {"retries": 2}, format="json").json()["retries"] == 2
    endpoint = Endpoint.objects.get()
    assert key_of(endpoint) == KEY
    refused = client.patch(here, {"base_url": "http://127.0.0.1:10/v1"}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["key"])
    assert "Nobody answers" in client.post(f"{here}test/", format="json").json()["problem"]
    offered = client.post(f"{here}offer/", {"project": project.slug}, format="json")
    assert offered.json()["kind"] == "outside"
    assert client.post(f"{here}offer/", {"project": "nowhere"}, format="json").status_code == 422
    assert client.get("/api/v1/endpoints/999999/").status_code == 404
    assert len(client.get("/api/v1/endpoints/").json()["results"]) == 1


def test_other_pages_show_the_way_to_admins_alone():
    project = make_project()
    shown = [
        reverse("training:endpoint_list")
        in client_of(user).get(reverse("labeling:project_list")).content.decode()
        for user in seven_actors(project).values()
        if user is not None
    ]
    assert shown == [False] * 5 + [True]


def test_a_sampling_run_tells_what_it_asked_for():
    project = make_project()
    endpoint = make_endpoint(project=project)
    run = make_sampling_run(project, model=outside_model_of(endpoint))
    told = {"prompt_tokens": 12345, "completion_tokens": 678.0, "redrawn": 3, "empty": 1}
    TrainingRun.objects.filter(pk=run.pk).update(
        state="succeeded", result={"metrics": {**told, "cut": 2, "repeated": 0}}
    )
    url = reverse("training:run_detail", args=[project.slug, run.uid])
    page = client_of(make_admin()).get(url).content.decode()
    assert "12,345 tokens read and 678 written" in page
    assert "Drawn again: 3; empty: 1; cut: 2; still repeated: 0." in page
