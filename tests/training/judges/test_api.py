"""AI judges over the API: who may, what is said, and what is wrong by its field."""

import pytest
from rest_framework.test import APIClient

from tests.factories import ACTORS, owner_of, seven_actors
from tests.training.factories import make_model
from tests.training.judges.factories import make_demo_project, make_judge
from training import tasks
from training.judges.models import Judge
from training.models import TrainingRun

pytestmark = pytest.mark.django_db
READS = (401, 404, 403, 200, 200, 200, 200)


@pytest.fixture(autouse=True)
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    rung: list[int] = []
    monkeypatch.setattr(tasks.train, "apply_async", lambda args, expires: rung.append(*args))
    return rung


def client_of(user) -> APIClient:
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


def address(project, path: str = "") -> str:
    return f"/api/v1/projects/{project.slug}/judges/{path}"


DEEDS: list[tuple[str, str, dict[str, object] | None, tuple[int, ...]]] = [
    ("judges/", "get", None, READS),
    ("judges/{uid}/", "get", None, READS),
    ("judges/", "post", {}, (401, 404, 403, 403, 403, 422, 422)),
    ("judges/{uid}/ask/", "post", {}, (401, 404, 403, 403, 403, 422, 422)),
    ("judges/{uid}/retire/", "post", {}, (401, 404, 403, 403, 403, 200, 200)),
]
ADDRESSES = {path for path, *_ in DEEDS}


@pytest.mark.parametrize(("path", "method", "body", "expected"), DEEDS)
def test_each_of_the_seven(path, method, body, expected):
    project = make_demo_project(1)
    judge = make_judge(project, source="gold")
    found = []
    for user in seven_actors(project).values():
        Judge.objects.update(is_archived=False)
        url = f"/api/v1/projects/{project.slug}/{path.format(uid=judge.uid)}"
        found.append(getattr(client_of(user), method)(url, body, format="json").status_code)
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_a_judge_is_made_asked_and_read(bell, django_capture_on_commit_callbacks):
    project = make_demo_project(3)
    client = client_of(owner_of(project))
    body = {"name": "gold", "source": "gold", "preset": "tiny-cpu", "config": {"tie_margin": 0.1}}
    made = client.post(address(project), body, format="json")
    assert made.status_code == 201, made.json()
    said = made.json()
    assert (said["version"], said["style"], said["model"]) == (1, "pairwise", None)
    assert (said["config"]["tie_margin"], said["bias"]) == (0.1, None)
    with django_capture_on_commit_callbacks(execute=True):
        asked = client.post(
            address(project, f"{said['uid']}/ask/"), {"which": "waiting", "limit": 2}, format="json"
        )
    assert asked.status_code == 201, asked.json()
    assert asked.json() == {
        "run": str(TrainingRun.objects.get().uid),
        "state": "succeeded",
        "comparisons": 2,
        "judgements_made": 2,
        "surplus_made": 0,
        "left_out": {},
    }
    assert bell == [TrainingRun.objects.get().pk]
    read = client.get(address(project, f"{said['uid']}/")).json()
    assert (read["judgements"], len(read["judgings"])) == (2, 1)
    assert client.get(address(project)).json()["count"] == 1


def test_what_is_wrong_is_named_by_field():
    project = make_demo_project(1)
    client = client_of(owner_of(project))
    none = client.post(address(project), {"name": "a", "model": 0}, format="json")
    assert (none.status_code, set(none.json()["errors"])) == (422, {"model"})
    reward = make_model(project, "reward")
    kind = client.post(address(project), {"name": "a", "model": reward.pk}, format="json")
    assert set(kind.json()["errors"]) == {"model"}
    judge = make_judge(project, source="gold")
    which = client.post(address(project, f"{judge.uid}/ask/"), {"which": "all"}, format="json")
    assert set(which.json()["errors"]) == {"which"}
