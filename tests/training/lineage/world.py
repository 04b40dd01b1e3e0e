"""A family made by hand: two rounds of labels, a reward model, and policies that came of them."""

from dataclasses import dataclass

from django.db import transaction

from labeling.models import CandidateSource, Comparison, Judgement, Project, Snapshot
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_project
from tests.training.factories import (
    make_model,
    make_rewarded_run,
    make_run,
    make_sampling_run,
    make_snapshot,
)
from training.models import ModelVersion, SampledCandidate, TrainingRun
from training.services.models import register_result


@dataclass(frozen=True)
class World:
    """base -> reward (first labels) -> ppo, scored by it -> samples -> second labels -> dpo."""

    project: Project
    base: ModelVersion
    reward: ModelVersion
    ppo: ModelVersion
    dpo: ModelVersion
    first: Snapshot
    second: Snapshot
    sampling: TrainingRun
    early: Judgement
    late: Judgement


@transaction.atomic
def made_by(run: TrainingRun) -> ModelVersion:
    """Return the model of a run that is said to have ended."""
    TrainingRun.objects.filter(pk=run.pk).update(state=TrainingRun.State.SUCCEEDED)
    return register_result(run=run, result={"model": {"sha256": f"{run.pk:064d}"}}, path="x")


def all_train(project: Project) -> Project:
    """Put every prompt into the split that is learned from."""
    project.validation_share = project.test_share = 0.0
    project.save(update_fields=["validation_share", "test_share"])
    return project


def say_sampled(run: TrainingRun, comparisons: list[Comparison]) -> None:
    """Say that the comparisons' first candidates are replies of a sampling run."""
    for comparison in comparisons:
        slot = comparison.slots.order_by("slot").first()
        source = CandidateSource.objects.create(candidate_id=slot.candidate_id)
        SampledCandidate.objects.create(sampling_run=run.sampling, source=source)


def make_world() -> World:
    """Return the world; the second snapshot holds the first one's judgements too."""
    project = all_train(make_project())
    first = make_snapshot(project, labels=3)
    early = Judgement.objects.filter(project=project).latest("pk")
    base = make_model(project, name="base")
    reward = made_by(make_run(project, recipe="reward", snapshot=first, base_model=base))
    ppo_run = make_rewarded_run(project, base_model=base, reward_model=reward, name="ppo")
    ppo = made_by(ppo_run)
    sampling = make_sampling_run(project, model=ppo)
    make_snapshot(project, labels=2)
    late = Judgement.objects.filter(project=project).latest("pk")
    newest = Comparison.objects.filter(judgements__isnull=False).order_by("-pk")[:2]
    say_sampled(sampling, list(newest))
    second = freeze_snapshot(actor=None, project=project)
    dpo = made_by(make_run(project, recipe="dpo", snapshot=second, base_model=base, name="dpo"))
    return World(project, base, reward, ppo, dpo, first, second, sampling, early, late)
