"""Constitutions over the API: every address as each of seven, then what the answers say."""

from typing import Any

import pytest

from tests.factories import ACTORS, make_project, owner_of, seven_actors
from tests.training.api.conftest import bell, client_for  # noqa: F401
from tests.training.constitutions.written import TEXT, make_revising_run, take_some
from training.constitutions.models import Constitution
from training.models import TrainingRun

pytestmark = pytest.mark.django_db
READERS = (401, 404, 403, 200, 200, 200, 200)
MANAGERS = (401, 404, 403, 403, 201, 201, 201)
OWNERS = (401, 404, 403, 403, 403, 201, 201)

# Method, address under /api/v1/projects/<slug>/, body, and what each of the seven gets.
DEEDS = [
    ("get", "constitutions/", None, READERS),
    ("post", "constitutions/", {"text": TEXT}, MANAGERS),
    ("get", "constitutions/<int:pk>/", None, READERS),
    ("get", "revising-runs/", None, READERS),
    ("post", "revising-runs/", {"constitution": "ours"}, OWNERS),
    ("get", "revising-runs/<uuid:uid>/chains/", None, READERS),
]
ADDRESSES = {path for _, path, _, _ in DEEDS}


@pytest.mark.parametrize(("method", "path", "body", "expected"), DEEDS)
def test_every_address_answers_each_of_the_seven(method, path, body, expected, client_for):  # noqa: F811
    project = make_project()
    run = take_some(make_revising_run(project))
    path = path.replace("<uuid:uid>", str(run.uid))
    path = path.replace("<int:pk>", str(run.revising.constitution.constitution_id))
    found = []
    for number, user in enumerate(seven_actors(project).values()):
        named = {"name": f"number {number}", "model": run.base_model_id}
        known = ("name",) if path == "constitutions/" else ("model",)
        said = {**body, **{key: named[key] for key in known}} if body else None
        url = f"/api/v1/projects/{project.slug}/{path}"
        response = getattr(client_for(user), method)(url, said, format="json")
        found.append(response.status_code)
        if response.status_code >= 400:
            assert set(response.json()) == {"code", "message", "errors"}
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_what_is_published_is_read_and_revised_by(
    client_for,  # noqa: F811
    bell,  # noqa: F811
    django_capture_on_commit_callbacks,
):
    project = make_project()
    client = client_for(owner_of(project))
    base = f"/api/v1/projects/{project.slug}"
    words = {"critique": "Why?", "revision": "Better.", "comparison": "Which?"}
    sent: dict[str, Any] = {"name": "ours", "principles": [{"key": "one", **words}]}
    made = client.post(f"{base}/constitutions/", sent, format="json").json()
    assert made["versions"][0]["principles"] == sent["principles"]
    sent["principles"].append({"key": "two", **words})
    made = client.post(f"{base}/constitutions/", sent, format="json").json()
    assert [version["number"] for version in made["versions"]] == [2, 1]
    assert client.get(f"{base}/constitutions/{made['id']}/").json() == made
    assert client.get(f"{base}/constitutions/").json()["results"] == [made]

    model = make_revising_run(project).base_model
    asked = {"model": model.pk, "constitution": "ours", "version": 1, "config": {"rounds": 2}}
    asked |= {"preset": "tiny-cpu"}
    with django_capture_on_commit_callbacks(execute=True):
        run = client.post(f"{base}/revising-runs/", asked, format="json").json()
    kept = TrainingRun.objects.get(uid=run["uid"])
    assert bell == [kept.pk]
    assert (kept.revising.constitution.number, kept.config["rounds"]) == (1, 2)
    take_some(kept)
    chains = client.get(f"{base}/revising-runs/{run['uid']}/chains/").json()["results"]
    assert [row["prompt"] for row in chains] == kept.revising.prompt_ids
    assert chains[0]["state"] == "active"
    assert chains[0]["chain"]["rounds"][0]["revision"]["text"] == "revision 0"


def test_what_is_wrong_is_told_by_field(client_for):  # noqa: F811
    project = make_project()
    client = client_for(owner_of(project))
    base = f"/api/v1/projects/{project.slug}"
    bad = {"name": "ours", "text": "principles:\n  - harm"}
    wrong = client.post(f"{base}/constitutions/", bad, format="json")
    assert (wrong.status_code, "Line 2" in wrong.json()["errors"]["text"][0]) == (422, True)
    empty = client.post(f"{base}/constitutions/", {"name": "ours"}, format="json").json()
    assert "at least one principle" in empty["errors"]["text"][0]
    run = make_revising_run(project)
    for said, field in (
        ({"model": 0}, "model"),
        ({"model": run.base_model_id, "constitution": "none"}, "constitution"),
        ({"model": run.base_model_id, "config": {"rounds": 0}}, "rounds"),
        ({"model": run.base_model_id, "tags": ["none"]}, "tags"),
    ):
        wrong = client.post(f"{base}/revising-runs/", said, format="json")
        assert (wrong.status_code, set(wrong.json()["errors"])) == (422, {field})
    missing = {"model": run.base_model_id, "constitution": "ours", "version": 7}
    assert client.post(f"{base}/revising-runs/", missing, format="json").status_code == 404
    assert [row.name for row in Constitution.objects.all()] == ["ours"]
