"""Prompts listed, and imported in three ways with one report."""

import io
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks
from rest_framework.test import APIClient

from labeling.models import Annotator, Candidate, Comparison, ImportBatch, Project, Prompt
from labeling.services.imports import run_import
from labeling.services.projects import ensure_tags
from tests.factories import make_member, make_project, make_prompt
from tests.labeling.api.conftest import ClientFor

pytestmark = pytest.mark.django_db

ROWS = [
    {"prompt": "Q1", "responses": ["a", "b"], "tags": ["x"]},
    {"prompt": "Q2", "ranked_responses": [{"text": "a", "rank": 0}, {"text": "b", "rank": 1}]},
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def project() -> Project:
    """Return a project of pairs."""
    return make_project(candidates_per_comparison=2)


@pytest.fixture
def client(client_for: ClientFor, project: Project) -> APIClient:
    """Return a manager's client."""
    return client_for(make_member(project, "manager"))


def _send(client: APIClient, project: Project, way: str, query: str = "") -> Any:
    url = f"/api/v1/projects/{project.slug}/imports/{query}"
    if way == "json":
        return client.post(url, data={"rows": ROWS}, format="json")
    if way == "multipart":
        return client.post(url, data={"file": SimpleUploadedFile("two.jsonl", LINES.encode())})
    return client.generic("POST", url, LINES, content_type="application/x-ndjson")


@pytest.mark.parametrize(
    ("way", "name"),
    [("json", "api.jsonl"), ("multipart", "two.jsonl"), ("ndjson", "api.jsonl")],
)
def test_an_import_is_queued_and_told(
    client: APIClient,
    project: Project,
    way: str,
    name: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        answer = _send(client, project, way, "?source_name=panel")
    assert answer.status_code == 202
    assert len(callbacks) == 1  # the bell, rung only once the row is there to be found
    assert answer.json()["state"] == "queued"
    batch = ImportBatch.objects.get(uid=answer.json()["uid"])
    run_import(batch_id=batch.pk)
    told = client.get(answer.headers["Location"]).json()
    assert (told["state"], told["file_name"]) == ("succeeded", name)
    assert told["report"]["taken"] == 2
    assert told["report"]["comparisons"] == told["report"]["judgements"] == 1
    assert "path" not in told
    assert Annotator.objects.get(kind="imported").name == "panel"


def test_a_refused_import_names_line_and_field(client: APIClient, project: Project) -> None:
    url = f"/api/v1/projects/{project.slug}/imports/"
    sent = client.generic("POST", url, LINES + "{}\n", content_type="application/x-ndjson")
    run_import(batch_id=ImportBatch.objects.get().pk)
    report = client.get(sent.headers["Location"]).json()["report"]
    assert report["refused"] == [{"line": 3, "field": "prompt", "reason": "is missing."}]
    assert not Prompt.objects.exists()


def test_an_import_too_large_is_refused_at_once(
    client: APIClient, project: Project, settings: Any
) -> None:
    settings.MAX_IMPORT_BYTES = len(LINES) - 1
    answer = _send(client, project, "ndjson")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["file"])
    assert not ImportBatch.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "rows"), ({"rows": []}, "rows"), ({"rows": ["a"]}, "rows[0][0]"), ({"row": []}, "row")],
)
def test_a_body_without_rows_is_refused(
    client: APIClient, project: Project, body: dict[str, Any], field: str
) -> None:
    url = f"/api/v1/projects/{project.slug}/imports/"
    answer = client.post(url, data=body, format="json")
    assert answer.status_code == 422
    assert any(name.startswith(field.split("[")[0]) for name in answer.json()["errors"])


def test_an_upload_without_a_file_under_its_name_is_refused(
    client: APIClient, project: Project
) -> None:
    url = f"/api/v1/projects/{project.slug}/imports/"
    answer = client.post(url, data={"upload": io.BytesIO(LINES.encode())})
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {"upload"}


def test_another_content_type_is_415_in_the_one_shape(client: APIClient, project: Project) -> None:
    url = f"/api/v1/projects/{project.slug}/imports/"
    answer = client.generic("POST", url, "a,b", content_type="text/csv")
    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_media_type"


def test_prompts_come_in_pages_in_a_stable_order(client: APIClient, project: Project) -> None:
    made = [make_prompt(project, candidates=n % 3).pk for n in range(5)]
    url = f"/api/v1/projects/{project.slug}/prompts/?page_size=2"
    found: list[dict[str, Any]] = []
    while url:
        page = client.get(url).json()
        assert page["count"] == 5
        found += page["results"]
        url = page["next"]
    assert [row["id"] for row in found] == made
    assert [row["candidates"] for row in found] == [0, 1, 2, 0, 1]
    assert found[0]["messages"][0]["role"] == "user"


def test_prompts_with_a_candidate_that_names_its_maker(client: APIClient, project: Project) -> None:
    make_prompt(project)
    given_away = make_prompt(project, candidates=2)
    Candidate.objects.filter(pk=given_away.candidates.all()[0].pk).update(names_its_maker=True)
    url = f"/api/v1/projects/{project.slug}/prompts/"
    assert [row["flagged"] for row in client.get(url).json()["results"]] == [0, 1]
    found = client.get(url, {"flagged": "true"}).json()["results"]
    assert [row["id"] for row in found] == [given_away.pk]


def test_prompts_by_tag_and_state(client: APIClient, project: Project) -> None:
    tagged, plain = make_prompt(project), make_prompt(project, author="someone")
    tagged.tags.set(ensure_tags(project=project, names=["x", "y"]).values())
    Prompt.objects.filter(pk=plain.pk).update(state="withdrawn")

    def ids(query: str) -> list[int]:
        url = f"/api/v1/projects/{project.slug}/prompts/?{query}"
        return [row["id"] for row in client.get(url).json()["results"]]

    assert ids("tag=x") == [tagged.pk]
    assert ids("tag=z") == []
    assert ids("state=withdrawn") == [plain.pk]
    assert ids("tag=x&state=withdrawn") == []
    assert ids("") == [tagged.pk, plain.pk]


@pytest.mark.parametrize(
    ("query", "status"),
    [("state=gone", 422), ("colour=red", 422), ("tag=%00", 422), ("page=9", 404)],
)
def test_a_query_that_means_nothing_is_refused(
    client: APIClient, project: Project, query: str, status: int
) -> None:
    answer = client.get(f"/api/v1/projects/{project.slug}/prompts/?{query}")
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message", "errors"}


def test_the_list_takes_as_many_queries_for_many_rows_as_for_one(
    client: APIClient, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    url = f"/api/v1/projects/{project.slug}/prompts/"
    tags = ensure_tags(project=project, names=["x", "y"])
    make_prompt(project).tags.set(tags.values())
    with django_assert_num_queries(5):  # project, role, count, prompts, tags
        client.get(url)
    for _ in range(10):
        make_prompt(project).tags.set(tags.values())
    with django_assert_num_queries(5):
        assert len(client.get(url).json()["results"]) == 11
    assert not Comparison.objects.exists()
