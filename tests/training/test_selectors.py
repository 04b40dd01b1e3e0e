"""Reads of runs and models."""

from itertools import pairwise

import pytest
from django.utils import timezone

from labeling.domain.splits import split_of
from labeling.exceptions import NotFound
from labeling.models import Project, Prompt
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import (
    make_demonstrations,
    make_model,
    make_run,
    make_sampling_run,
    make_snapshot,
)
from training.models import MetricPoint, ModelVersion, TrainingRun
from training.selectors import (
    base_models,
    curves,
    get_model,
    get_run,
    input_rows,
    lineage,
    preset_for,
    prompt_rows,
    usable_models,
)
from training.services.models import share_model
from training.services.runs import create_run

pytestmark = pytest.mark.django_db


def measured(run: TrainingRun, rows: dict[int, dict[str, float]]) -> None:
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, attempt_number=1, step=step, values=values, recorded_at=timezone.now())
        for step, values in rows.items()
    )


def test_curves_are_told_apart_by_name():
    run = make_run(make_project())
    measured(run, {2: {"loss": 0.5, "accuracy": 0.7}, 1: {"loss": 1.0}, 3: {"eval_loss": 0.6}})
    found = {curve.name: curve.points for curve in curves(run)}
    assert found == {
        "loss": ((1, 1.0), (2, 0.5)),
        "accuracy": ((2, 0.7),),
        "eval_loss": ((3, 0.6),),
    }


def test_curves_of_a_long_run_are_thinned_but_keep_every_evaluation():
    """103 rows at a limit of 10: every 11th of them (9 rows), and the three evaluations."""
    run = make_run(make_project())
    rows = {step: {"loss": 1 / step} for step in range(1, 101)}
    rows |= {101: {"eval_loss": 1.0}, 102: {"eval_loss": 0.9}, 103: {"eval_loss": 0.8}}
    measured(run, rows)
    found = {curve.name: curve.points for curve in curves(run, limit=10)}
    assert [step for step, _ in found["eval_loss"]] == [101, 102, 103]
    assert [step for step, _ in found["loss"]] == [11, 22, 33, 44, 55, 66, 77, 88, 99]


def chain(project: Project, length: int) -> list[ModelVersion]:
    models = [make_model(project) for _ in range(length)]
    for parent, child in pairwise(models):
        ModelVersion.objects.filter(pk=child.pk).update(parent=parent)
    return models


def test_lineage_leads_to_the_first_in_two_queries(django_assert_num_queries):
    models = chain(make_project(), 5)
    newest = ModelVersion.objects.get(pk=models[-1].pk)
    with django_assert_num_queries(2):
        assert lineage(newest) == models[::-1]


def test_lineage_of_a_model_without_a_parent_is_itself():
    model = make_model(make_project())
    assert lineage(model) == [model]


def test_what_belongs_to_another_project_is_not_found():
    project, other = make_project(), make_project()
    with pytest.raises(NotFound):
        get_run(project, make_run(other).uid)
    with pytest.raises(NotFound):
        get_model(project, make_model(other).pk)


def test_usable_models_are_own_and_shared_ones_by_kind():
    project, other = make_project(), make_project()
    own, reward = make_model(project), make_model(project, "reward", "judge")
    shared, _hidden = make_model(other, name="theirs"), make_model(other, name="hidden")
    share_model(actor=owner_of(other), model=shared, project=project)
    assert list(usable_models(project)) == [shared, reward, own]
    assert list(base_models(project, "dpo")) == [shared, own]
    assert list(base_models(project, "reward")) == [shared, reward, own]
    assert list(base_models(project, "dpo", str(own.pk))) == [own]


def test_preset_for_a_model_of_a_few_bytes_is_the_tiny_one():
    model = make_model(make_project())
    assert preset_for("dpo", model) == "tiny-cpu"
    assert preset_for("sft", None) == "tiny-scratch"
    assert preset_for("dpo", None) == "default"
    (model.folder / "model.safetensors").unlink()  # weights on another machine tell nothing
    assert preset_for("dpo", model) == "default"


def test_reward_run_reads_whole_rankings_and_what_its_base_learned_from():
    """One row a judgement; behind them the demonstrations of the nearest ancestor that had any."""
    project = make_project()
    preferences, demonstrations = make_snapshot(project, 2), make_demonstrations(project, 3)
    run = create_run(
        actor=owner_of(project),
        project=project,
        recipe="sft",
        snapshot=demonstrations,
        preset_name="tiny-scratch",
        name="x",
    )
    base = make_model(project)
    ModelVersion.objects.filter(pk=base.pk).update(run=run)
    rows = list(
        input_rows(make_run(project, recipe="reward", snapshot=preferences, base_model=base))
    )
    assert [row["split"] == "reference" for row in rows] == [False, False, True, True, True]
    assert [len(row["replies"]) for row in rows[:2]] == [4, 4]
    assert all("completion" in row for row in rows[2:])
    unrelated = make_model(project, name="other")
    alone = input_rows(
        make_run(project, recipe="reward", snapshot=preferences, base_model=unrelated)
    )
    assert list(alone) == rows[:2]


def test_demonstrations_of_another_project_are_not_read():
    project, other = make_project(), make_project()
    run = create_run(
        actor=owner_of(other),
        project=other,
        recipe="sft",
        snapshot=make_demonstrations(other, 1),
        preset_name="tiny-scratch",
        name="x",
    )
    base = make_model(other)
    ModelVersion.objects.filter(pk=base.pk).update(run=run)
    share_model(actor=owner_of(other), model=base, project=project)
    asked = make_run(project, recipe="reward", snapshot=make_snapshot(project, 1), base_model=base)
    assert len(list(input_rows(asked))) == 1


def test_input_rows_follow_the_kind_of_the_run():
    project = make_project()
    preferences, demonstrations = make_snapshot(project, 1), make_demonstrations(project, 1)
    pairs = list(input_rows(make_run(project, snapshot=preferences)))
    assert len(pairs) == 6
    assert set(pairs[0]) >= {"prompt", "chosen", "rejected", "margin", "tie", "weight", "split"}
    run = create_run(
        actor=None,
        project=project,
        recipe="sft",
        snapshot=demonstrations,
        preset_name="tiny-scratch",
        name="x",
    )
    (row,) = input_rows(run)
    assert row["completion"] == [{"role": "assistant", "content": "Gladly, here it is."}]
    sampled = list(input_rows(make_sampling_run(project, prompts=0, limit=1)))
    assert set(sampled[0]) == {"prompt_id", "prompt", "split"}


def test_prompt_rows_keep_the_order_asked_for_and_name_the_split():
    project = make_project(validation_share=0.3, test_share=0.3)
    prompts = [make_prompt(project, text=f"Question {n}?") for n in range(6)]
    ids = [prompt.pk for prompt in prompts[::-1]]
    rows = list(prompt_rows(project, ids))
    assert [row["prompt_id"] for row in rows] == [str(pk) for pk in ids]
    assert rows[0]["prompt"] == [{"role": "user", "content": "Question 5?"}]
    for row in rows:
        key = Prompt.objects.get(pk=row["prompt_id"]).group.key
        assert row["split"] == split_of(key, validation_share=0.3, test_share=0.3)
