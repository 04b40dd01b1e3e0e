"""What a run would leave out and take, over the API."""

from typing import Any

import pytest

from labeling.models import Project
from tests.factories import make_project, owner_of
from tests.training.api.conftest import ClientFor
from tests.training.factories import make_run
from tests.training.machines import TINY_WEIGHTS, write_machine, write_model
from training import tasks
from training.models import TrainingRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(monkeypatch):
    """Note who asks for a measurement, in place of a broker."""
    found: list[int] = []
    monkeypatch.setattr(tasks.measure_machine, "apply_async", lambda expires: found.append(1))
    return found


def planned(client_for: ClientFor, project: Project, run: TrainingRun, **more: Any) -> Any:
    assert run.snapshot
    assert run.base_model
    body = {"recipe": "dpo", "snapshot": run.snapshot.number, "base_model": run.base_model.pk}
    address = f"/api/v1/projects/{project.slug}/runs/plan/"
    return client_for(owner_of(project)).post(address, body | more, format="json")


def test_a_plan_says_both_and_starts_nothing(
    client_for, settings, tmp_path, asked, django_capture_on_commit_callbacks
):
    project = make_project()
    run = make_run(project)
    settings.MODEL_DIR = tmp_path
    write_machine(tmp_path)
    write_model(run.base_model.folder)
    with django_capture_on_commit_callbacks(execute=True):
        body = planned(client_for, project, run, config={"device": "cpu"}).json()
    assert body["preview"]["rows"] == 18
    assert body["preview"]["dropped"]["tie"] == 3
    found = body["forecast"]
    assert found["parameters"] == TINY_WEIGHTS
    assert found["memory_bytes"] == pytest.approx(sum(found["memory_by_part"].values()), abs=10)
    (place,) = found["machines"]
    assert (place["machine"], place["too_large"]) == ("box", False)
    assert place["seconds"] == pytest.approx(sum(place["seconds_by_part"].values()))
    assert TrainingRun.objects.count() == 1
    assert asked == []


def test_where_no_machine_is_known_a_worker_is_asked(
    client_for, settings, tmp_path, asked, django_capture_on_commit_callbacks
):
    project = make_project()
    run = make_run(project)
    settings.MODEL_DIR = tmp_path
    write_model(run.base_model.folder)
    with django_capture_on_commit_callbacks(execute=True):
        body = planned(client_for, project, run).json()
    assert body["forecast"]["machines"] == []
    assert body["forecast"]["memory_bytes"] > 0
    assert asked == [1]


def test_a_model_that_cant_be_read_has_no_forecast(client_for, settings, tmp_path):
    project = make_project()
    run = make_run(project)
    settings.MODEL_DIR = tmp_path
    assert planned(client_for, project, run).json()["forecast"] is None


def test_a_setting_that_cant_be_taken_is_named(client_for):
    project = make_project()
    response = planned(client_for, project, make_run(project), config={"beta": -1})
    assert response.status_code == 422
    assert "beta" in response.json()["errors"]
