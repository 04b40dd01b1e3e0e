"""Runs over the API: every address as each of seven, then what the answers say."""

import io
import re

import pytest
from django.core.management import call_command
from django.utils import timezone

from labeling.models import Project
from tests.factories import ACTORS, make_project, owner_of, seven_actors
from tests.training.api import test_contests, test_rounds
from tests.training.calibration import test_views as test_calibration
from tests.training.constitutions import test_api as test_constitutions
from tests.training.endpoints import test_views as test_endpoints
from tests.training.factories import (
    make_evaluation,
    make_held_out_project,
    make_model,
    make_rewarded_run,
    make_run,
    make_sampling_run,
    make_weights,
)
from tests.training.judges import test_api as test_judges
from tests.training.lineage import test_views as test_lineage
from training.api.urls import urlpatterns
from training.configs import RECIPES, field_specs
from training.models import MetricPoint, ModelVersion, TrainingRun

pytestmark = pytest.mark.django_db

READERS = (401, 404, 403, 200, 200, 200, 200)
OWNERS = (401, 404, 403, 403, 403, 200, 200)
MAKERS = (401, 404, 403, 403, 403, 201, 201)
SIGNED_IN = (401, 200, 200, 200, 200, 200, 200)
ADMINS = (401, 404, 403, 403, 403, 403, 201)

# Method, address under /api/v1/projects/<slug>/, and what each of the seven gets.
# Rooms whose addresses are asked in tables of their own.
ROOMS = [
    test_rounds.ADDRESSES,
    test_contests.ADDRESSES,
    test_constitutions.ADDRESSES,
    test_endpoints.ADDRESSES,
    test_judges.ADDRESSES,
    test_calibration.ADDRESSES,
    test_lineage.ADDRESSES,
]
DEEDS = [
    ("get", "runs/", READERS),
    ("post", "runs/", MAKERS),
    ("post", "runs/plan/", OWNERS),
    ("get", "runs/compare/?run={run}&run={sampling}", READERS),
    ("get", "runs/{run}/", READERS),
    ("get", "runs/{run}/metrics/", READERS),
    ("post", "runs/{run}/stop/", OWNERS),
    ("post", "runs/{run}/cancel/", OWNERS),
    ("post", "runs/{run}/resume/", OWNERS),
    ("get", "sampling-runs/", READERS),
    ("post", "sampling-runs/", MAKERS),
    ("get", "sampling-runs/{sampling}/", READERS),
    ("get", "evaluations/", READERS),
    ("post", "evaluations/", MAKERS),
    ("get", "evaluations/{evaluation}/", READERS),
    ("get", "models/", READERS),
    ("post", "models/", ADMINS),
    ("get", "models/{model}/", READERS),
    ("post", "models/{model}/share/", (401, 404, 403, 403, 403, 403, 200)),
]


@pytest.mark.parametrize(("method", "path", "expected"), DEEDS)
def test_every_address_answers_each_of_the_seven(method, path, expected, client_for):
    project = make_held_out_project()
    run = make_run(project)
    sampling = make_sampling_run(project, model=run.base_model)
    evaluation = make_evaluation(project, policy=run.base_model)
    bodies = {
        "runs/": {
            "recipe": "dpo",
            "snapshot": run.snapshot.number,
            "base_model": run.base_model.pk,
        },
        "runs/plan/": {
            "recipe": "dpo",
            "snapshot": run.snapshot.number,
            "base_model": run.base_model.pk,
        },
        "sampling-runs/": {"model": run.base_model.pk},
        "evaluations/": {
            "policy": run.base_model.pk,
            "reward_model": evaluation.reward_model.pk,
        },
        "models/{model}/share/": {"project": make_project().slug},
        "models/": {"name": "x", "kind": "policy", "folder": str(make_weights())},
    }
    names = {"run": run.uid, "sampling": sampling.uid, "evaluation": evaluation.uid}
    url = path.format(**names, model=run.base_model.pk)
    found = []
    for user in seven_actors(project).values():
        state = "stopped" if path.endswith("resume/") else "queued"
        TrainingRun.objects.filter(pk=run.pk).update(state=state)
        call = getattr(client_for(user), method)
        response = call(f"/api/v1/projects/{project.slug}/{url}", bodies.get(path), format="json")
        found.append(response.status_code)
        if response.status_code >= 400:
            assert set(response.json()) == {"code", "message", "errors"}
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_recipes_are_for_whoever_is_signed_in(client_for):
    people = seven_actors(make_project()).values()
    found = tuple(client_for(user).get("/api/v1/recipes/").status_code for user in people)
    assert found == SIGNED_IN


def _shape(path: str) -> str:
    """Return an address with a star for whatever names a thing in it."""
    return re.sub(r"\{[^}]*\}|<[^>]*>|(?<=/)\d+(?=/)", "*", path.partition("?")[0])


def test_the_tables_ask_every_address():
    """The one above, and those of the rooms; the recipes have a test of their own."""
    prefix = "projects/<slug:slug>/"
    known = {_shape(str(pattern.pattern).removeprefix(prefix)) for pattern in urlpatterns}
    asked = {_shape(path) for path in {path for _, path, _ in DEEDS}.union(*ROOMS)}
    assert known == asked | {"recipes/"}


def test_the_schema_is_clean():
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=io.StringIO())


def test_recipes_list_every_option_with_its_sentence(client_for):
    project = make_project()
    rows = client_for(owner_of(project)).get("/api/v1/recipes/").json()
    assert [row["name"] for row in rows] == list(RECIPES)
    dpo = next(row for row in rows if row["name"] == "dpo")
    specs = field_specs("dpo")
    assert [(o["name"], o["help"]) for o in dpo["options"]] == [(s.name, s.help) for s in specs]
    beta = next(o for o in dpo["options"] if o["name"] == "beta")
    assert (beta["type"], beta["minimum"], beta["default"]) == ("float", 1e-6, 0.1)
    assert "tiny-cpu" in dpo["presets"]
    assert dpo["snapshot_kind"] == "preferences"


def address(project: Project, rest: str) -> str:
    return f"/api/v1/projects/{project.slug}/{rest}"


def test_ppo_takes_a_reward_model_and_prompts(client_for, bell):
    project = make_project(validation_share=0.0, test_share=0.0)
    first = make_rewarded_run(project, prompts=3)
    body = {
        "recipe": "ppo",
        "base_model": first.base_model.pk,
        "reward_model": first.reward_model.pk,
        "preset": "tiny-cpu",
        "limit": 2,
    }
    owner = client_for(owner_of(project))
    said = owner.post(address(project, "runs/"), body, format="json").json()
    assert said["reward_model"]["sha256"] == first.reward_model.sha256
    assert said["snapshot"] is None
    assert len(TrainingRun.objects.get(uid=said["uid"]).prompts.prompt_ids) == 2
    body["reward_model"] = first.base_model.pk
    refused = owner.post(address(project, "runs/"), body, format="json")
    assert refused.status_code == 422
    assert set(refused.json()["errors"]) == {"reward_model"}


def test_create_takes_a_preset_and_what_differs(
    client_for, bell, django_capture_on_commit_callbacks
):
    project = make_project()
    first = make_run(project)
    body = {
        "recipe": "dpo",
        "snapshot": first.snapshot.number,
        "base_model": first.base_model.pk,
        "preset": "tiny-cpu",
        "config": {"beta": 0.5},
        "seed": 9,
    }
    with django_capture_on_commit_callbacks(execute=True):
        answer = client_for(owner_of(project)).post(address(project, "runs/"), body, format="json")
    said = answer.json()
    run = TrainingRun.objects.get(uid=said["uid"])
    assert (said["config"]["beta"], said["config"]["learning_rate"]) == (0.5, 2e-4)
    assert (said["state"], said["seed"], said["model"]) == ("queued", 9, None)
    assert said["snapshot"]["sha256"] == first.snapshot.sha256
    assert said["base_model"]["id"] == first.base_model.pk
    assert bell == [run.pk]


def test_errors_name_their_fields_in_one_shape(client_for):
    project = make_project()
    run = make_run(project)
    client = client_for(owner_of(project))
    good = {"recipe": "dpo", "snapshot": run.snapshot.number, "base_model": run.base_model.pk}
    for change, field in (
        ({"config": {"beta": -1}}, "beta"),
        ({"config": {"no_such": 1}}, "no_such"),
        ({"snapshot": 99}, "snapshot"),
        ({"base_model": 10**9}, "base_model"),
        ({"preset": "none"}, "preset"),
        ({"recipe": "ppo9"}, "recipe"),
        ({"seeed": 1}, "seeed"),
    ):
        answer = client.post(address(project, "runs/"), good | change, format="json")
        assert answer.status_code == 422, change
        assert list(answer.json()["errors"]) == [field]


def test_a_deed_that_comes_too_late_is_a_409(client_for):
    project = make_project()
    run = make_run(project)
    TrainingRun.objects.update(state="succeeded")
    client = client_for(owner_of(project))
    for deed in ("stop", "cancel", "resume"):
        answer = client.post(address(project, f"runs/{run.uid}/{deed}/"))
        assert (answer.status_code, answer.json()["code"]) == (409, "run_moved_on")


def test_metrics_come_in_pages_in_the_order_of_steps(client_for):
    project = make_project()
    run = make_run(project)
    MetricPoint.objects.bulk_create(
        MetricPoint(
            run=run,
            attempt_number=1,
            step=step,
            values={"loss": step / 2},
            recorded_at=timezone.now(),
        )
        for step in (3, 1, 2)
    )
    url = address(project, f"runs/{run.uid}/metrics/?page_size=2")
    page = client_for(owner_of(project)).get(url).json()
    assert page["count"] == 3
    assert [(r["step"], r["values"]) for r in page["results"]] == [
        (1, {"loss": 0.5}),
        (2, {"loss": 1.0}),
    ]


def test_sampling_runs_are_created_and_read(client_for, bell, django_capture_on_commit_callbacks):
    project = make_project()
    make_sampling_run(project, prompts=2)
    model = ModelVersion.objects.get()
    body = {"model": model.pk, "limit": 1, "overlap": 3, "config": {"temperature": 0.5}}
    client = client_for(owner_of(project))
    with django_capture_on_commit_callbacks(execute=True):
        said = client.post(address(project, "sampling-runs/"), body, format="json").json()
    assert said["sampling"]["prompts"] == 1
    assert said["sampling"]["overlap"] == 3
    assert said["config"]["temperature"] == 0.5
    assert bell == [TrainingRun.objects.get(uid=said["uid"]).pk]
    again = client.get(address(project, f"sampling-runs/{said['uid']}/")).json()
    assert again["sampling"] == said["sampling"]
    assert client.get(address(project, "sampling-runs/")).json()["count"] == 2


def test_a_model_is_read_with_its_lineage(client_for):
    project = make_project()
    parent = make_model(project)
    child = make_model(project)
    ModelVersion.objects.filter(pk=child.pk).update(parent=parent)
    said = client_for(owner_of(project)).get(address(project, f"models/{child.pk}/")).json()
    assert [step["id"] for step in said["lineage"]] == [child.pk, parent.pk]
    assert said["model"]["parent"]["sha256"] == parent.sha256
    assert "path" not in said["model"]


def test_run_list_takes_the_same_queries_for_one_run_and_for_many(
    client_for, django_assert_num_queries
):
    """The project, the role, the count, the rows, and the models that they made."""
    project = make_project()
    client = client_for(owner_of(project))
    for _ in range(2):
        make_run(project)
        make_sampling_run(project)
        with django_assert_num_queries(5):
            client.get(address(project, "runs/"))
