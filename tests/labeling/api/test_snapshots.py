"""Snapshots frozen and read; exports asked for, polled, downloaded."""

import hashlib
import json
from pathlib import Path

import pytest
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks
from rest_framework.test import APIClient

from labeling.models import Export, Project
from labeling.services.assignments import claim_next
from labeling.services.exports import write_export
from labeling.services.judgements import Submission, submit_judgement
from tests.factories import make_comparison, make_member, make_project, owner_of
from tests.labeling.api.conftest import ClientFor

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    """Return a project with one judged comparison."""
    project = make_project()
    make_comparison(project, k=3)
    annotator = make_member(project)
    card = claim_next(actor=annotator, project=project)
    assert card is not None
    submit_judgement(
        actor=annotator,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[0], [1, 2]], touched=True),
        idempotency_key="k",
    )
    return project


@pytest.fixture
def client(client_for: ClientFor, project: Project) -> APIClient:
    """Return the owner's client."""
    return client_for(owner_of(project))


def _freeze(client: APIClient, project: Project) -> int:
    url = f"/api/v1/projects/{project.slug}/snapshots/"
    return int(client.post(url, data={"note": "n"}, format="json").json()["id"])


def test_freeze_and_read(client: APIClient, project: Project) -> None:
    url = f"/api/v1/projects/{project.slug}/snapshots/"
    answer = client.post(url, data={"note": "first"}, format="json")
    assert answer.status_code == 201
    read = client.get(answer.headers["Location"]).json()
    assert read == answer.json()
    assert (read["number"], read["note"], read["kind"]) == (1, "first", "preferences")
    assert (read["counts"]["pairs"], read["counts"]["ties"]) == (2, 1)
    assert len(read["sha256"]) == 64


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "moods"}, 422, "invalid_input"),
        ({"annotator_kinds": ["robot"]}, 422, "invalid_input"),
        ({"tag": ["x"]}, 422, "invalid_input"),
        ({"tags": ["nothing has it"]}, 422, "nothing_to_freeze"),
        ({"kind": "demonstrations"}, 422, "nothing_to_freeze"),
    ],
)
def test_a_freeze_that_can_not_be_is_told(
    client: APIClient, project: Project, body: dict[str, object], status: int, code: str
) -> None:
    answer = client.post(f"/api/v1/projects/{project.slug}/snapshots/", data=body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_an_export_is_queued_written_and_downloaded(
    client: APIClient,
    project: Project,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    url = f"/api/v1/snapshots/{_freeze(client, project)}/exports/"
    with django_capture_on_commit_callbacks() as callbacks:
        answer = client.post(url, data={"format": "trl_preference"}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert len(callbacks) == 1
    location = answer.headers["Location"]
    early = client.get(f"{location}download/")
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    write_export(export_id=Export.objects.get(uid=answer.json()["uid"]).pk)
    read = client.get(location).json()
    assert (read["state"], read["rows"], read["error"]) == ("ready", 2, "")
    assert "path" not in read
    download = client.get(f"{location}download/")
    content = b"".join(download.streaming_content)  # type: ignore[attr-defined]
    assert hashlib.sha256(content).hexdigest() == read["sha256"]
    assert len([json.loads(line) for line in content.splitlines()]) == 2
    assert "attachment" in download.headers["Content-Disposition"]
    assert client.get(url).json()["results"] == [read]


def test_a_file_that_is_gone_is_told(client: APIClient, project: Project) -> None:
    url = f"/api/v1/snapshots/{_freeze(client, project)}/exports/"
    location = client.post(url, data={"format": "kway"}, format="json").headers["Location"]
    export = write_export(export_id=Export.objects.get().pk)
    Path(export.path).unlink()
    answer = client.get(f"{location}download/")
    assert (answer.status_code, answer.json()["message"]) == (
        409,
        "There is no file yet: the export is gone.",
    )


def test_a_failed_export_says_why(client: APIClient, project: Project) -> None:
    url = f"/api/v1/snapshots/{_freeze(client, project)}/exports/"
    location = client.post(url, data={"format": "kway"}, format="json").headers["Location"]
    Export.objects.update(state="failed", error="The disk is full.")
    assert client.get(f"{location}download/").json()["message"] == "The disk is full."


def test_the_lists_take_no_more_queries_for_more_rows(
    client: APIClient, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    snapshots = f"/api/v1/projects/{project.slug}/snapshots/"
    exports = f"/api/v1/snapshots/{_freeze(client, project)}/exports/"
    for more in (1, 4):
        for _ in range(more):
            _freeze(client, project)
            client.post(exports, data={"format": "kway"}, format="json")
        with django_assert_num_queries(4):  # project, role, count, snapshots
            client.get(snapshots)
        with django_assert_num_queries(4):  # snapshot with project, role, count, exports
            client.get(exports)
