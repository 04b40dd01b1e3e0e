"""Reads of evaluations: what to begin one with, what a model has had, and what to read of one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from labeling.domain.content import plain_messages
from labeling.models import Project, Prompt
from training.models import Evaluation, ModelVersion, TrainingRun
from training.selectors import is_usable, lineage, usable_models


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file that has one a line."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def reference_for(project: Project, model: ModelVersion) -> ModelVersion:
    """Return the model that a policy's learning from preferences began with.

    That is the nearest of its ancestors, itself among them, which was fine-tuned on demonstrations
    or brought from outside; itself where the project may not use that one.
    """
    for step in lineage(model):
        if step.run is None or step.run.recipe == "sft":
            return step if is_usable(project, step) else model
    return model


def baseline_for(project: Project, model: ModelVersion) -> ModelVersion | None:
    """Return the policy that a model was trained from, if the project may use it."""
    parent = model.parent
    usable = parent is not None and parent.kind == model.kind and is_usable(project, parent)
    return parent if usable else None


def reward_model_for(project: Project) -> ModelVersion | None:
    """Return the reward model of the latest evaluation, whose figures compare, or the newest."""
    used = evaluations_of(project).filter(run__reward_model__isnull=False).first()
    if used is not None:
        return used.run.reward_model
    return usable_models(project, [ModelVersion.Kind.REWARD.value]).first()


def evaluations_of(project: Project, model: ModelVersion | None = None) -> QuerySet[Evaluation]:
    """Return the project's evaluations, newest first, of one policy or of all."""
    rows = Evaluation.objects.filter(run__project=project)
    rows = rows.select_related("run__reward_model", "policy", "reference", "baseline")
    return (rows.filter(policy=model) if model else rows).order_by("-run_id")


@dataclass(frozen=True)
class Example:
    """A prompt with a reply of the policy, and one of the baseline where there is one."""

    asked: str
    policy: dict[str, Any]
    baseline: dict[str, Any] | None


def examples_of(run: TrainingRun) -> list[Example]:
    """Return the replies that a finished evaluation picked to be read."""
    picked = (run.result.get("evaluation") or {}).get("examples", [])
    prompts = Prompt.objects.in_bulk([int(row["prompt_id"]) for row in picked])
    return [
        Example(_asked(prompts.get(int(row["prompt_id"]))), row["policy"], row.get("baseline"))
        for row in picked
    ]


def _asked(prompt: Prompt | None) -> str:
    if prompt is None:
        return ""
    return "\n".join(message["content"] for message in plain_messages(prompt.messages))
