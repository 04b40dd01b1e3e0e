"""Reads of what is asked first: what a scoring scores, what it found, which arm chose what."""

from dataclasses import dataclass

from django.db.models import Count, Q

from labeling.models import Comparison
from training.acquisition.models import Scoring
from training.acquisition.strategies import RANDOM
from training.models import ModelVersion, TrainingRun
from training.rounds.models import Round, RoundComparison, RoundStep
from training.rounds.selectors import loop_of, standing_steps


def scorer_for(round: Round) -> ModelVersion | None:
    """Return the reward model by which a round chooses what it asks: the newest of earlier rounds.

    None where it chooses by chance, or no earlier round made one.
    """
    if loop_of(round).config.strategy == RANDOM:
        return None
    rows = RoundStep.objects.filter(
        round__project=round.project_id,
        round__number__lt=round.number,
        kind=RoundStep.Kind.REWARD,
        is_superseded=False,
        run__state=TrainingRun.State.SUCCEEDED,
    )
    step = rows.select_related("run").order_by("-round__number").first()
    return step.run.model_version if step and step.run else None


def scores_for(round: Round) -> dict[int, list[float]]:
    """Return what each member of that reward model says of the round's replies, by candidate.

    Those that it could not read are left out; empty where the round scores nothing.
    """
    steps = standing_steps(round, RoundStep.Kind.SCORE)
    rows = Scoring.objects.filter(run__in=[step.run_id for step in steps])
    found = rows.values_list("scores", flat=True).first() or {}
    return {int(pk): scores for pk, scores in found.items()}


@dataclass(frozen=True)
class Arm:
    """What one arm chose of a round's comparisons, and how much of it is judged."""

    name: str
    label: str
    comparisons: int
    closed: int


def arms_of(round: Round) -> list[Arm]:
    """Return how many comparisons each arm chose, chance first; one read."""
    rows = (
        RoundComparison.objects.filter(round=round)
        .exclude(comparison__state=Comparison.State.WITHDRAWN)
        .values("arm")
        .annotate(
            all=Count("pk"), closed=Count("pk", filter=~Q(comparison__state=Comparison.State.OPEN))
        )
    )
    counts = {row["arm"]: row for row in rows}
    return [
        Arm(arm.value, str(arm.label), counts[arm]["all"], counts[arm]["closed"])
        for arm in RoundComparison.Arm
        if arm in counts
    ]
