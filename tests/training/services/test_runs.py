"""Starting, stopping, cancelling and resuming runs."""

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import AuditEvent
from tests.factories import make_project, owner_of
from tests.training.factories import make_demonstrations, make_model, make_run, make_snapshot
from training.exceptions import RunMovedOn
from training.models import TrainingRun
from training.services.attempts import claim_run, end_attempt
from training.services.models import share_model
from training.services.runs import create_run, request_cancel, request_stop, resume_run

pytestmark = pytest.mark.django_db


def test_create_run_resolves_the_preset_and_what_differs_from_it():
    project = make_project()
    run = make_run(project, preset_name="tiny-cpu", config={"beta": 0.3}, seed=7)
    assert (run.state, run.seed) == ("queued", 7)
    # 2e-4 is the preset's, 0.3 was given, sigmoid is the field's own default.
    chosen = {k: run.config[k] for k in ("learning_rate", "beta", "loss_type")}
    assert chosen == {"learning_rate": 2e-4, "beta": 0.3, "loss_type": "sigmoid"}
    event = AuditEvent.objects.get(verb="run.create")
    assert (event.actor, event.object_id) == (owner_of(project), str(run.pk))


@pytest.mark.parametrize(
    ("recipe", "name"), [("dpo", "base"), ("sft", "base"), ("reward", "base-reward")]
)
def test_create_run_without_a_name_takes_the_base_models(recipe: str, name: str):
    project = make_project()
    snapshot = make_demonstrations(project) if recipe == "sft" else make_snapshot(project)
    assert make_run(project, recipe=recipe, snapshot=snapshot).name == name


def test_create_run_from_scratch_needs_no_base_but_a_name():
    project = make_project()
    snapshot = make_demonstrations(project)
    start = {
        "actor": owner_of(project),
        "project": project,
        "recipe": "sft",
        "snapshot": snapshot,
        "preset_name": "tiny-scratch",
    }
    assert create_run(**start, name="seedling").base_model is None
    with pytest.raises(InvalidInput) as unnamed:
        create_run(**start)
    assert set(unnamed.value.errors) == {"name"}
    with pytest.raises(InvalidInput) as based:
        create_run(**start, name="seedling", base_model=make_model(project))
    assert set(based.value.errors) == {"base_model"}


def test_create_run_names_every_field_that_is_wrong():
    project, other = make_project(), make_project()
    with pytest.raises(InvalidInput) as error:
        create_run(
            actor=owner_of(project),
            project=project,
            recipe="dpo",
            snapshot=make_snapshot(other),
            base_model=make_model(other),
            seed=-1,
            name="x" * 121,
        )
    assert set(error.value.errors) == {"snapshot", "base_model", "seed", "name"}
    assert not TrainingRun.objects.exists()


def test_create_run_refuses_the_wrong_kinds():
    project = make_project()
    with pytest.raises(InvalidInput) as error:
        make_run(
            project, snapshot=make_demonstrations(project), base_model=make_model(project, "reward")
        )
    assert error.value.errors == {
        "snapshot": ["Snapshot 1 holds demonstrations, but dpo needs preferences."],
        "base_model": ["base v1 is a reward model; dpo needs a policy."],
    }


def test_create_run_puts_the_configs_own_errors_by_field():
    project = make_project()
    with pytest.raises(InvalidInput) as error:
        make_run(project, config={"beta": "much", "betta": 1})
    assert set(error.value.errors) == {"beta", "betta"}


def test_create_run_refuses_an_unknown_recipe_and_the_sampling_one():
    project = make_project()
    for recipe in ("ppo9", "sample"):
        with pytest.raises(InvalidInput) as error:
            make_run(project, recipe=recipe)
        assert set(error.value.errors) == {"recipe"}


def test_create_run_takes_a_model_that_another_project_shares():
    project, other = make_project(), make_project()
    model = make_model(other)
    with pytest.raises(InvalidInput):
        make_run(project, base_model=model)
    share_model(actor=owner_of(other), model=model, project=project)
    assert make_run(project, base_model=model).base_model == model


@pytest.mark.parametrize(
    ("ask", "state"), [(request_stop, "stopped"), (request_cancel, "cancelled")]
)
def test_a_queued_run_ends_at_once(ask, state):
    run = make_run(make_project())
    ended = ask(actor=owner_of(run.project), run=run)
    assert (ended.state, ended.request) == (state, "")
    assert ended.finished_at is not None
    assert claim_run(run_id=run.pk, worker="w") is None


def test_a_running_run_is_asked_and_a_cancel_outweighs_a_stop():
    run = make_run(make_project())
    owner = owner_of(run.project)
    claim_run(run_id=run.pk, worker="w")
    assert request_stop(actor=owner, run=run).request == "stop"
    assert request_cancel(actor=owner, run=run).request == "cancel"
    assert request_stop(actor=owner, run=run).request == "cancel"
    assert run.state == "running"


@pytest.mark.parametrize("ask", [request_stop, request_cancel])
def test_an_ended_run_can_be_asked_nothing(ask):
    run = make_run(make_project())
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded")
    with pytest.raises(RunMovedOn):
        ask(actor=owner_of(run.project), run=run)


@pytest.mark.parametrize(
    ("state", "resumable"),
    [
        ("queued", False),
        ("running", False),
        ("succeeded", False),
        ("cancelled", False),
        ("stopped", True),
        ("failed", True),
    ],
)
def test_only_stopped_and_failed_runs_can_go_on(state: str, resumable: bool):
    run = make_run(make_project())
    TrainingRun.objects.filter(pk=run.pk).update(state=state, error="e", exit_code=1)
    run.refresh_from_db()
    assert run.is_resumable == resumable
    if not resumable:
        with pytest.raises(RunMovedOn):
            resume_run(actor=owner_of(run.project), run=run)
        return
    resumed = resume_run(actor=owner_of(run.project), run=run)
    assert (resumed.state, resumed.error, resumed.exit_code) == ("queued", "", None)


def waiting_run() -> TrainingRun:
    """A run that stopped as its endpoint did not answer."""
    run = make_run(make_project())
    result = {"steps": 3, "endpoint_problem": {"code": "silent", "sentence": "Nothing came."}}
    TrainingRun.objects.filter(pk=run.pk).update(state="stopped", result=result)
    run.refresh_from_db()
    return run


def test_a_stop_after_a_resume_is_not_undone():
    run = waiting_run()
    assert run.waits_for_endpoint
    owner = owner_of(run.project)
    assert resume_run(actor=owner, run=run).result == {"steps": 3}
    assert not request_stop(actor=owner, run=run).waits_for_endpoint
    assert run.state == "stopped"


def test_a_run_that_waits_for_its_endpoint_can_be_cancelled():
    run = waiting_run()
    ended = request_cancel(actor=owner_of(run.project), run=run)
    assert (ended.state, ended.result) == ("cancelled", {"steps": 3})
    other = waiting_run()
    with pytest.raises(RunMovedOn):
        request_stop(actor=owner_of(other.project), run=other)
    TrainingRun.objects.filter(pk=other.pk).update(result={})
    with pytest.raises(RunMovedOn):
        request_cancel(actor=owner_of(other.project), run=other)


@pytest.mark.parametrize("stops", [True, False])
def test_a_stop_outweighs_a_server_that_fails_meanwhile(stops: bool):
    run = make_run(make_project())
    attempt = claim_run(run_id=run.pk, worker="w")
    if stops:
        request_stop(actor=owner_of(run.project), run=run)
    problem = {"endpoint_problem": {"code": "silent", "sentence": "Nothing came."}}
    ended = end_attempt(attempt=attempt, state=TrainingRun.State.STOPPED, result=problem)
    assert ended.waits_for_endpoint is not stops
