"""An evaluation through the product: measured by the task, its hidden score read afterwards."""

import pytest

from labeling.demo.gold import gold_score
from labeling.demo.world import prompts as world_prompts
from tests.factories import make_prompt, owner_of
from tests.training.factories import make_held_out_project
from tests.training.recipes.conftest import Chain
from training import rundir, tasks
from training.evaluation_points import evaluation_points
from training.models import MetricPoint, ModelVersion, TrainingRun
from training.selectors_evaluations import examples_of, read_lines
from training.services.evaluations import create_evaluation
from training.services.models import register_model

pytestmark = [pytest.mark.recipe, pytest.mark.django_db(transaction=True)]
TINY = {
    **{"device": "cpu", "threads": 1, "max_length": 96, "max_new_tokens": 8, "batch_size": 8},
    **{"replies_per_prompt": 2, "baseline_replies": 2},
}


def test_an_evaluation_leaves_a_report_its_gold_and_no_model(chain: Chain) -> None:
    project = make_held_out_project()
    owner = owner_of(project)
    asked = [one for one in world_prompts() if len(one.messages) == 1]
    short = sorted(asked, key=lambda one: len(one.messages[0]["content"]))[:3]
    for one in short:
        make_prompt(project, text=one.messages[0]["content"], candidates=0)
    policy, base, judge = (
        register_model(
            actor=owner, project=project, name=recipe, folder=chain.model(recipe), kind=kind
        )
        for recipe, kind in (("dpo", "policy"), ("sft", "policy"), ("reward", "reward"))
    )
    run = create_evaluation(
        actor=owner,
        project=project,
        policy=policy,
        reward_model=judge,
        reference=base,
        baseline=base,
        config=TINY,
    )
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == TrainingRun.State.SUCCEEDED, (run.error, run.log_tail)
    assert not ModelVersion.objects.filter(run=run).exists()
    lines = list(read_lines(run.folder / rundir.EVALUATIONS))
    assert len(lines) == 3 * 4
    (point,) = evaluation_points(project)
    assert (point.policy, point.reference, point.baseline) == (policy, base, base)
    assert point.kl.low <= point.kl.value <= point.kl.high
    texts = {
        str(pk): one.messages for pk, one in zip(run.evaluation.prompt_ids, short, strict=True)
    }
    by_hand = [
        gold_score(texts[line["prompt_id"]], line["text"])
        for line in lines
        if line["by"] == "policy"
    ]
    assert point.gold is not None
    assert point.gold.value == pytest.approx(sum(by_hand) / 6)
    assert [row[3] for row in point.best_of] != [None, None]
    assert len(examples_of(run)) == 3
    assert examples_of(run)[0].asked in {one.messages[0]["content"] for one in short}
    assert MetricPoint.objects.filter(run=run).count() == 1
    assert rundir.newest_checkpoint(run.folder) is None
