"""The pages of runs, asked by everyone, with htmx and without."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.factories import ACTORS, make_project, owner_of, seven_actors
from tests.training.factories import make_demonstrations, make_model, make_run, make_sampling_run
from tests.training.views.asking import client_of, page
from training import tasks
from training.models import MetricPoint, ModelVersion, TrainingRun
from training.services.attempts import claim_run

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note for which runs somebody rang, in place of a broker."""
    rung: list[int] = []
    monkeypatch.setattr(tasks.train, "apply_async", lambda args, expires: rung.append(*args))
    return rung


# Who gets what, in the order of ACTORS: reading is for viewers, managers and owners (and admins),
# starting and ending for owners and admins.
READS = (302, 404, 403, 200, 200, 200, 200)
OWNS = (302, 404, 403, 403, 403, 200, 200)
ACTS = (302, 404, 403, 403, 403, 302, 302)


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("run_list", "get", READS),
        ("run_detail", "get", READS),
        ("run_new", "get", OWNS),
        ("run_stop", "post", ACTS),
        ("run_cancel", "post", ACTS),
        ("run_resume", "post", ACTS),
    ],
)
def test_run_pages_answer_each_of_the_seven(name: str, method: str, expected: tuple[int, ...]):
    project = make_project()
    run = make_run(project)
    url = page(name, project, *([] if name in {"run_list", "run_new"} else [run.uid]))
    found = []
    for actor, user in seven_actors(project).items():
        state = "stopped" if name == "run_resume" else "queued"
        TrainingRun.objects.filter(pk=run.pk).update(state=state)
        response = getattr(client_of(user), method)(url)
        found.append(response.status_code)
        if actor == "anonymous":
            assert response["Location"].startswith(reverse("labeling:login"))
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


@pytest.mark.parametrize("name", ["run_stop", "run_cancel", "run_resume"])
def test_deeds_want_a_post(name: str):
    project = make_project()
    run = make_run(project)
    client = client_of(owner_of(project))
    assert client.get(page(name, project, run.uid)).status_code == 405


def test_another_projects_run_is_not_found():
    project, other = make_project(), make_project()
    client = client_of(owner_of(project))
    assert client.get(page("run_detail", project, make_run(other).uid)).status_code == 404


@pytest.mark.parametrize("name", ["run_list", "run_detail", "run_new"])
def test_the_page_contains_the_piece(name: str):
    project = make_project()
    run = make_run(project)
    url = page(name, project, *([run.uid] if name == "run_detail" else []))
    client = client_of(owner_of(project))
    whole, piece = client.get(url), client.get(url, headers=HTMX)
    body = piece.content.decode().strip()
    assert "<html" in whole.content.decode()
    assert "<html" not in body
    root = {"run_list": "run-rows", "run_detail": "run-status", "run_new": "run-form"}[name]
    assert f'<div id="{root}"' in body
    assert f'<div id="{root}"' in whole.content.decode()
    assert "HX-Request" in whole["Vary"]
    assert "HX-Request" in piece["Vary"]


def test_pages_hold_no_inline_style_or_script():
    project = make_project()
    run = make_run(project)
    MetricPoint.objects.create(
        run=run, attempt_number=1, step=1, values={"loss": 1.0}, recorded_at=timezone.now()
    )
    client = client_of(owner_of(project))
    for name, args in (("run_list", []), ("run_detail", [run.uid]), ("run_new", [])):
        html = client.get(page(name, project, *args)).content.decode()
        assert " style=" not in html
        assert "<script>" not in html
        assert " onclick=" not in html


def form_data(client: Client, url: str) -> dict[str, object]:
    """Return what a browser would send back of the form as it stands."""
    form = client.get(url).context["form"]
    values = {field.html_name: field.value() for field in form}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def test_run_new_starts_what_the_form_shows(bell, django_capture_on_commit_callbacks):
    project = make_project()
    snapshot = make_run(project).snapshot  # with its base model
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={snapshot.number}&preset=tiny-cpu"
    data = form_data(client, url) | {"beta": "0.25", "seed": "4", "name": "mine"}
    base = ModelVersion.objects.get()
    assert (data["snapshot"], data["base_model"]) == (snapshot.number, base.pk)
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(url, data)
    run = TrainingRun.objects.first()
    assert response["Location"] == page("run_detail", project, run.uid)
    assert (run.recipe, run.seed, run.name, run.base_model) == ("dpo", 4, "mine", base)
    assert (run.config["beta"], run.config["learning_rate"]) == (0.25, 2e-4)
    assert run.config["gradient_checkpointing"] is False
    assert bell == [run.pk]


def test_run_new_by_htmx_is_led_to_the_run():
    project = make_project()
    run = make_run(project)
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={run.snapshot.number}"
    data = form_data(client, url)
    response = client.post(url, data, headers=HTMX)
    assert response.status_code == 204
    assert response["HX-Redirect"].startswith(page("run_list", project))


def test_run_new_marks_the_field_that_is_wrong_with_the_configs_own_sentence(bell: list[int]):
    project = make_project()
    run = make_run(project)
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={run.snapshot.number}"
    data = form_data(client, url) | {"beta": "-1"}
    response = client.post(url, data, headers=HTMX)
    assert response.status_code == 422
    assert "beta is -1.0: use 1e-06 or more." in response.content.decode()
    assert '<div id="run-form"' in response.content.decode()
    assert "<html" not in response.content.decode()
    assert bell == []
    assert TrainingRun.objects.count() == 1


def test_run_new_begins_with_the_recipe_that_fits_the_snapshot():
    project = make_project()
    snapshot = make_demonstrations(project)
    client = client_of(owner_of(project))
    context = client.get(f"{page('run_new', project)}?snapshot={snapshot.number}").context
    # Nothing to start from yet: a model from scratch is what lies nearest.
    assert (context["recipe"], context["form"].preset_name) == ("sft", "tiny-scratch")
    make_model(project)
    context = client.get(f"{page('run_new', project)}?snapshot={snapshot.number}").context
    assert context["form"].preset_name == "tiny-cpu"


def test_run_new_takes_the_newest_snapshot_of_the_right_kind():
    project = make_project()
    preferences = make_run(project).snapshot
    demonstrations = make_demonstrations(project)
    client = client_of(owner_of(project))
    url = f"{page('run_new', project)}?recipe=dpo&snapshot={demonstrations.number}"
    assert client.get(url).context["form"]["snapshot"].value() == preferences.number


def test_run_new_knows_no_other_recipe():
    project = make_project()
    client = client_of(owner_of(project))
    assert client.get(f"{page('run_new', project)}?recipe=sample").status_code == 404


def test_every_option_of_every_recipe_has_its_sentence_on_the_page():
    project = make_project()
    client = client_of(owner_of(project))
    for recipe in ("sft", "reward", "dpo"):
        response = client.get(f"{page('run_new', project)}?recipe={recipe}")
        for spec in response.context["form"].specs:
            assert response.context["form"].fields[spec.name].help_text == spec.help
            assert f'name="{spec.name}"' in response.content.decode()


def test_only_a_live_run_polls():
    project = make_project()
    run = make_run(project)
    client = client_of(owner_of(project))
    url = page("run_detail", project, run.uid)
    assert 'hx-trigger="every 2s"' in client.get(url, headers=HTMX).content.decode()
    for state in ("succeeded", "failed", "stopped", "cancelled"):
        TrainingRun.objects.filter(pk=run.pk).update(state=state)
        assert "hx-trigger" not in client.get(url, headers=HTMX).content.decode()
        assert "hx-trigger" not in client.get(page("run_list", project)).content.decode()


def test_a_failed_run_shows_its_exit_code_reason_and_log():
    project = make_project()
    run = make_run(project)
    TrainingRun.objects.filter(pk=run.pk).update(
        state="failed", exit_code=3, error="It broke.", log_tail="last <words>"
    )
    html = client_of(owner_of(project)).get(page("run_detail", project, run.uid)).content.decode()
    assert "Exit code 3" in html
    assert "It broke." in html
    assert "last &lt;words&gt;" in html


def test_stop_by_htmx_returns_the_changed_piece():
    project = make_project()
    run = make_run(project)
    claim_run(run_id=run.pk, worker="w")
    client = client_of(owner_of(project))
    response = client.post(page("run_stop", project, run.uid), headers=HTMX)
    assert response.status_code == 200
    assert "stops after this step" in response.content.decode()
    run.refresh_from_db()
    assert run.request == "stop"


def test_a_deed_that_comes_too_late_is_a_409_piece():
    project = make_project()
    run = make_run(project)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded")
    client = client_of(owner_of(project))
    response = client.post(page("run_stop", project, run.uid), headers=HTMX)
    assert response.status_code == 409
    assert "already ended" in response.content.decode()


def test_resume_rings(bell, django_capture_on_commit_callbacks):
    project = make_project()
    run = make_run(project)
    TrainingRun.objects.filter(pk=run.pk).update(state="failed")
    with django_capture_on_commit_callbacks(execute=True):
        client_of(owner_of(project)).post(page("run_resume", project, run.uid))
    assert bell == [run.pk]


def test_run_list_takes_the_same_queries_for_one_run_and_for_many(
    django_assert_num_queries: DjangoAssertNumQueries,
):
    """Session, user, project, role; the count, rows, models they made; the health of live ones."""
    project = make_project()
    client = client_of(owner_of(project))
    make_run(project)
    url = page("run_list", project)
    with django_assert_num_queries(9):
        client.get(url)
    for _ in range(4):
        make_run(project)
        make_sampling_run(project)
    with django_assert_num_queries(9):
        assert client.get(url).content.decode().count("<tr>") == 10


def test_run_detail_takes_twelve_queries_whatever_was_measured(
    django_assert_num_queries: DjangoAssertNumQueries,
):
    """Session, user, project, role; the run, its models; points, their count; attempts, the last
    of them; and the runs it may be held against.
    """
    project = make_project()
    run = make_run(project)
    client = client_of(owner_of(project))
    url = page("run_detail", project, run.uid)
    MetricPoint.objects.bulk_create(
        MetricPoint(
            run=run,
            attempt_number=1,
            step=n,
            values={"loss": 1 / n, "eval_loss": 2 / n},
            recorded_at=timezone.now(),
        )
        for n in range(1, 500)
    )
    with django_assert_num_queries(12):
        html = client.get(url).content.decode()
    assert html.count('class="line"') == html.count('class="line-2"') == 2  # curve and legend


def test_a_finished_run_tells_which_rows_it_left_out():
    project = make_project()
    run = make_run(project)
    data = {"rows": 9, "train": 4, "dropped": {"tie": 3, "too_long": 2}, "sha256": "f" * 64}
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", result={"data": data})
    html = client_of(owner_of(project)).get(page("run_detail", project, run.uid)).content.decode()
    for shown in ("rows 9", "train 4", "tie 3", "too long 2"):
        assert f">{shown}</span>" in html
    assert "f" * 64 not in html


def test_a_run_that_waits_for_its_endpoint_shows_cancel():
    project = make_project()
    run = make_run(project)
    client = client_of(owner_of(project))
    for result, shown in (({}, False), ({"endpoint_problem": {"code": "silent"}}, True)):
        TrainingRun.objects.filter(pk=run.pk).update(state="stopped", result=result)
        html = client.get(page("run_detail", project, run.uid)).content.decode()
        assert (page("run_cancel", project, run.uid) in html) is shown
