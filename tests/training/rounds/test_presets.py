"""Every preset of a loop turns twice with real recipes, step by step as its paper has it.

Only what makes a run short is changed: sizes, lengths, numbers of steps. How each recipe learns is
the preset's own, and what it has learned from is looked up in the runs.
"""

from typing import Any

import pytest

from labeling.models import Judgement, Project
from tests.factories import owner_of
from tests.training.rounds.small import (
    LONG,
    SMALL,
    judge_by_hash,
    make_seedling_run,
    make_small_project,
)
from training import tasks
from training.judges.services import create_judge
from training.models import ModelVersion, SampledCandidate, TrainingRun
from training.rounds.models import Round
from training.rounds.presets import LOOP_PRESETS
from training.rounds.selectors import current_policy, first_policy, made_by, standing_steps
from training.rounds.services import configure_loop, decide_round, promote_model, start_round
from training.services.models import register_model

pytestmark = [pytest.mark.slow, pytest.mark.recipe, pytest.mark.django_db(transaction=True)]

JUDGE = {"device": "cpu", "threads": 1, "max_length": LONG, "max_new_tokens": 4, "batch_size": 16}


@pytest.fixture(autouse=True)
def _nobody_is_rung_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "ring", lambda run_id: None)
    monkeypatch.setattr(tasks, "ring_rounds", lambda: None)


def make_loop(preset: str, k: int = 2, **changes: Any) -> Project:
    """Return a project whose loop turns by a preset, and begins with a model from outside."""
    project = make_small_project(k=k)
    owner = owner_of(project)
    run = make_seedling_run(project, max_positions=LONG)
    tasks.train(run.pk)
    seedling = ModelVersion.objects.get(run=run)
    first = register_model(
        actor=owner, project=project, name="first", folder=seedling.folder, kind="policy"
    )
    promote_model(actor=owner, project=project, model=first)
    own = {"prompts": 12, "replies_per_prompt": 4, "evaluation_replies": 2, "recipes": SMALL}
    configure_loop(actor=owner, project=project, config={**LOOP_PRESETS[preset], **own, **changes})
    return project


def turned(project: Project, most: int = 40, *, people: bool = True) -> Round:
    """Start a round and turn it to its end, judged by a person, if by people, and promoted."""
    owner = owner_of(project)
    round = start_round(actor=owner, project=project)
    for _ in range(most):
        tasks.turn_rounds()
        for run in TrainingRun.objects.filter(state=TrainingRun.State.QUEUED).order_by("pk"):
            tasks.train(run.pk)
            run.refresh_from_db()
            assert run.state == TrainingRun.State.SUCCEEDED, (run.recipe, run.error, run.log_tail)
        round.refresh_from_db()
        assert not round.problem
        if round.state == Round.State.LABELLING and people:
            assert judge_by_hash(project)
        if round.state == Round.State.DECIDING:
            decide_round(actor=owner, round=round, promote=True)
            return round
    raise AssertionError(f"{round} stands at {round.state}")


def run_of(round: Round, kind: str) -> TrainingRun:
    """Return the run of a round's one step of a kind."""
    (step,) = standing_steps(round, kind)
    assert step.run
    return step.run


def test_instructgpt_ranks_trains_a_reward_model_and_follows_it_by_ppo_ptx() -> None:
    """2203.02155, 3.1: comparisons of K, all labels, PPO-ptx from the supervised policy."""
    project = make_loop("instructgpt")
    one, two = turned(project), turned(project)
    supervised = made_by(one, "sft")
    assert supervised is not None
    assert supervised.parent == first_policy(project)
    assert not standing_steps(two, "sft")
    for round in (one, two):
        reward, policy = run_of(round, "reward"), run_of(round, "policy")
        assert (reward.base_model, policy.base_model) == (supervised, supervised)
        assert policy.recipe == "ppo"
        assert policy.reward_model == made_by(round, "reward")
        assert policy.config["ptx_coefficient"] == 27.8
        assert policy.snapshot.kind == "demonstrations"
        assert (policy.config["inner_epochs"], policy.config["ema_decay"]) == (1, 0.992)
        assert run_of(round, "evaluate").evaluation.baseline == round.policy
    assert two.policy == made_by(one, "policy")
    # All labels are learned from: the second reward model reads those of both rounds.
    assert run_of(two, "reward").snapshot.counts["labels"] == Judgement.objects.count()
    assert current_policy(project) == made_by(two, "policy")


def test_summarize_mixes_sources_in_a_comparison() -> None:
    """2009.01325, 3.1: pairs from the current policy, the one before and the first one."""
    project = make_loop("summarize")
    one = turned(project)
    supervised = made_by(one, "sft")
    assert len(standing_steps(one, "sample")) == 1  # all three are one model yet
    two = turned(project)
    runs = [step.run for step in standing_steps(two, "sample")]
    assert {run.base_model for run in runs} == {supervised, two.policy}
    wrote = SampledCandidate.objects.filter(sampling_run__in=[run.pk for run in runs])
    assert wrote.values("source__model_sha256").distinct().count() == 2
    policy = run_of(two, "policy")
    assert (policy.recipe, policy.base_model) == ("ppo", supervised)
    assert policy.config["ptx_coefficient"] == 0.0


def test_online_dpo_learns_from_each_rounds_labels_alone() -> None:
    """2402.04792's loop: sample the current policy, judge, DPO from that policy."""
    project = make_loop("online-dpo")
    one, two = turned(project), turned(project)
    assert run_of(two, "policy").recipe == "dpo"
    assert run_of(two, "policy").base_model == made_by(one, "policy") == two.policy
    both = [run_of(round, "policy").snapshot.counts["labels"] for round in (one, two)]
    assert sum(both) == Judgement.objects.count()
    assert min(both) > 0


def test_zephyr_is_fine_tuned_judged_by_aspects_and_learns_the_best_against_one_other() -> None:
    """2310.16944, 3.1 to 3.3: dSFT, AI feedback on four replies, DPO from the dSFT policy."""
    project = make_loop("zephyr", k=4)
    create_judge(
        actor=owner_of(project),
        project=project,
        name="zephyr",
        model=first_policy(project),
        preset_name="ultrafeedback",
        # It does not know what it is asked: nothing that it says is left out.
        config={**JUDGE, "least_mass": 0.0, "most_apart": 4.0, "tie_margin": 0.0},
    )
    round = turned(project, people=False)
    judged = Judgement.objects.filter(comparison__asked_by_round__round=round)
    assert set(judged.values_list("origin", "annotator__kind")) == {("ai", "ai")}
    assert judged.count() == round.asked.count() > 0
    said = judged.first().provenance
    assert said["style"] == "aspects"
    policy = run_of(round, "policy")
    assert policy.recipe == "dpo"
    assert policy.config["pairing"] == "best_vs_random"
    assert policy.base_model == made_by(round, "sft")
    assert policy.snapshot.counts["labels"] == judged.count()
    assert not standing_steps(round, "reward")
