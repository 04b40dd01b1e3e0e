"""PPO through the product: models registered, a run made, trained by the task, its model kept."""

import pytest

from tests.factories import make_project, make_prompts, owner_of
from tests.training.recipes.conftest import Chain
from tests.training.recipes.online import LEARN
from training import rundir, tasks
from training.models import MetricPoint, ModelVersion, TrainingRun
from training.selectors import lineage, rollouts_of
from training.services.models import register_model
from training.services.runs import create_run

pytestmark = [pytest.mark.recipe, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_a_run_of_ppo_leaves_a_policy_with_its_parent_and_its_judge(chain: Chain) -> None:
    project = make_project(validation_share=0.0, test_share=0.0)
    owner = owner_of(project)
    make_prompts(project, 6, candidates=0)
    policy, judge = (
        register_model(
            actor=owner, project=project, name=recipe, folder=chain.model(recipe), kind=kind
        )
        for recipe, kind in (("sft", "policy"), ("reward", "reward"))
    )
    run = create_run(
        actor=owner,
        project=project,
        recipe="ppo",
        snapshot=None,
        base_model=policy,
        reward_model=judge,
        config={**LEARN, "device": "cpu", "threads": 1, "max_length": 96, "sample_steps": 1},
    )
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == TrainingRun.State.SUCCEEDED, (run.error, run.log_tail)
    made = ModelVersion.objects.get(run=run)
    assert lineage(made) == [made, policy]
    assert made.provenance["reward_model"]["sha256"] == judge.sha256
    assert made.sha256 == rundir.weights_sha256(made.folder)
    first = MetricPoint.objects.filter(run=run).order_by("step").first()
    assert first is not None
    assert first.values["objective/kl"] == 0.0
    assert [sample.step for sample in rollouts_of(run)] == [2, 1]
