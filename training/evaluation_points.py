"""Finished evaluations as points of a plane: how far from the reference, and how good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from labeling.models import Project
from training.estimates import Estimate, estimate_of
from training.models import Evaluation, ModelVersion, TrainingRun


@dataclass(frozen=True, kw_only=True)
class EvaluationPoint:
    """One finished evaluation. Points are comparable where reference, reward model and split are
    the same: `group` is equal for those.

    `kl` is the sampled KL(policy || reference) of a reply in nats, `reward` the reward model's mean
    score. `win_rate`, against `baseline`, is by the reward model, `judge_win_rate` by the AI judge.
    `gold` is the hidden score where the project has one. `best_of` holds for n = 1, 2, ... the best
    of n replies by the reward model: n, its KL to the policy itself (not to the reference), reward,
    and gold.
    """

    run: UUID
    policy: ModelVersion
    made_by: TrainingRun | None
    reference: ModelVersion
    reward_model: ModelVersion
    baseline: ModelVersion | None
    split: str
    prompts: int
    kl: Estimate
    reward: Estimate
    win_rate: Estimate | None
    judge_win_rate: Estimate | None
    gold: Estimate | None
    length: Estimate
    best_of: tuple[tuple[int, float, Estimate, Estimate | None], ...]

    @property
    def group(self) -> tuple[int, int, str]:
        """Return what two evaluations must share to be held against each other."""
        return self.reference.pk, self.reward_model.pk, self.split


def finished_evaluations(project: Project) -> QuerySet[Evaluation]:
    """Return the project's evaluations that have come to their end, oldest first."""
    return (
        Evaluation.objects.filter(run__project=project, run__state=TrainingRun.State.SUCCEEDED)
        .select_related("run__reward_model", "policy__run", "reference", "baseline", "judge")
        .order_by("run_id")
    )


def evaluation_points(project: Project) -> list[EvaluationPoint]:
    """Return a point for each finished evaluation of the project, oldest first."""
    return [evaluation_point(evaluation) for evaluation in finished_evaluations(project)]


def evaluation_point(evaluation: Evaluation) -> EvaluationPoint:
    """Return the point of a finished evaluation."""
    run, told = evaluation.run, evaluation.run.result["evaluation"]
    policy, wins, gold = told["policy"], told["wins"], evaluation.gold
    golden = {row["n"]: row for row in gold.get("best_of", [])}
    if run.reward_model is None:
        raise ValueError(f"{run} has no reward model")
    return EvaluationPoint(
        run=run.uid,
        policy=evaluation.policy,
        made_by=evaluation.policy.run,
        reference=evaluation.reference,
        reward_model=run.reward_model,
        baseline=evaluation.baseline,
        split=evaluation.selection["split"],
        prompts=told["prompts"],
        kl=estimate_of(policy["kl"]),
        reward=estimate_of(policy["reward"]),
        win_rate=_maybe(wins.get("reward")),
        judge_win_rate=_maybe(wins.get("judge")),
        gold=_maybe(gold.get("policy")),
        length=estimate_of(policy["length"]),
        best_of=tuple(
            (row["n"], row["kl"], estimate_of(row), _maybe(golden.get(row["n"])))
            for row in told["best_of"]
        ),
    )


def _maybe(told: Mapping[str, Any] | None) -> Estimate | None:
    return estimate_of(told) if told else None
