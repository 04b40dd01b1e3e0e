"""Writes of evaluation: let a policy be measured, and note what the hidden score says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.demo.gold import GOLD_VERSION, gold_score, has_gold
from labeling.domain.content import plain_messages
from labeling.exceptions import InvalidInput
from labeling.models import Project, Prompt, User
from labeling.selectors.prompts import select_prompts
from labeling.services import audit
from training import rundir
from training.best_of_n import best_of_curve
from training.estimates import clustered_mean
from training.models import Evaluation, ModelVersion, TrainingRun
from training.selectors import is_usable
from training.selectors_evaluations import read_lines, reference_for
from training.services.runs import MAX_SEED, resolve_config

SPLITS = ("validation", "test")
LEAST_PROMPTS = 2  # one alone gives no interval
_POLICY, _REWARD = ModelVersion.Kind.POLICY, ModelVersion.Kind.REWARD


@transaction.atomic
def create_evaluation(
    *,
    actor: User | None,
    project: Project,
    policy: ModelVersion,
    reward_model: ModelVersion,
    reference: ModelVersion | None = None,
    baseline: ModelVersion | None = None,
    judge: ModelVersion | None = None,
    config: Mapping[str, Any] | None = None,
    preset_name: str = "",
    seed: int = 0,
    split: str = "validation",
    tags: Sequence[str] = (),
    exclude_tags: Sequence[str] = (),
    limit: int | None = None,
) -> TrainingRun:
    """Queue a run that measures a policy on held-out prompts; `run.evaluation` says against what.

    Without a reference the KL is measured to the model that the policy's learning from preferences
    began with. The prompts are chosen now, by split, tags, count and seed. Raises InvalidInput,
    with errors by field.
    """
    resolved = resolve_config(recipe="evaluate", config=config, preset_name=preset_name)
    reference = reference or reference_for(project, policy)
    evaluation = Evaluation(policy=policy, reference=reference, baseline=baseline, judge=judge)
    errors = _model_errors(project, evaluation, reward_model)
    errors |= _selection_errors(split, limit, seed)
    if errors:
        raise InvalidInput(_("The model can't be evaluated like this."), errors=errors)
    evaluation.selection = {
        **{"split": split, "tags": [*tags], "exclude_tags": [*exclude_tags]},
        **{"limit": limit, "seed": seed},
    }
    evaluation.prompt_ids = _chosen_prompts(project, evaluation.selection)
    return _write(actor, evaluation, project, reward_model, resolved)


def _model_errors(
    project: Project, evaluation: Evaluation, reward_model: ModelVersion
) -> dict[str, list[str]]:
    policies = {
        "policy": evaluation.policy,
        "reference": evaluation.reference,
        "baseline": evaluation.baseline,
        "judge": evaluation.judge,
    }
    asked = [(name, model, _POLICY) for name, model in policies.items() if model]
    errors: dict[str, list[str]] = {}
    for name, model, kind in [*asked, ("reward_model", reward_model, _REWARD)]:
        if not is_usable(project, model):
            errors[name] = [_("There is no such model in this project.")]
        elif model.kind != kind:
            text = _("{model} is a {kind}; a {wanted} is asked for.")
            errors[name] = [
                text.format(model=model, kind=model.get_kind_display(), wanted=kind.label)
            ]
    if evaluation.judge and not evaluation.baseline:
        errors["baseline"] = [_("The AI judge compares with a baseline: choose one.")]
    return errors


def _selection_errors(split: str, limit: int | None, seed: int) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if split not in SPLITS:
        errors["split"] = [_("Use one of {known}.").format(known=", ".join(SPLITS))]
    if limit is not None and limit < LEAST_PROMPTS:
        errors["limit"] = [_("Ask for at least two prompts: one alone gives no interval.")]
    if not 0 <= seed <= MAX_SEED:
        text = _("Use a whole number from {least} to {most}.")
        errors["seed"] = [text.format(least=0, most=MAX_SEED)]
    return errors


def _chosen_prompts(project: Project, selection: dict[str, Any]) -> list[int]:
    prompts = select_prompts(project, **selection)
    if len(prompts) < LEAST_PROMPTS:
        text = _(
            "Only {count} active prompt of the split {split} has such tags: choose other tags or "
            "another split, or import prompts."
        ).format(count=len(prompts), split=selection["split"])
        raise InvalidInput(_("There is too little to reply to."), errors={"split": [text]})
    return [prompt.pk for prompt in prompts]


def _write(
    actor: User | None,
    evaluation: Evaluation,
    project: Project,
    reward_model: ModelVersion,
    config: dict[str, Any],
) -> TrainingRun:
    evaluation.run = TrainingRun.objects.create(
        project=project,
        recipe="evaluate",
        config=config,
        seed=evaluation.selection["seed"],
        base_model=evaluation.policy,
        reward_model=reward_model,
        created_by=actor,
    )
    evaluation.save()
    audit.record(
        actor=actor,
        project=project,
        verb="evaluation.create",
        obj=evaluation.run,
        data={"model": str(evaluation.policy), "prompts": len(evaluation.prompt_ids)},
    )
    return evaluation.run


def note_gold(*, run: TrainingRun) -> Evaluation:
    """Score a finished run's replies by the hidden score, in the transaction that ends the run.

    Only where all its prompts are the demo world's: no other prompts have a hidden score.
    """
    evaluation = Evaluation.objects.get(run=run)
    prompts = Prompt.objects.in_bulk(evaluation.prompt_ids)
    messages = {str(pk): plain_messages(prompt.messages) for pk, prompt in prompts.items()}
    if all(has_gold(said) for said in messages.values()):
        scored = [
            (line, gold_score(messages[line["prompt_id"]], line["text"]))
            for line in read_lines(run.folder / rundir.EVALUATIONS)
        ]
        evaluation.gold = gold_of(scored)
        evaluation.save(update_fields=["gold"])
    return evaluation


def gold_of(scored: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, Any]:
    """Return the hidden score's means, from lines of evaluations.jsonl and their scores.

    `best_of` is the hidden score of the reply that the reward model likes best of n: where it falls
    while the reward rises, the reward model is exploited.
    """
    found: dict[str, Any] = {"version": GOLD_VERSION}
    for who in ("policy", "baseline"):
        own = [(line["prompt_id"], score) for line, score in scored if line["by"] == who]
        if own:
            found[who] = asdict(clustered_mean(own))
    rewards: dict[str, list[float]] = {}
    golds: dict[str, list[float]] = {}
    for line, score in scored:
        if line["by"] == "policy":
            rewards.setdefault(line["prompt_id"], []).append(line["reward"])
            golds.setdefault(line["prompt_id"], []).append(score)
    found["best_of"] = [{"n": n, **asdict(mean)} for n, mean in best_of_curve(rewards, golds)]
    return found
