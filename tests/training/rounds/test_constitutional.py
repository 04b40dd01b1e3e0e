"""The loop `constitutional` with real recipes, from a model from outside to its decision, alone.

Only what makes a run short is changed. What each step learned from is looked up in the runs.
"""

from typing import Any

import pytest

from labeling.models import Demonstration, Judgement, Project
from labeling.selectors.snapshots import ranking_rows
from labeling.services.snapshots import freeze_snapshot
from tests.factories import owner_of
from tests.training.rounds.small import SEEDLING, SMALL, make_small_project
from training import tasks
from training.constitutions.principles import draw_principle
from training.constitutions.selectors import chains_of, principles_of
from training.judges.services import create_judge
from training.models import ModelVersion, TrainingRun
from training.rounds.models import Round
from training.rounds.presets import LOOP_PRESETS
from training.rounds.selectors import made_by, standing_steps, start_policy
from training.rounds.services import configure_loop, promote_model, start_round
from training.services.models import register_model
from training.services.runs import create_run

pytestmark = [pytest.mark.slow, pytest.mark.recipe, pytest.mark.django_db(transaction=True)]
# A tiny model's tokens are hardly more than bytes, and principles are asked for in sentences.
LONG: dict[str, Any] = {"device": "cpu", "threads": 1, "max_length": 1024}
RECIPES: dict[str, dict[str, Any]] = {
    **SMALL,
    "revise": {**LONG, "max_new_tokens": 8, "batch_size": 16, "keeps_cut": True},
}
ROUNDS = 4


@pytest.fixture(autouse=True)
def _nobody_is_rung_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "ring", lambda run_id: None)
    monkeypatch.setattr(tasks, "ring_rounds", lambda: None)


def _outside(project: Project) -> ModelVersion:
    """Return a policy that reads long questions; nobody knows what it learned from."""
    owner = owner_of(project)
    texts = freeze_snapshot(actor=owner, project=project, kind="demonstrations")
    run = create_run(
        actor=owner,
        project=project,
        recipe="sft",
        snapshot=texts,
        preset_name="tiny-scratch",
        config={**SEEDLING, "max_positions": 1024},
        name="seedling",
    )
    tasks.train(run.pk)
    made = ModelVersion.objects.get(run=run)
    return register_model(
        actor=owner, project=project, name="first", folder=made.folder, kind="policy"
    )


def make_loop() -> Project:
    """Return a project whose loop is to turn as Constitutional AI has it."""
    project = make_small_project(k=2)
    owner = owner_of(project)
    first = _outside(project)
    promote_model(actor=owner, project=project, model=first)
    create_judge(
        actor=owner,
        project=project,
        name="constitution",
        model=first,
        preset_name="tiny-cpu",
        config=LONG,
    )
    own = {"replies_per_prompt": 2, "evaluation_replies": 2, "recipes": RECIPES}
    preset = LOOP_PRESETS["constitutional"]
    configure_loop(actor=owner, project=project, config={**preset, **own})
    return project


def alone(project: Project, most: int = 30) -> Round:
    """Start a round and turn it, with nobody there, until it asks for a decision."""
    round = start_round(actor=owner_of(project), project=project)
    for _ in range(most):
        tasks.turn_rounds()
        for run in TrainingRun.objects.filter(state=TrainingRun.State.QUEUED).order_by("pk"):
            tasks.train(run.pk)
            run.refresh_from_db()
            assert run.state == TrainingRun.State.SUCCEEDED, (run.recipe, run.error, run.log_tail)
        round.refresh_from_db()
        assert not round.problem
        if round.state == Round.State.DECIDING:
            return round
    raise AssertionError(f"{round} stands at {round.state}")


def run_of(round: Round, kind: str) -> TrainingRun:
    """Return the run of a round's one step of a kind."""
    (step,) = standing_steps(round, kind)
    assert step.run
    return step.run


def test_constitutional_ai_from_replies_to_a_policy_without_anybody() -> None:
    """2212.08073: critique and revision, SFT on them, AI's soft labels by principles, RL."""
    project = make_loop()
    people = Demonstration.objects.count()
    round = alone(project)

    revising = run_of(round, "revise")
    chains = list(chains_of(revising))
    assert chains
    principles = principles_of(revising.revising.constitution)
    for row in chains:
        assert len(row.chain["rounds"]) == ROUNDS
        for nth, one in enumerate(row.chain["rounds"], start=1):
            key = f"{row.demonstration.prompt_id}:{nth}"
            assert one["principle"] == draw_principle(round.seed, key, principles).key

    tuned = run_of(round, "sft")
    assert tuned.snapshot.counts["labels"] == people + len(chains)
    assert tuned.base_model == round.policy
    assert start_policy(round) == tuned.model_version
    assert run_of(round, "sample").base_model == tuned.model_version

    judged = list(Judgement.objects.all())
    assert judged
    assert {one.origin for one in judged} == {"ai"}
    for one in judged:
        drawn = draw_principle(round.seed, str(one.comparison.uid), principles)
        assert one.provenance["principle"]["text"] == drawn.comparison
        assert one.provenance["principle"]["constitution"] == "default"
    reward = run_of(round, "reward")
    assert reward.base_model == tuned.model_version
    assert all(row["soft"] for row in ranking_rows(reward.snapshot))
    policy = run_of(round, "policy")
    assert (policy.recipe, policy.base_model) == ("ppo", tuned.model_version)
    assert policy.reward_model == reward.model_version
    assert made_by(round, "policy") is not None
