"""Runs that learn from their own replies: the judge, the prompts, the texts to keep likely."""

from typing import Any

import pytest

from labeling.domain.splits import split_of
from labeling.exceptions import InvalidInput
from labeling.models import Project, Prompt, Tag
from labeling.models.prompts import State
from tests.factories import make_project, make_prompts, owner_of
from tests.training.factories import (
    make_demonstrations,
    make_model,
    make_rewarded_run,
    make_run,
    make_snapshot,
)
from training.models import RunPrompts, TrainingRun
from training.selectors import input_rows
from training.services.models import register_result
from training.services.runs import create_run
from training.worker import _inputs

pytestmark = pytest.mark.django_db


def _errors(project: Project, **fields: Any) -> dict[str, list[str]]:
    start: dict[str, Any] = {
        "actor": owner_of(project),
        "project": project,
        "recipe": "ppo",
        "snapshot": None,
        "preset_name": "tiny-cpu",
    }
    with pytest.raises(InvalidInput) as caught:
        create_run(**start | fields)
    assert not TrainingRun.objects.filter(project=project, recipe="ppo").exists()
    return caught.value.errors


def test_a_run_keeps_its_judge_and_prompts_of_the_split_train_alone():
    project = make_project(validation_share=0.3, test_share=0.3)
    run = make_rewarded_run(project, prompts=30)
    chosen = RunPrompts.objects.get(run=run)
    shares = {"validation_share": 0.3, "test_share": 0.3}
    groups = dict(Prompt.objects.filter(project=project).values_list("pk", "group__key"))
    train = [pk for pk, group in groups.items() if split_of(group, **shares) == "train"]
    assert chosen.prompt_ids == sorted(train)
    assert 0 < len(train) < 30
    assert chosen.selection["split"] == "train"
    rows = list(input_rows(run))
    assert [row["prompt_id"] for row in rows] == [str(pk) for pk in chosen.prompt_ids]
    assert {row["split"] for row in rows} == {"train"}


def test_prompts_are_chosen_by_tag_and_count_and_withdrawn_ones_left_out():
    project = make_project(validation_share=0.0, test_share=0.0)
    tag = Tag.objects.create(project=project, name="world")
    prompts = make_prompts(project, 8, candidates=0)
    for prompt in prompts[:5]:
        prompt.tags.add(tag)
    Prompt.objects.filter(pk=prompts[0].pk).update(state=State.WITHDRAWN)
    run = make_rewarded_run(project, prompts=1, tags=["world"], limit=3)
    chosen = run.prompts.prompt_ids
    assert len(chosen) == 3
    assert set(chosen) <= {prompt.pk for prompt in prompts[1:5]}


def test_demonstrations_follow_the_prompts_where_they_are_to_stay_likely():
    project = make_project(validation_share=0.0, test_share=0.0)
    snapshot = make_demonstrations(project)
    run = make_rewarded_run(project, 2, snapshot=snapshot, config={"ptx_coefficient": 1.0})
    rows = list(input_rows(run))
    assert [row for row in rows if "completion" in row] == rows[-3:]
    assert all("completion" not in row for row in rows[:-3])


def test_what_is_wrong_is_said_by_field():
    project, other = make_project(), make_project()
    make_prompts(project, 5, candidates=0)
    base = make_model(project)
    judge = make_model(project, "reward", "judge")
    both = {"base_model": base, "reward_model": judge}
    assert set(_errors(project, base_model=base)) == {"reward_model"}
    assert "can't score" in _errors(project, base_model=base, reward_model=base)["reward_model"][0]
    stranger = make_model(other, "reward", "theirs")
    assert set(_errors(project, base_model=base, reward_model=stranger)) == {"reward_model"}
    assert set(_errors(project, **both, limit=0)) == {"limit"}
    assert set(_errors(project, **both, tags=["none such"])) == {"tags"}
    needs = _errors(project, **both, config={"ptx_coefficient": 1.0})
    assert "choose a snapshot" in needs["snapshot"][0]
    unread = _errors(project, **both, snapshot=make_demonstrations(project))
    assert "would not learn" in unread["snapshot"][0]
    wrong = {"snapshot": make_snapshot(project), "config": {"ptx_coefficient": 1.0}}
    assert set(_errors(project, **both, **wrong)) == {"snapshot"}


def test_recipes_without_a_judge_refuse_one():
    project = make_project()
    judge = make_model(project, "reward", "judge")
    with pytest.raises(InvalidInput) as caught:
        make_run(project, recipe="reward", reward_model=judge, tags=["world"])
    assert set(caught.value.errors) == {"reward_model", "tags"}


@pytest.mark.parametrize("recipe", ["sft", "dpo", "kto"])
def test_recipes_that_learn_from_rows_may_have_a_judge(recipe: str):
    project = make_project()
    judge = make_model(project, "reward", "judge")
    snapshot = make_demonstrations(project) if recipe == "sft" else make_snapshot(project)
    start = {"recipe": recipe, "snapshot": snapshot, "base_model": make_model(project)}
    alone = make_run(project, **start)
    assert alone.reward_model is None
    judged = make_run(project, **start, reward_model=judge, config={"eval_steps": 5})
    assert _inputs(judged)["reward"] == {"path": str(judge.folder), "sha256": judge.sha256}
    assert not RunPrompts.objects.filter(run=judged).exists()
    with pytest.raises(InvalidInput) as caught:
        make_run(project, **start, reward_model=judged.base_model, config={"eval_steps": 5})
    assert set(caught.value.errors) == {"reward_model"}


def test_a_choice_by_reward_needs_evaluations_to_choose_from():
    project = make_project()
    start = {
        "recipe": "sft",
        "snapshot": make_demonstrations(project),
        "base_model": make_model(project),
        "reward_model": make_model(project, "reward", "judge"),
    }
    with pytest.raises(InvalidInput) as caught:
        make_run(project, **start)
    assert set(caught.value.errors) == {"eval_steps"}
    assert make_run(project, **start, config={"choose_by_reward": False}).reward_model is not None


def test_judge_and_prompts_go_into_the_folder_and_into_the_lineage():
    project = make_project(validation_share=0.0, test_share=0.0)
    run = make_rewarded_run(project, prompts=2)
    assert run.base_model is not None
    assert run.reward_model is not None
    assert _inputs(run)["reward"] == {
        "path": str(run.reward_model.folder),
        "sha256": run.reward_model.sha256,
    }
    made = register_result(run=run, result={"model": {"sha256": "0" * 64}}, path="made")
    assert (made.parent, made.kind) == (run.base_model, "policy")
    assert made.provenance["reward_model"]["sha256"] == run.reward_model.sha256
    assert made.provenance["prompts"]["count"] == 2
