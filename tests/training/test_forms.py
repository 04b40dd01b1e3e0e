"""Forms made from the typed configs."""

from functools import partial
from typing import Any

import pytest

from labeling.models import Tag
from tests.factories import make_project
from tests.training.factories import make_demonstrations, make_model, make_snapshot
from training.configs import PRESETS, RECIPES, field_specs, parse_config, preset, to_json
from training.constitutions.forms import ReviseForm
from training.evaluation_form import EvaluationForm
from training.forms import GROUPS, ConfigForm, RunForm, SampleForm
from training.inputs import INPUTS

pytestmark = pytest.mark.django_db
CASES = [(recipe, name) for recipe in INPUTS for name in PRESETS[recipe]]


@pytest.mark.parametrize(("recipe", "name"), CASES)
def test_a_form_sent_back_untouched_gives_the_preset(recipe: str, name: str):
    project = make_project()
    learns_demonstrations = INPUTS[recipe].snapshot_kind == "demonstrations"
    make = make_demonstrations if learns_demonstrations else make_snapshot
    snapshot, model, judge = make(project), make_model(project), make_model(project, "reward")
    blank = RunForm(project=project, recipe=recipe, preset_name=name)
    sent = {field.html_name: field.value() for field in blank}
    sent |= {"snapshot": snapshot.number, "base_model": model.pk}
    sent |= {"reward_model": judge.pk} if INPUTS[recipe].rewarded else {}
    form = RunForm(
        {key: value for key, value in sent.items() if value is not None and value is not False},
        project=project,
        recipe=recipe,
        preset_name=name,
    )
    assert form.is_valid(), form.errors
    assert to_json(parse_config(recipe, form.config())) == to_json(preset(recipe, name))
    assert form.cleaned_data["snapshot"] == snapshot


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_group_of_options_has_a_title_and_no_option_is_lost(recipe: str):
    project = make_project()
    own = {"sample": SampleForm, "evaluate": EvaluationForm, "revise": ReviseForm}
    if recipe in own or recipe in INPUTS:
        kind = own.get(recipe, partial(RunForm, recipe=recipe))
        form = kind(project=project, preset_name="default")
    else:  # nobody starts it by hand
        form = ConfigForm(recipe=recipe, preset_name="default")
    assert {spec.group for spec in field_specs(recipe)} <= set(GROUPS)
    shown = [field.name for group in form.groups() for field in group.fields]
    assert sorted(shown) == sorted(spec.name for spec in field_specs(recipe))
    assert not {field.name for field in form.main()} & set(shown)


def test_a_group_with_an_error_is_open():
    project = make_project()
    form = RunForm({"learning_rate": "fast"}, project=project, recipe="dpo", preset_name="tiny-cpu")
    assert not form.is_valid()
    opened = {group.title for group in form.groups() if group.open}
    assert {"Loss", "Optimization"} <= opened


def test_choices_hold_what_the_recipe_can_use():
    project, other = make_project(), make_project()
    make_snapshot(other)
    make_model(other)
    preferences, _ = make_snapshot(project), make_demonstrations(project)
    policy, _ = make_model(project), make_model(project, "reward")
    form = RunForm(project=project, recipe="dpo", preset_name="default")
    fields: dict[str, Any] = form.fields
    assert list(fields["snapshot"].queryset) == [preferences]
    assert list(fields["base_model"].queryset) == [policy]


def test_a_recipe_that_draws_replies_asks_for_a_judge_and_prompts():
    project = make_project()
    judge, _ = make_model(project, "reward"), make_model(project)
    Tag.objects.create(project=project, name="world")
    form = RunForm(project=project, recipe="ppo", preset_name="default")
    fields: dict[str, Any] = form.fields
    assert list(fields["reward_model"].queryset) == [judge]
    assert not fields["snapshot"].required
    assert fields["tags"].choices == [("world", "world")]
    other = RunForm(project=project, recipe="reward", preset_name="default")
    assert not {"reward_model", "tags", "limit"} & other.fields.keys()


def test_a_recipe_that_learns_from_rows_may_be_given_a_judge():
    project = make_project()
    judge, _ = make_model(project, "reward"), make_model(project)
    form = RunForm(project=project, recipe="dpo", preset_name="default")
    fields: dict[str, Any] = form.fields
    assert list(fields["reward_model"].queryset) == [judge]
    assert not fields["reward_model"].required
    assert not {"tags", "limit"} & fields.keys()


def test_an_unknown_preset_is_the_default_one():
    form = RunForm(project=make_project(), recipe="dpo", preset_name="no such")
    assert form.preset_name == "default"


def test_sampling_begins_with_enough_candidates_for_a_comparison():
    form = SampleForm(project=make_project(candidates_per_comparison=7), preset_name="default")
    assert form.fields["candidates_per_prompt"].initial == 7
    assert "tags" not in form.fields
