"""What a run needs whose replies a reward model judges: the judge, and prompts to reply to."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput
from labeling.models import Project
from labeling.selectors.prompts import select_prompts
from training.inputs import INPUTS
from training.models import ModelVersion, RunPrompts, TrainingRun
from training.selectors import is_usable


def reward_errors(
    *, project: Project, recipe: str, model: ModelVersion | None, config: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Return what is wrong with the reward model of a run, by field.

    A run that learns from its own replies needs one; one that learns from rows may have one.
    """
    needs = INPUTS[recipe]
    if not needs.rewarded and not needs.may_be_judged:
        text = _("{recipe} asks no reward model: leave this empty.").format(recipe=recipe)
        return {"reward_model": [text]} if model else {}
    if model is None and needs.may_be_judged:
        return {}
    if model is None:
        text = _("{recipe} learns from a reward model's scores: choose one.").format(recipe=recipe)
        return {"reward_model": [text]}
    if not is_usable(project, model):
        return {"reward_model": [_("There is no such model in this project.")]}
    if model.kind != ModelVersion.Kind.REWARD:
        text = _("{model} is a {kind}, which can't score replies.").format(
            model=model, kind=model.get_kind_display()
        )
        return {"reward_model": [text]}
    if config.get("choose_by_reward") and not config["eval_steps"]:
        text = _(
            "A reward model is to choose among the evaluations of the run: say after how many "
            "steps each, or switch choose_by_reward off."
        )
        return {"eval_steps": [text]}
    return {}


def selection_errors(*, recipe: str, selection: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with the choice of prompts of a run, by field."""
    limit = selection["limit"]
    if limit is not None and limit < 1:
        return {"limit": [_("Ask for at least one prompt.")]}
    if INPUTS[recipe].rewarded:
        return {}
    text = _("{recipe} replies to no prompts: leave this empty.").format(recipe=recipe)
    given = [name for name in ("tags", "exclude_tags", "limit") if selection[name]]
    return {name: [text] for name in given}


def texts_problem(config: Mapping[str, Any], *, given: bool) -> str:
    """Return what is wrong with a snapshot of texts to keep likely, given or not; else nothing."""
    wanted = config.get("ptx_coefficient", 0) > 0
    if wanted and not given:
        return _(
            "ptx_coefficient is above 0, so the run needs texts to keep likely: choose a snapshot "
            "of demonstrations, or set it to 0."
        )
    if given and not wanted:
        return _(
            "The run would not learn from this snapshot: leave it empty, or take ppo with "
            "ptx_coefficient above 0."
        )
    return ""


def choose_prompts(*, run: TrainingRun, selection: Mapping[str, Any]) -> RunPrompts:
    """Choose the prompts of a run, for good: active ones of the split train.

    Raises InvalidInput where there is none.
    """
    prompts = select_prompts(run.project, split="train", **selection)
    if not prompts:
        text = _("No active prompt of the split train has such tags.")
        raise InvalidInput(_("There is nothing to reply to."), errors={"tags": [text]})
    return RunPrompts.objects.create(
        run=run,
        selection={**selection, "split": "train"},
        prompt_ids=[prompt.pk for prompt in prompts],
    )
