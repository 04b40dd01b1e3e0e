"""A run that is planned, and one that works: what it would take, how long it still takes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import make_project, make_prompt
from tests.training.factories import make_rewarded_run, make_run
from tests.training.machines import TINY_WEIGHTS, write_model
from training.configs import preset, to_json
from training.models import MetricPoint, RunAttempt, TrainingRun
from training.planning import Plan, forecast_of, preview_of, seconds_left

pytestmark = pytest.mark.django_db


def working(*, steps_at: dict[int, float], attempt_began: float, total: int = 100) -> TrainingRun:
    """A run at work, its rows measured so many seconds ago."""
    run = make_run(make_project())
    now = timezone.now()
    TrainingRun.objects.filter(pk=run.pk).update(
        state="running", step=max(steps_at, default=0), total_steps=total
    )
    RunAttempt.objects.create(
        run=run, number=2, started_at=now - timedelta(seconds=attempt_began), worker="box"
    )
    for step, ago in steps_at.items():
        MetricPoint.objects.create(
            run=run,
            attempt_number=2,
            step=step,
            values={"loss": 1.0},
            recorded_at=now - timedelta(seconds=ago),
        )
    run.refresh_from_db()
    return run


def test_time_left_is_that_of_the_steps_so_far():
    """Ten steps in 20 s, the last one 4 s ago: 80 steps of 2 s are left, less those 4."""
    run = working(steps_at={10: 24, 20: 4}, attempt_began=60)
    assert seconds_left(run) == pytest.approx(156, abs=2)


def test_rows_of_an_earlier_attempt_do_not_count():
    run = working(steps_at={10: 5000, 20: 24, 30: 4}, attempt_began=60)
    assert seconds_left(run) == pytest.approx(136, abs=2)


def test_before_there_are_two_rows_nothing_is_said():
    assert seconds_left(working(steps_at={10: 4}, attempt_began=60)) is None
    assert seconds_left(make_run(make_project())) is None


def test_a_run_that_is_late_has_no_time_below_zero():
    assert seconds_left(working(steps_at={98: 900, 99: 899}, attempt_began=950)) == 0


def test_a_run_with_replies_of_its_own_is_counted_by_its_prompts(settings, tmp_path):
    project = make_project()
    run = make_rewarded_run(project)
    settings.MODEL_DIR = tmp_path
    for model in (run.base_model, run.reward_model):
        write_model(model.folder)
    make_prompt(project)
    plan = Plan(
        project=project,
        recipe="ppo",
        config=to_json(preset("ppo", "tiny-cpu")),
        snapshot=None,
        base=run.base_model,
        reward=run.reward_model,
    )
    assert preview_of(plan) is None
    found = forecast_of(plan, None)
    assert found is not None
    assert found.draws
    assert not found.lengths_known  # the model's tokenizer is not there
    assert found.memory.models == 4 * (2 * TINY_WEIGHTS)


def test_a_recipe_without_its_model_has_no_forecast():
    project = make_project()
    run = make_run(project)
    plan = Plan(
        project=project,
        recipe="dpo",
        config=to_json(preset("dpo", "tiny-cpu")),
        snapshot=run.snapshot,
        base=None,
    )
    assert forecast_of(plan, preview_of(plan)) is None
