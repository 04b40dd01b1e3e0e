"""The start form says what a run would leave out, and starts nothing by saying it."""

import pytest

from labeling.models import SnapshotItem
from tests.factories import make_project, owner_of
from tests.training.factories import make_run
from tests.training.machines import TINY_WEIGHTS, write_machine, write_model
from tests.training.views.asking import client_of, page
from tests.training.views.test_runs import HTMX, form_data
from training.models import TrainingRun

pytestmark = pytest.mark.django_db


def test_look_counts_what_is_left_out_and_starts_nothing():
    project = make_project()
    run = make_run(project)  # three rankings of four replies, the last two tied
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={run.snapshot.number}&preset=tiny-cpu"
    data = form_data(client, url) | {"look": "1", "beta": "0.3"}
    response = client.post(url, data, headers=HTMX)
    assert response.status_code == 200
    found = response.context["preview"]
    assert found.rows == 18
    assert ("tie", 3) in found.dropped
    text = response.content.decode()
    assert '<div id="preview"' in text
    assert sum(found.used.values()) == 15
    assert "Of 18 rows," in text
    assert 'name="beta" value="0.3"' in text  # what was typed stays
    assert TrainingRun.objects.count() == 1


def test_start_form_says_where_a_presets_numbers_are_from():
    project = make_project()
    client = client_of(owner_of(project))
    text = client.get(f"{page('run_new', project)}?recipe=dpo&preset=zephyr").content.decode()
    assert "Zephyr (2310.16944, section 4.2)" in text
    assert "preview" not in text


def test_look_says_what_the_run_will_take(settings, tmp_path):
    project = make_project()
    run = make_run(project)
    SnapshotItem.objects.update(split="train")  # else the lot may leave none to learn from
    settings.MODEL_DIR = tmp_path
    write_machine(tmp_path, memory_bytes=8 * 1024**3)
    write_model(run.base_model.folder)
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={run.snapshot.number}&preset=tiny-cpu"
    response = client.post(url, form_data(client, url) | {"look": "1"}, headers=HTMX)
    found = response.context["forecast"]
    assert found.parameters == TINY_WEIGHTS
    assert found.on[0].duration.total > 0
    text = response.content.decode()
    assert "On Test CPU (box): about" in text
    assert "That is more than" not in text


def test_look_warns_of_a_machine_that_is_too_small(settings, tmp_path):
    project = make_project()
    run = make_run(project)
    SnapshotItem.objects.update(split="train")  # else the lot may leave none to learn from
    settings.MODEL_DIR = tmp_path
    write_machine(tmp_path, memory_bytes=100_000_000)
    write_model(run.base_model.folder)
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={run.snapshot.number}&preset=tiny-cpu"
    response = client.post(url, form_data(client, url) | {"look": "1"}, headers=HTMX)
    assert response.context["forecast"].on[0].too_large
    assert "That is more than box has." in response.content.decode()


def test_without_a_measured_machine_the_time_is_not_invented(settings, tmp_path):
    project = make_project()
    run = make_run(project)
    SnapshotItem.objects.update(split="train")  # else the lot may leave none to learn from
    settings.MODEL_DIR = tmp_path
    write_model(run.base_model.folder)
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={run.snapshot.number}&preset=tiny-cpu"
    response = client.post(url, form_data(client, url) | {"look": "1"}, headers=HTMX)
    assert response.context["forecast"].on == ()
    assert response.context["forecast"].memory.total > 500_000_000
    assert "so the time is not known" in response.content.decode()
