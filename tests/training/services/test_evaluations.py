"""Evaluations: what they are made of, what is refused, and the hidden score after the run."""

import json
from typing import Any

import pytest

from labeling.demo.gold import GOLD_VERSION, gold_score, has_gold
from labeling.demo.world import prompts as world_prompts
from labeling.exceptions import InvalidInput
from labeling.models import AuditEvent, Project
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import (
    make_evaluation,
    make_held_out_project,
    make_model,
    make_run,
)
from training import rundir
from training.models import Evaluation, TrainingRun
from training.selectors import input_rows, runs_from
from training.services.evaluations import create_evaluation, gold_of, note_gold
from training.services.models import register_result
from training.worker import _inputs

pytestmark = pytest.mark.django_db


def test_an_evaluation_keeps_its_models_and_its_prompts_for_good():
    project = make_held_out_project()
    baseline, judge = make_model(project, name="other"), make_model(project, name="critic")
    run = make_evaluation(project, prompts=4, limit=3, seed=5, baseline=baseline, judge=judge)
    evaluation = Evaluation.objects.get(run=run)
    assert (run.recipe, run.seed, run.base_model) == ("evaluate", 5, evaluation.policy)
    assert evaluation.selection == {
        "split": "validation",
        "tags": [],
        "exclude_tags": [],
        "limit": 3,
        "seed": 5,
    }
    make_prompt(project, candidates=0)
    rows = list(input_rows(run))
    assert [row["prompt_id"] for row in rows] == [str(pk) for pk in evaluation.prompt_ids]
    assert {row["split"] for row in rows} == {"validation"}
    assert len(rows) == 3
    given = _inputs(run)
    assert set(given) == {"model", "reward", "reference", "baseline", "judge"}
    assert given["judge"] == {"path": str(judge.folder), "sha256": judge.sha256}
    assert AuditEvent.objects.filter(project=project, verb="evaluation.create").count() == 1
    assert list(runs_from(project, evaluation.policy)) == []


def test_the_reference_is_where_learning_from_preferences_began():
    project = make_held_out_project()
    outside = make_model(project)
    run = make_run(project, base_model=outside)
    made = register_result(run=run, result={"model": {"sha256": "0" * 64}}, path="made")
    again = make_run(project, base_model=made, snapshot=run.snapshot)
    last = register_result(run=again, result={"model": {"sha256": "1" * 64}}, path="last")
    assert make_evaluation(project, policy=last).evaluation.reference == outside
    assert make_evaluation(project, policy=outside).evaluation.reference == outside
    assert make_evaluation(project, policy=last, reference=made).evaluation.reference == made


def _errors(project: Project, **fields: Any) -> dict[str, list[str]]:
    with pytest.raises(InvalidInput) as caught:
        make_evaluation(project, **fields)
    assert not TrainingRun.objects.filter(project=project, recipe="evaluate").exists()
    return caught.value.errors


def test_every_field_that_is_wrong_is_named():
    project, other = make_held_out_project(), make_project()
    reward = make_model(project, "reward", "judge")
    found = _errors(
        project,
        policy=make_model(other),
        reference=make_model(other, name="theirs"),
        baseline=reward,
        reward_model=make_model(project, name="policy"),
        limit=1,
        seed=-1,
        split="train",
    )
    assert set(found) == {
        *("policy", "reference", "baseline", "reward_model", "limit", "seed", "split")
    }
    assert found["baseline"] == ["judge v1 is a reward model; a policy is asked for."]
    assert "one alone gives no interval" in found["limit"][0]


def test_a_judge_needs_a_baseline_and_a_split_needs_two_prompts():
    project = make_held_out_project()
    found = _errors(project, judge=make_model(project, name="critic"))
    assert found == {"baseline": ["The AI judge compares with a baseline: choose one."]}
    assert "Only 0 active prompt" in _errors(project, split="test")["split"][0]
    assert set(_errors(project, config={"judged_pairs": 9})) == {"judged_pairs"}


def _line(prompt: int, reward: float, text: str, by: str = "policy") -> dict[str, Any]:
    return {"prompt_id": str(prompt), "by": by, "reward": reward, "text": text}


def test_gold_by_hand():
    scored = [
        (_line(1, 0.0, ""), 5.0),
        (_line(1, 2.0, ""), 1.0),
        (_line(2, 1.0, ""), 2.0),
        (_line(2, 0.5, ""), 4.0),
        (_line(1, 9.0, "", "baseline"), 1.0),
        (_line(2, 9.0, "", "baseline"), 2.0),
    ]
    told = gold_of(scored)
    assert (told["policy"]["value"], told["baseline"]["value"]) == (3.0, 1.5)
    assert [(row["n"], row["value"]) for row in told["best_of"]] == [(1, 3.0), (2, 1.5)]
    assert told["version"] == GOLD_VERSION


def _written(project: Project, texts: list[str]) -> TrainingRun:
    """Return an evaluation of the project's prompts whose folder holds two replies to each."""
    run = make_evaluation(project, prompts=0)
    run.folder.mkdir(parents=True)
    rows = [
        _line(pk, float(place), text)
        for pk in run.evaluation.prompt_ids
        for place, text in enumerate(texts)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run.folder / rundir.EVALUATIONS).write_text(text)
    return run


def test_gold_is_noted_after_a_run_on_the_demo_world():
    project = make_held_out_project()
    asked = [one for one in world_prompts() if len(one.messages) == 1][:3]
    for one in asked:
        make_prompt(project, text=one.messages[-1]["content"], candidates=0)
    run = _written(project, ["Happy to help!", "No."])
    gold = note_gold(run=run).gold
    by_hand = [
        gold_score(one.messages, text) for one in asked for text in ("Happy to help!", "No.")
    ]
    assert gold["policy"]["value"] == pytest.approx(sum(by_hand) / 6)
    assert Evaluation.objects.get(run=run).gold == gold


def test_other_prompts_have_no_gold():
    project = make_held_out_project()
    (known, *_) = [one for one in world_prompts() if len(one.messages) == 1]
    make_prompt(project, text=known.messages[0]["content"], candidates=0)
    make_prompt(project, text="Something that no world knows?", candidates=0)
    assert note_gold(run=_written(project, ["Yes."])).gold == {}
    assert not has_gold([{"role": "user", "content": "Something that no world knows?"}])


def test_create_evaluation_takes_the_presets_numbers():
    project = make_held_out_project()
    for _ in range(2):
        make_prompt(project, candidates=0)
    run = create_evaluation(
        actor=owner_of(project),
        project=project,
        policy=make_model(project),
        reward_model=make_model(project, "reward", "judge"),
        preset_name="tiny-cpu",
        config={"replies_per_prompt": 5},
    )
    assert (run.config["replies_per_prompt"], run.config["max_new_tokens"]) == (5, 64)
