"""Reads of several runs at once, to be held against each other."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import Mod, RowNumber
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput, NotFound
from labeling.models import Project
from training.compared_charts import MOST_RUNS
from training.estimates import Estimate
from training.evaluation_points import EvaluationPoint, evaluation_points
from training.frontier import BestOf, Measured, Plane, Trajectory, averaged
from training.inputs import INPUTS
from training.models import MetricPoint, ModelVersion, TrainingRun
from training.selectors import runs_of

FEWEST_RUNS = 2
# As many rows of each run at most, beside its evaluations: what a chart of half a page can show.
ROWS = 600
# A trajectory has as many points: each the mean of enough steps to stand out of their noise.
WAYPOINTS = 16
SIBLINGS = 6
OFFERED = 100
# What a run says of itself at an evaluation goes before what it draws from while it learns.
_KL_AND_REWARD = (
    ("eval_objective/kl", "eval_objective/scores"),
    ("objective/kl", "objective/scores"),
)

Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Row:
    """One quantity, and its value in each of the runs: None where a run has none."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Settings:
    """What the runs were started with: where they differ, are alike, or can't be compared."""

    differing: tuple[Row, ...]
    equal: tuple[Row, ...]
    of_some: tuple[Row, ...]


@dataclass(frozen=True)
class Frontier:
    """Reward over KL where reward model and reference are the same; gold where it is known."""

    reward_model: ModelVersion
    reference: ModelVersion
    proxy: Plane
    gold: Plane


@dataclass(frozen=True)
class SideBySide:
    """Several runs, in the order in which they were chosen, and all that is compared of them."""

    runs: tuple[TrainingRun, ...]
    settings: Settings
    measures: tuple[Row, ...]
    curves: Mapping[str, tuple[Points, ...]]
    frontiers: tuple[Frontier, ...]


def chosen_runs(project: Project, uids: Sequence[str]) -> list[TrainingRun]:
    """Return the runs of those uids, in their order, each once.

    Raises InvalidInput for fewer than two or more than eight, NotFound for one that is none of
    the project's.
    """
    wanted = list(dict.fromkeys(_uid(text) for text in uids))
    if not FEWEST_RUNS <= len(wanted) <= MOST_RUNS:
        few = _("Choose {fewest} to {most} runs, not {count}.")
        given = few.format(fewest=FEWEST_RUNS, most=MOST_RUNS, count=len(wanted))
        raise InvalidInput(_("That many runs can't be compared."), errors={"run": [given]})
    found = {run.uid: run for run in runs_of(project).filter(uid__in=wanted)}
    if len(found) < len(wanted):
        raise _unknown()
    return [found[uid] for uid in wanted]


def _uid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise _unknown() from None


def _unknown() -> NotFound:
    return NotFound(_("There is no such run in this project."))


def side_by_side(project: Project, uids: Sequence[str]) -> SideBySide:
    """Return what is to be compared of the runs of those uids. Raises as `chosen_runs`."""
    runs = chosen_runs(project, uids)
    found = _curves(runs)
    names = sorted({name for curves in found for name in curves})
    lines = {name: tuple(tuple(curves.get(name, ())) for curves in found) for name in names}
    return SideBySide(
        runs=tuple(runs),
        settings=settings_of([run.config for run in runs]),
        measures=_measures(runs, lines),
        curves={name: points for name, points in lines.items() if shared(points)},
        frontiers=tuple(_frontiers(runs, found, evaluation_points(project))),
    )


def frontiers_of(runs: Sequence[TrainingRun]) -> list[Frontier]:
    """Return reward over KL around runs of one project; nothing where none is given."""
    if not runs:
        return []
    return list(_frontiers(runs, _curves(runs), evaluation_points(runs[0].project)))


def shared(values: Iterable[Any]) -> bool:
    """Return whether two runs or more have a value, or points."""
    return sum(value not in (None, ()) for value in values) >= FEWEST_RUNS


def settings_of(configs: Sequence[Mapping[str, Any]]) -> Settings:
    """Return the configs' fields, in their order: `of_some` are those that not all of them have.

    A field counts as differing where two that have it differ; a recipe that knows no such field
    says nothing about it.
    """
    names = list(dict.fromkeys(name for config in configs for name in config))
    differing: list[Row] = []
    equal: list[Row] = []
    of_some: list[Row] = []
    for name in names:
        row = Row(name, tuple(config.get(name) for config in configs))
        having = [config[name] for config in configs if name in config]
        if any(value != having[0] for value in having):
            differing.append(row)
        else:
            (equal if len(having) == len(configs) else of_some).append(row)
    return Settings(tuple(differing), tuple(equal), tuple(of_some))


def _measures(
    runs: Sequence[TrainingRun], curves: Mapping[str, Sequence[Points]]
) -> tuple[Row, ...]:
    """Return what two runs or more measured last: of a finished run as its result tells it."""
    last = [
        {name: points[place][-1][1] for name, points in curves.items() if points[place]}
        | run.result.get("metrics", {})
        for place, run in enumerate(runs)
    ]
    names = sorted({name for measured in last for name in measured})
    rows = (Row(name, tuple(measured.get(name) for measured in last)) for name in names)
    return tuple(row for row in rows if shared(row.values))


def _curves(runs: Sequence[TrainingRun]) -> list[dict[str, list[tuple[int, float]]]]:
    """Return the points of each quantity, for each of the runs, in one query."""
    found: dict[int, dict[str, list[tuple[int, float]]]] = {run.pk: {} for run in runs}
    for run, step, values in _rows(runs).values_list("run_id", "step", "values"):
        for name, value in values.items():
            if value is not None:  # what was no number
                found[run].setdefault(name, []).append((step, value))
    return [found[run.pk] for run in runs]


def _rows(runs: Sequence[TrainingRun]) -> QuerySet[MetricPoint]:
    """Return every n-th row of each run, its evaluations, and its last row."""
    rows = MetricPoint.objects.filter(run__in=runs)
    number = Window(RowNumber(), partition_by="run_id", order_by=["step", "pk"])
    total = Window(Count("pk"), partition_by="run_id")
    evaluated = Q(values__has_any_keys=["eval_loss", "eval_accuracy", "eval_objective/kl"])
    numbered = rows.annotate(number=number, total=total).annotate(
        place=Mod(F("number"), F("total") / ROWS + 1)
    )
    kept = numbered.filter(Q(place=0) | Q(number=F("total")) | evaluated)
    return kept.order_by("run_id", "step", "pk")


def _frontiers(
    runs: Sequence[TrainingRun],
    found: Sequence[Mapping[str, Sequence[tuple[int, float]]]],
    evaluations: Sequence[EvaluationPoint],
) -> Iterable[Frontier]:
    """Yield one frontier for each reward model and reference that have a point.

    Scores of two reward models are on two scales, and KLs to two references start at two places.
    """
    ways = [
        (run, way)
        for place, (run, curves) in enumerate(zip(runs, found, strict=True), start=1)
        if (way := _way(place, run, curves)) is not None
    ]
    points = [one for one in evaluations if _concerns(one, runs)]
    pairs = {(run.reward_model, run.base_model): None for run, _way_of_run in ways}
    pairs |= {(one.reward_model, one.reference): None for one in points}
    for judge, reference in pairs:
        if judge is None or reference is None:
            continue
        here = [one for one in points if (one.reward_model, one.reference) == (judge, reference)]
        own = [way for run, way in ways if (run.reward_model, run.base_model) == (judge, reference)]
        proxy = Plane(tuple(own), *_measured(runs, here, lambda one: one.reward, _best_reward))
        gold = Plane((), *_measured(runs, here, lambda one: one.gold, _best_gold))
        yield Frontier(judge, reference, proxy, gold)


def _way(
    place: int, run: TrainingRun, curves: Mapping[str, Sequence[tuple[int, float]]]
) -> Trajectory | None:
    """Return the way of a run that tells its KL and its reward; None of another."""
    for kl, reward in _KL_AND_REWARD:
        rewards = dict(curves.get(reward, ()))
        both = [(step, far, rewards[step]) for step, far in curves.get(kl, ()) if step in rewards]
        if both:
            return Trajectory(place, name_of(run), tuple(averaged(both, WAYPOINTS)))
    return None


def name_of(run: TrainingRun) -> str:
    """Return by what a run is called beside others."""
    return f"{run.recipe} {run.pk}"


def _concerns(one: EvaluationPoint, runs: Sequence[TrainingRun]) -> bool:
    """Whether the evaluated policy was made by one of the runs, or is what one of them left."""
    starts = {run.base_model_id for run in runs}
    return _place(one, runs) > 0 or one.policy.pk in starts


def _place(one: EvaluationPoint, runs: Sequence[TrainingRun]) -> int:
    """Return the place of the run that made the policy or evaluated it, from 1; 0 for neither."""
    for place, run in enumerate(runs, start=1):
        if run.pk == one.policy.run_id or run.uid == one.run:
            return place
    return 0


_Best = tuple[tuple[int, float, Estimate], ...]


def _measured(
    runs: Sequence[TrainingRun],
    points: Sequence[EvaluationPoint],
    reward: Callable[[EvaluationPoint], Estimate | None],
    best: Callable[[EvaluationPoint], _Best],
) -> tuple[tuple[Measured, ...], tuple[BestOf, ...]]:
    """Return the evaluated policies by one kind of reward, and best-of-n of the reference.

    The KL of best-of-n is to the policy that replied, so it has a place here for the reference
    alone.
    """
    measured, curves = [], []
    for one in points:
        place, mean = _place(one, runs), reward(one)
        name = f"{one.policy} ({one.split})"
        if mean is not None:
            measured.append(Measured(place, name, one.kl, mean))
        if one.policy.pk == one.reference.pk and best(one):
            curves.append(BestOf(place, _("best of n, {policy}").format(policy=name), best(one)))
    return tuple(measured), tuple(curves)


def _best_reward(one: EvaluationPoint) -> _Best:
    return tuple((n, kl, reward) for n, kl, reward, _gold in one.best_of)


def _best_gold(one: EvaluationPoint) -> _Best:
    return tuple((n, kl, gold) for n, kl, _reward, gold in one.best_of if gold is not None)


def other_runs(project: Project, runs: Sequence[TrainingRun]) -> QuerySet[TrainingRun]:
    """Return the project's newest runs that learn and are none of these: uid and recipe."""
    found = TrainingRun.objects.filter(project=project).exclude(pk__in=[run.pk for run in runs])
    return found.filter(recipe__in=INPUTS).only("uid", "recipe").order_by("-pk")[:OFFERED]


def comparable_runs(run: TrainingRun) -> QuerySet[TrainingRun]:
    """Return the runs of the project that one would hold a run against, newest first.

    The run that made the model it started from, and those that learned from the same snapshot, or
    without one by the same reward model; none of a run that learns nothing.
    """
    if run.recipe not in INPUTS:
        return TrainingRun.objects.none()
    like = Q(pk=run.base_model.run_id) if run.base_model and run.base_model.run_id else Q(pk=None)
    if run.snapshot_id:
        like |= Q(snapshot_id=run.snapshot_id)
    elif run.reward_model_id:
        like |= Q(reward_model_id=run.reward_model_id, snapshot=None)
    found = TrainingRun.objects.filter(project_id=run.project_id, recipe__in=INPUTS)
    return (
        found.exclude(pk=run.pk)
        .filter(like)
        .select_related("base_model")
        .order_by("-pk")[:SIBLINGS]
    )
