"""Reads of rounds: where they stand, what they wait for, what they cost, what is current."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Final

from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput, NotFound
from labeling.language import all_said
from labeling.models import Annotator, Comparison, Judgement, Project
from training.config_fields import ConfigError
from training.contests.models import Contest
from training.contests.selectors import latest_contest
from training.evaluation_points import EvaluationPoint, evaluation_point, finished_evaluations
from training.models import ModelVersion, TrainingRun
from training.rounds.loops import Loop, parse_loop
from training.rounds.models import Promotion, Round, RoundStep
from training.selectors import lineage

Kind = RoundStep.Kind


def current_policy(project: Project) -> ModelVersion | None:
    """Return the project's current policy: what was promoted last."""
    row = Promotion.objects.filter(project=project).select_related("model").first()
    return row.model if row else None


def first_policy(project: Project) -> ModelVersion | None:
    """Return the policy that the loop began with: what was promoted first."""
    rows = Promotion.objects.filter(project=project).select_related("model").order_by("pk")
    first = rows.first()
    return first.model if first else None


def policy_before(project: Project) -> ModelVersion | None:
    """Return the policy to which a rollback would go back; None where there is none.

    A promotion puts a policy on top of those before it, a rollback takes the top one away: what
    was rolled back is not gone back to.
    """
    rows = Promotion.objects.filter(project=project).order_by("pk")
    line: list[int] = []
    for model, is_rollback in rows.values_list("model_id", "is_rollback"):
        if is_rollback:
            line.pop()
        elif not line or line[-1] != model:
            line.append(model)
    return ModelVersion.objects.get(pk=line[-2]) if len(line) > 1 else None


def promotions_of(project: Project) -> QuerySet[Promotion]:
    """Return what was promoted, newest first."""
    return Promotion.objects.filter(project=project).select_related("model", "round", "created_by")


def rounds_of(project: Project) -> QuerySet[Round]:
    """Return the project's rounds, newest first."""
    return Round.objects.filter(project=project).select_related("policy", "created_by")


def open_rounds() -> list[int]:
    """Return the rounds of all projects that are under way and not paused."""
    rows = Round.objects.filter(is_paused=False).exclude(state__in=Round.ENDED)
    return list(rows.values_list("pk", flat=True))


def made_for_a_round(run_id: int) -> bool:
    """Return whether a run is the step of a round, which may go on when the run ends."""
    return RoundStep.objects.filter(run_id=run_id).exists()


def get_round(project: Project, number: int) -> Round:
    """Return one round of the project. Raises NotFound."""
    found = rounds_of(project).filter(number=number).first()
    if found is None:
        raise NotFound(_("There is no such round in this project."))
    return found


def loop_of(round: Round) -> Loop:
    """Return the loop as it was when the round started.

    Raises InvalidInput where this version no longer reads it.
    """
    try:
        return parse_loop(round.config)
    except ConfigError as error:
        text = _("This version does not read how this round turns: cancel it and start another.")
        raise InvalidInput(text, errors=all_said(error.errors)) from None


def begins_from(round: Round) -> ModelVersion:
    """Return the policy that the round learns from here on, before it is fine-tuned, if it is."""
    if loop_of(round).config.start == "current":
        return round.policy
    return first_policy(round.project) or round.policy


def start_policy(round: Round) -> ModelVersion:
    """Return what the next policy starts from, which is also its reference."""
    return fine_tuned(round, begins_from(round))


def fine_tuned(round: Round, model: ModelVersion) -> ModelVersion:
    """Return what the loop's newest SFT up to this round made of a policy; else the policy itself.

    It stands in for that policy wherever the loop samples it or trains from it.
    """
    if loop_of(round).config.sft == "none":
        return model
    return fine_tuned_by_rounds(round.project, model, until=round.number) or model


def fine_tuned_by_rounds(
    project: Project, model: ModelVersion, *, until: int | None = None
) -> ModelVersion | None:
    """Return the newest model that SFT in the project's rounds made of a policy, if any did.

    With `until` only rounds up to that number count.
    """
    made = RoundStep.objects.filter(
        round__project=project,
        kind=Kind.SFT,
        is_superseded=False,
        run__base_model=model,
        run__state=TrainingRun.State.SUCCEEDED,
    )
    if until is not None:
        made = made.filter(round__number__lte=until)
    step = made.select_related("run").order_by("-pk").first()
    return step.run.model_version if step and step.run else None


def wants_fine_tuning(round: Round) -> bool:
    """Return whether the loop would have the round fine-tune what it begins from."""
    wish = loop_of(round).config.sft
    return wish == "each" or (wish == "once" and not has_learned_to_reply(start_policy(round)))


def has_learned_to_reply(model: ModelVersion) -> bool:
    """Return whether the model, or one that it descends from, was made by SFT in Prefloop."""
    return any(step.run is not None and step.run.recipe == "sft" for step in lineage(model))


def standing_steps(round: Round, kind: str | None = None) -> list[RoundStep]:
    """Return the round's steps that no redoing superseded, oldest first."""
    rows = RoundStep.objects.filter(round=round, is_superseded=False)
    if kind is not None:
        rows = rows.filter(kind=kind)
    return list(rows.select_related("run", "snapshot").order_by("pk"))


def made_by(round: Round, kind: str) -> ModelVersion | None:
    """Return the model that the round's step of a kind made; None where there is none yet."""
    steps = standing_steps(round, kind)
    return steps[0].run.model_version if steps and steps[0].run else None


def measured_by(round: Round) -> EvaluationPoint | None:
    """Return what the round's evaluation says of its policy; None where there is none yet."""
    steps = standing_steps(round, Kind.EVALUATE)
    runs = [step.run_id for step in steps]
    found = finished_evaluations(round.project).filter(run__in=runs).first()
    return evaluation_point(found) if found else None


def round_contest(round: Round) -> Contest | None:
    """Return the contest in which people compare the round's policies; None where there is none."""
    steps = standing_steps(round, Kind.EVALUATE)
    return latest_contest(steps[0].run_id) if steps else None


@dataclass(frozen=True)
class Labelling:
    """How far the round's comparisons are judged; `wanted` closed ones let the round go on."""

    comparisons: int
    closed: int
    wanted: int

    @property
    def is_done(self) -> bool:
        """Whether enough is judged."""
        return 0 < self.wanted <= self.closed


def labelling_of(round: Round, judged_share: float, *, by_people: bool = False) -> Labelling:
    """Return how far the round's labelling is; a withdrawn comparison asks nobody any more.

    With `by_people` only of what waits, or waited, for people; in a loop of AI judges alone that is
    what they left to people in this round, whatever else people are asked about meanwhile.
    """
    asked = Comparison.objects.filter(asked_by_round__round=round)
    if by_people:
        asked = asked.filter(for_ai=False)
        if loop_of(round).config.judges == "ai":
            left = Comparison.objects.filter(routings__round=round)
            asked = asked.filter(pk__in=left.values("pk"))
    counts = asked.exclude(state=Comparison.State.WITHDRAWN).aggregate(
        all=Count("pk"), closed=Count("pk", filter=~Q(state=Comparison.State.OPEN))
    )
    return Labelling(counts["all"], counts["closed"], ceil(judged_share * counts["all"]))


@dataclass(frozen=True)
class Cost:
    """What a round took: people's judgements and those of AI judges, seconds that people were
    active, seconds of its runs.
    """

    judgements: int
    ai_judgements: int
    active_s: float
    computed_s: float


def cost_of(round: Round) -> Cost:
    """Return what the round took so far; two reads."""
    judged = Judgement.objects.filter(comparison__asked_by_round__round=round).aggregate(
        count=Count("pk"),
        by_ai=Count("pk", filter=Q(annotator__kind=Annotator.Kind.AI)),
        active=Sum("active_ms"),
    )
    computed = TrainingRun.objects.filter(
        round_step__round=round, started_at__isnull=False, finished_at__isnull=False
    ).aggregate(sum=Sum(F("finished_at") - F("started_at")))
    return Cost(
        judgements=judged["count"] - judged["by_ai"],
        ai_judgements=judged["by_ai"],
        active_s=(judged["active"] or 0) / 1000,
        computed_s=(computed["sum"] or timedelta(0)).total_seconds(),
    )


@dataclass(frozen=True)
class Box:
    """One state of a round as its picture shows it."""

    state: str
    label: str
    place: str  # done, here, ahead, or left_out where this round has no such state
    steps: Sequence[RoundStep]


MADE_IN: Final[dict[str, Round.State]] = {
    Kind.REVISE: Round.State.SAMPLING,
    Kind.SFT: Round.State.SAMPLING,
    Kind.SAMPLE: Round.State.SAMPLING,
    Kind.SCORE: Round.State.SAMPLING,
    Kind.JUDGE: Round.State.LABELLING,
    Kind.FREEZE: Round.State.FROZEN,
    Kind.REWARD: Round.State.TRAINING_REWARD,
    Kind.POLICY: Round.State.TRAINING_POLICY,
    Kind.EVALUATE: Round.State.EVALUATING,
}
"""The state in which a round makes each kind of step, in the order in which it makes them."""

_OF_REWARDS = (Round.State.TRAINING_REWARD, Round.State.EVALUATING)
PATH: list[Round.State] = [state for state in Round.State if state != Round.State.CANCELLED]


def picture_of(round: Round) -> list[Box]:
    """Return the round's states in order, each with what was made there; one read."""
    steps = standing_steps(round)
    left_out = () if loop_of(round).config.trains_reward else _OF_REWARDS
    here = PATH.index(Round.State(round.state)) if round.state in PATH else len(PATH)
    return [
        Box(
            state=state.value,
            label=str(state.label),
            place="left_out" if state in left_out else _place(at, here, ended=not round.is_open),
            steps=[step for step in steps if MADE_IN[step.kind] == state],
        )
        for at, state in enumerate(PATH)
    ]


def _place(at: int, here: int, *, ended: bool) -> str:
    if at < here or (ended and at == here):
        return "done"
    return "here" if at == here else "ahead"
