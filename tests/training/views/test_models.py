"""The registry's pages, and "sample and queue"."""

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Project, Tag
from tests.factories import ACTORS, make_admin, make_project, make_prompt, owner_of, seven_actors
from tests.training.factories import STEPS, make_model, make_run, make_weights, use_recipe
from tests.training.views.asking import client_of, page
from tests.training.views.test_runs import HTMX, bell, form_data  # noqa: F401
from training import tasks
from training.models import ModelVersion, TrainingRun
from training.selectors import is_usable
from training.services.models import share_model

pytestmark = pytest.mark.django_db

READS = (302, 404, 403, 200, 200, 200, 200)
ADMINS = (302, 404, 403, 403, 403, 403, 200)
# An empty form is invalid: whoever may sample is told so.
SAMPLES = (302, 404, 403, 403, 403, 422, 422)


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("model_list", "get", READS),
        ("model_detail", "get", READS),
        ("sampling_new", "post", SAMPLES),
        ("model_new", "get", ADMINS),
        ("model_share", "post", (302, 404, 403, 403, 403, 403, 422)),
    ],
)
def test_model_pages_answer_each_of_the_seven(name: str, method: str, expected: tuple[int, ...]):
    project = make_project()
    model = make_model(project)
    url = page(name, project, *([] if name in {"model_list", "model_new"} else [model.pk]))
    found = [
        getattr(client_of(user), method)(url).status_code for user in seven_actors(project).values()
    ]
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_sampling_wants_a_post():
    project = make_project()
    client = client_of(owner_of(project))
    url = page("sampling_new", project, make_model(project).pk)
    assert client.get(url).status_code == 405


def owner_client() -> tuple[Project, ModelVersion, Client]:
    project = make_project()
    return project, make_model(project), client_of(owner_of(project))


def test_another_projects_model_is_found_only_where_it_is_shared():
    project, model, _ = owner_client()
    other = make_project()
    client = client_of(owner_of(other))
    url = page("model_detail", other, model.pk)
    assert client.get(url).status_code == 404
    share_model(actor=owner_of(project), model=model, project=other)
    assert client.get(url).status_code == 200
    assert "shared by" in client.get(page("model_list", other)).content.decode()


def test_partial_model_says_so_wherever_it_is_shown():
    project = make_project()
    run = make_run(project)
    steps = {"steps": {"taken": 3, "planned": 6}}
    partial = make_model(project, name="early")
    ModelVersion.objects.filter(pk=partial.pk).update(is_partial=True, run=run, provenance=steps)
    client = client_of(owner_of(project))
    for where in (page("model_list", project), page("run_list", project)):
        assert client.get(where).content.decode().count(">partial</span>") == 1
    html = client.get(page("model_detail", project, partial.pk)).content.decode()
    assert "stopped after step 3 of 6" in html
    assert "Sample and queue" in html
    html = client.get(page("run_detail", project, run.uid)).content.decode()
    assert "left a partial model" in html


def test_sampling_starts_a_run_and_leads_to_it(
    bell,  # noqa: F811
    django_capture_on_commit_callbacks,
):
    project, model, client = owner_client()
    prompt = make_prompt(project)
    prompt.tags.add(Tag.objects.create(project=project, name="hard"))
    make_prompt(project)
    data = form_data(client, page("model_detail", project, model.pk))
    data |= {"tags": ["hard"], "temperature": "0.7", "overlap": "2", "queue": "on"}
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(page("sampling_new", project, model.pk), data, headers=HTMX)
    run = TrainingRun.objects.get()
    assert response["HX-Redirect"] == page("run_detail", project, run.uid)
    assert run.sampling.prompt_ids == [prompt.pk]
    assert (run.sampling.overlap, run.sampling.queue_comparisons) == (2, True)
    assert run.sampling.priority > 0  # fresh replies come first unless the form says otherwise
    assert (run.config["temperature"], run.config["batch_size"]) == (0.7, 64)  # tiny-cpu's
    assert bell == [run.pk]


def test_sampling_may_wait_behind_what_is_queued(bell: list[int]):  # noqa: F811
    project, model, client = owner_client()
    make_prompt(project)
    data = form_data(client, page("model_detail", project, model.pk))
    del data["first"]
    client.post(page("sampling_new", project, model.pk), data)
    assert TrainingRun.objects.get().sampling.priority == 0


def test_sampling_without_prompts_says_so_in_the_piece():
    project, model, client = owner_client()
    data = form_data(client, page("model_detail", project, model.pk))
    response = client.post(page("sampling_new", project, model.pk), data, headers=HTMX)
    assert response.status_code == 422
    assert "No prompt of this project" in response.content.decode()
    assert '<form id="sample-form"' in response.content.decode()


@pytest.mark.django_db(transaction=True)
def test_lineage_leads_back_to_the_snapshot_and_the_base(monkeypatch, tmp_path):
    use_recipe(monkeypatch, tmp_path, STEPS)
    project = make_project()
    run = make_run(project)
    tasks.train(run.pk)
    run.refresh_from_db()
    client = client_of(owner_of(project))
    html = client.get(page("model_detail", project, run.model_version.pk)).content.decode()
    for url in (
        page("run_detail", project, run.uid),
        page("model_detail", project, run.base_model.pk),
        reverse("labeling:snapshot_detail", args=[project.slug, run.snapshot.number]),
    ):
        assert f'href="{url}"' in html
    assert run.snapshot.sha256[:12] in html


def test_model_list_takes_the_same_queries_for_one_model_and_for_many(django_assert_num_queries):
    """Session, user, project, role; the page's count, its rows; whether the reader may read."""
    project, _, client = owner_client()
    url = page("model_list", project)
    with django_assert_num_queries(7):
        client.get(url)
    for _ in range(5):
        make_model(project)
    with django_assert_num_queries(7):
        client.get(url)


def test_an_admin_registers_a_model_or_is_told_why_not():
    project, admin = make_project(), client_of(make_admin())
    data = {"name": "mine", "kind": "policy", "folder": "/nowhere", "note": ""}
    refused = admin.post(page("model_new", project), data, headers=HTMX)
    assert refused.status_code == 422
    assert "is no folder on this machine" in refused.content.decode()
    data["folder"] = str(make_weights())
    taken = admin.post(page("model_new", project), data)
    assert taken["Location"] == page("model_detail", project, ModelVersion.objects.get().pk)


def test_an_admin_shares_a_model_with_another_project():
    project, model, _ = owner_client()
    other, admin = make_project(), client_of(make_admin())
    url = page("model_share", project, model.pk)
    assert admin.post(url, {"project": "no-such"}, headers=HTMX).status_code == 422
    assert admin.post(url, {"project": project.slug}, headers=HTMX).status_code == 422
    piece = admin.post(url, {"project": other.slug}, headers=HTMX).content.decode()
    assert other.name in piece
    assert is_usable(other, model)
