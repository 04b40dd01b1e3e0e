"""Reads of runs, of what they measured, and of the models they made."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Window
from django.db.models.functions import Mod, RowNumber
from django.utils.translation import gettext as _

from labeling.domain.content import plain_messages
from labeling.domain.sentences import sentence
from labeling.domain.splits import split_of
from labeling.exceptions import NotFound
from labeling.models import Candidate, Project, Prompt, Snapshot
from labeling.selectors.snapshots import demonstration_rows, preference_rows, ranking_rows
from training.acquisition.models import Scoring
from training.constitutions.models import RevisingRun
from training.constitutions.selectors import principle_rows
from training.inputs import INPUTS
from training.judges.selectors import comparison_rows
from training.models import (
    Evaluation,
    MetricPoint,
    ModelVersion,
    RunPrompts,
    SamplingRun,
    TrainingRun,
)
from training.rundir import read_rollouts

SHOWN_REPLIES = 40
# More points than this say nothing more on a chart, but cost at every poll.
CHART_POINTS = 2000
TINY_BYTES = 64 * 1024 * 1024
BATCH = 1000
# Enough for the mean of a reward model's scores to be known to a few hundredths.
REFERENCE_ROWS = 256


def runs_of(project: Project) -> QuerySet[TrainingRun]:
    """Return the project's runs, newest first, with all that a list shows of them."""
    return (
        TrainingRun.objects.filter(project=project)
        .select_related("snapshot", "base_model", "reward_model", "created_by", "sampling__model")
        .select_related("judging__judge")
        .select_related("revising__model", "revising__constitution__constitution")
        .select_related(
            *(f"evaluation__{name}" for name in ("policy", "reference", "baseline", "judge"))
        )
        .prefetch_related("made_models")
        .order_by("-pk")
    )


def get_run(project: Project, uid: uuid.UUID | str) -> TrainingRun:
    """Return one run of the project. Raises NotFound."""
    run = runs_of(project).filter(uid=uid).first()
    if run is None:
        raise NotFound(_("There is no such run in this project."))
    return run


def usable_models(project: Project, kinds: Iterable[str] = ()) -> QuerySet[ModelVersion]:
    """Return the models that belong to the project or are shared with it, newest first."""
    shared = ModelVersion.shared_with.through.objects.filter(
        modelversion=OuterRef("pk"), project=project
    )
    models = ModelVersion.objects.filter(Q(project=project) | Exists(shared))
    if kinds:
        models = models.filter(kind__in=list(kinds))
    return models.select_related("project", "run", "parent", "run__snapshot").order_by("-pk")


def is_usable(project: Project, model: ModelVersion) -> bool:
    """Return whether the model belongs to the project or is shared with it."""
    return model.project_id == project.pk or model.shared_with.filter(pk=project.pk).exists()


def get_model(project: Project, pk: int) -> ModelVersion:
    """Return one model that the project may use. Raises NotFound."""
    model = usable_models(project).filter(pk=pk).first()
    if model is None:
        raise NotFound(_("There is no such model in this project."))
    return model


def base_models(project: Project, recipe: str, pk: str = "") -> QuerySet[ModelVersion]:
    """Return the models that a run of the recipe may start from, or the one of them asked for.

    Finished ones come before what a stopped run left.
    """
    models = usable_models(project, INPUTS[recipe].base_kinds).order_by("is_partial", "-pk")
    return models.filter(pk=pk) if pk.isdecimal() else models


def preset_for(recipe: str, model: ModelVersion | None) -> str:
    """Return the preset to begin with: made for tiny models where the model is one.

    A full-sized model's learning rate would teach a model of a million parameters nothing.
    """
    if model is None:
        return "tiny-scratch" if recipe == "sft" else "default"
    size = sum(path.stat().st_size for path in model.folder.glob("*.safetensors"))
    return "tiny-cpu" if 0 < size < TINY_BYTES else "default"


def runs_from(project: Project, model: ModelVersion) -> QuerySet[TrainingRun]:
    """Return the project's training runs that started from the model, newest first."""
    return runs_of(project).filter(
        base_model=model, sampling=None, evaluation=None, judging=None, revising=None
    )


def snapshots_of(project: Project, kind: str) -> QuerySet[Snapshot]:
    """Return the project's snapshots of a kind, newest first."""
    return Snapshot.objects.filter(project=project, kind=kind).order_by("-number")


_ANCESTORS = """
WITH RECURSIVE line(id, parent_id, depth) AS (
    SELECT id, parent_id, 0 FROM training_modelversion WHERE id = %s
    UNION ALL
    SELECT m.id, m.parent_id, line.depth + 1
    FROM training_modelversion m JOIN line ON m.id = line.parent_id WHERE line.depth < 100
)
SELECT id, depth FROM line ORDER BY depth
"""


def lineage(model: ModelVersion) -> list[ModelVersion]:
    """Return the model, its parent, and so on to the first; each with its run and snapshot."""
    ids = [row.pk for row in ModelVersion.objects.raw(_ANCESTORS, [model.pk])]
    rows = ModelVersion.objects.select_related(
        "project", "run", "run__snapshot", "run__reward_model", "run__created_by"
    ).in_bulk(ids)
    return [rows[pk] for pk in ids]


def sampling_runs_of(project: Project, model: ModelVersion | None = None) -> QuerySet[SamplingRun]:
    """Return the project's sampling runs, newest first, of one model or of all."""
    rows = SamplingRun.objects.filter(run__project=project).select_related("run", "model")
    return (rows.filter(model=model) if model else rows).order_by("-run_id")


def flagged_samples(run: TrainingRun) -> int:
    """Return how many distinct replies of a sampling run seem to name their maker."""
    found = Candidate.objects.filter(sources__sampled__sampling_run=run.pk, names_its_maker=True)
    return found.distinct().count()


@dataclass(frozen=True)
class Replies:
    """Some replies that a run drew at one step while it learned."""

    step: int
    replies: list[dict[str, Any]]


def rollouts_of(run: TrainingRun) -> list[Replies]:
    """Return replies that the run kept to be read, those of the latest step first."""
    if not INPUTS.get(run.recipe) or not INPUTS[run.recipe].rewarded:
        return []
    found: dict[int, list[dict[str, Any]]] = {}
    for row in read_rollouts(run.folder, SHOWN_REPLIES):
        asked = "\n".join(message["content"] for message in row["prompt"])
        found.setdefault(row["step"], []).append({**row, "asked": asked})
    return [Replies(step, rows) for step, rows in sorted(found.items(), reverse=True)]


def metrics_of(run: TrainingRun) -> QuerySet[MetricPoint]:
    """Return everything the run measured, in the order of steps."""
    return MetricPoint.objects.filter(run=run).order_by("step", "pk")


@dataclass(frozen=True)
class Curve:
    """One measured quantity over the steps of a run."""

    name: str
    points: tuple[tuple[int, float], ...]


def curves(run: TrainingRun, limit: int = CHART_POINTS) -> list[Curve]:
    """Return what the run measured by name; of a long run every n-th row, and all evaluations."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step, values in _thinned(run, limit).values_list("step", "values"):
        for name, value in values.items():
            found.setdefault(name, []).append((step, value))
    return [Curve(name, tuple(points)) for name, points in found.items()]


def _thinned(run: TrainingRun, limit: int) -> QuerySet[MetricPoint]:
    rows = metrics_of(run)
    stride = rows.count() // limit + 1
    if stride == 1:
        return rows
    number = Window(RowNumber(), order_by=["step", "pk"])
    evaluated = Q(values__has_any_keys=["eval_loss", "eval_accuracy", "eval_objective/scores"])
    return rows.annotate(number=number, place=Mod(F("number"), stride)).filter(
        Q(place=0) | evaluated
    )


def input_rows(run: TrainingRun) -> Iterator[dict[str, Any]]:
    """Yield the rows of the run's data.jsonl, as docs/run-protocol.md describes them."""
    if run.recipe == "sample":
        return prompt_rows(run.project, SamplingRun.objects.get(run=run).prompt_ids)
    if run.recipe == "revise":
        asked = RevisingRun.objects.get(run=run).prompt_ids
        return chain(principle_rows(run), prompt_rows(run.project, asked))
    if run.recipe == "judge":
        return comparison_rows(run)
    if run.recipe == "evaluate":
        return prompt_rows(run.project, Evaluation.objects.get(run=run).prompt_ids)
    if run.recipe == "score":
        return reply_rows(Scoring.objects.values_list("candidate_ids", flat=True).get(run=run))
    snapshot = run.snapshot
    if INPUTS[run.recipe].rewarded:
        prompts = prompt_rows(run.project, RunPrompts.objects.get(run=run).prompt_ids)
        return chain(prompts, demonstration_rows(snapshot)) if snapshot else prompts
    if snapshot is None:
        raise NotFound(sentence("{run} has no snapshot to learn from.", run=str(run)))
    if snapshot.kind == Snapshot.Kind.DEMONSTRATIONS:
        return demonstration_rows(snapshot)
    if run.recipe == "reward":
        return chain(ranking_rows(snapshot), _reference_rows(run))
    return preference_rows(snapshot)


def _reference_rows(run: TrainingRun) -> Iterator[dict[str, Any]]:
    """Yield the demonstrations that the base model learned from, whose mean score is to be 0.

    Those of the nearest ancestor that learned from any in this project, at most so many as make a
    mean; none where there is no such ancestor.
    """
    if run.base_model is None:
        return
    for model in lineage(run.base_model):
        snapshot = model.run.snapshot if model.run else None
        if snapshot is None or snapshot.project_id != run.project_id:
            continue
        if snapshot.kind == Snapshot.Kind.DEMONSTRATIONS:
            for row in islice(demonstration_rows(snapshot), REFERENCE_ROWS):
                yield {**row, "split": "reference"}
            return


def reply_rows(candidate_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the replies to score, in the order of their ids as given."""
    for start in range(0, len(candidate_ids), BATCH):
        ids = candidate_ids[start : start + BATCH]
        found = Candidate.objects.select_related("prompt").in_bulk(ids)
        for candidate in (found[pk] for pk in ids):
            yield {
                "candidate_id": str(candidate.pk),
                "prompt": plain_messages(candidate.prompt.messages),
                "completion": plain_messages(candidate.messages),
            }


def prompt_rows(project: Project, prompt_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the prompts to sample, in the order of their ids as given."""
    for start in range(0, len(prompt_ids), BATCH):
        ids = prompt_ids[start : start + BATCH]
        prompts = Prompt.objects.filter(project=project).select_related("group").in_bulk(ids)
        for prompt in (prompts[pk] for pk in ids):
            yield {
                "prompt_id": str(prompt.pk),
                "prompt": plain_messages(prompt.messages),
                "split": split_of(
                    prompt.group.key,
                    validation_share=project.validation_share,
                    test_share=project.test_share,
                ),
            }
