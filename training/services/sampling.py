"""Writes of sampling: let a policy reply to prompts, and put its replies into the queue."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput
from labeling.models import CandidateSource, Comparison, Project, Prompt, User
from labeling.models.prompts import State as PromptState
from labeling.selectors.prompts import select_prompts
from labeling.services import audit
from labeling.services.comparisons import queue_comparisons
from labeling.services.prompts import Sample, add_samples
from training import rundir
from training.endpoints.selectors import outside_problem
from training.models import (
    ModelVersion,
    SampledCandidate,
    SampledComparison,
    SamplingRun,
    TrainingRun,
)
from training.selectors import is_usable
from training.services.attempts import storable
from training.services.runs import MAX_SEED, resolve_config

MAX_OVERLAP = 50
# What a source keeps of a sample beside the columns it has of its own.
_KEPT_SETTINGS = (
    "top_k",
    "candidate",
    "tokens",
    "prompt_tokens",
    "model_logprob",
    "marks",
    "draws",
)


@transaction.atomic
def create_sampling_run(
    *,
    actor: User | None,
    project: Project,
    model: ModelVersion,
    config: Mapping[str, Any] | None = None,
    preset_name: str = "",
    seed: int = 0,
    tags: Sequence[str] = (),
    exclude_tags: Sequence[str] = (),
    limit: int | None = None,
    queue: bool = True,
    overlap: int | None = None,
    priority: int = 0,
) -> TrainingRun:
    """Queue a run that samples a policy on the project's prompts; `run.sampling` says which.

    The prompts are chosen now, by tags, count and seed. With `queue` the replies become
    comparisons as soon as they are there. Raises InvalidInput, with errors by field.
    """
    resolved = resolve_config(recipe="sample", config=config, preset_name=preset_name)
    overlap = overlap or project.overlap
    errors = _errors(project, model, resolved, seed=seed, limit=limit, overlap=overlap, queue=queue)
    if errors:
        raise InvalidInput(_("The model can't be sampled like this."), errors=errors)
    selection = {"tags": [*tags], "exclude_tags": [*exclude_tags], "limit": limit, "seed": seed}
    sampling = SamplingRun(
        model=model,
        selection=selection,
        prompt_ids=_chosen_prompts(project, selection),
        queue_comparisons=queue,
        overlap=overlap,
        priority=priority,
    )
    return _write(actor, project, resolved, seed, sampling)


def _chosen_prompts(project: Project, selection: dict[str, Any]) -> list[int]:
    prompts = select_prompts(project, **selection)
    if not prompts:
        text = _("No prompt of this project has such tags.")
        raise InvalidInput(_("There is nothing to reply to."), errors={"tags": [text]})
    return [prompt.pk for prompt in prompts]


def _write(
    actor: User | None,
    project: Project,
    config: dict[str, Any],
    seed: int,
    sampling: SamplingRun,
) -> TrainingRun:
    sampling.run = TrainingRun.objects.create(
        project=project,
        recipe="sample",
        config=config,
        seed=seed,
        base_model=sampling.model,
        created_by=actor,
    )
    sampling.save()
    audit.record(
        actor=actor,
        project=project,
        verb="sampling.create",
        obj=sampling.run,
        data={"model": str(sampling.model), "prompts": len(sampling.prompt_ids)},
    )
    return sampling.run


def _errors(
    project: Project,
    model: ModelVersion,
    config: Mapping[str, Any],
    *,
    seed: int,
    limit: int | None,
    overlap: int,
    queue: bool,
) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not is_usable(project, model):
        errors["model"] = [_("There is no such model in this project.")]
    elif problem := outside_problem(model):
        errors["model"] = [problem]
    elif model.kind not in (ModelVersion.Kind.POLICY, ModelVersion.Kind.OUTSIDE):
        text = _("{model} is a {kind}; only a policy can reply.")
        errors["model"] = [text.format(model=model, kind=model.get_kind_display())]
    if not 0 <= seed <= MAX_SEED:
        errors["seed"] = [
            _("Use a whole number from {least} to {most}.").format(least=0, most=MAX_SEED)
        ]
    if limit is not None and limit < 1:
        errors["limit"] = [_("Ask for at least one prompt.")]
    if not 1 <= overlap <= MAX_OVERLAP:
        errors["overlap"] = [
            _("Use a whole number from {least} to {most}.").format(least=1, most=MAX_OVERLAP)
        ]
    wanted = project.candidates_per_comparison
    if queue and config["candidates_per_prompt"] < wanted:
        text = _("A comparison of this project needs {count} replies: sample at least as many.")
        errors["candidates_per_prompt"] = [text.format(count=wanted)]
    return errors


def read_samples(folder: Path, model: ModelVersion) -> Iterator[Sample]:
    """Yield the replies that the recipe wrote into samples.jsonl."""
    with (folder / rundir.SAMPLES).open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield Sample(
                prompt_id=int(row["prompt_id"]),
                text=storable(row["text"]),
                model_name=str(model),
                model_sha256=model.sha256,
                finish_reason=row.get("finish_reason", ""),
                seed=row.get("seed"),
                temperature=row.get("temperature"),
                top_p=row.get("top_p"),
                max_new_tokens=row.get("max_new_tokens"),
                logprob=row.get("logprob"),
                sampling={name: row[name] for name in _KEPT_SETTINGS if name in row},
            )


def take_samples(*, run: TrainingRun) -> SamplingRun:
    """Store a finished run's replies and queue them, in the transaction that ends the run."""
    # The project first: whoever ends a round locks it before anything that points to it.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=run.project_id)
    sampling = SamplingRun.objects.select_related("model").get(run=run)
    samples = list(read_samples(run.folder, sampling.model))
    sources = add_samples(actor=run.created_by, project=run.project, samples=samples)
    SampledCandidate.objects.bulk_create(
        [SampledCandidate(sampling_run=sampling, source=source) for source in sources],
        batch_size=1000,
    )
    comparisons = _queue(run, sampling, sources) if sampling.queue_comparisons else []
    SampledComparison.objects.bulk_create(
        [SampledComparison(sampling_run=sampling, comparison=row) for row in comparisons],
        batch_size=1000,
    )
    sampling.candidates_made = len({source.candidate_id for source in sources})
    sampling.comparisons_made = len(comparisons)
    sampling.save(update_fields=["candidates_made", "comparisons_made"])
    return sampling


def _queue(
    run: TrainingRun, sampling: SamplingRun, sources: Sequence[CandidateSource]
) -> list[Comparison]:
    """Make comparisons of this run's replies alone, so that one says something of one model.

    Prompts that were withdrawn while the model replied are left out.
    """
    active = Prompt.objects.filter(pk__in=sampling.prompt_ids, state=PromptState.ACTIVE)
    return queue_comparisons(
        actor=run.created_by,
        project=run.project,
        prompt_ids=active.values_list("pk", flat=True),
        overlap=sampling.overlap,
        priority=sampling.priority,
        origin="sampling",
        candidate_ids={source.candidate_id for source in sources},
    )
