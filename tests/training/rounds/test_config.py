"""A loop's config: read from forms, JSON and YAML alike, refused with the field and the remedy."""

import pytest

from training.config_fields import ConfigError
from training.configs import PRESETS, parse_config
from training.rounds.config import LoopConfig, loop_specs
from training.rounds.loop_yaml import from_yaml, to_yaml
from training.rounds.loops import loop_preset, parse_loop
from training.rounds.presets import LOOP_PRESETS


def errors_of(**fields: object) -> dict[str, list[str]]:
    with pytest.raises(ConfigError) as found:
        parse_loop(fields)
    return found.value.errors


def test_yaml_says_what_the_form_says() -> None:
    text = "prompts: 20\npolicy_recipe: ppo\nrecipes:\n  ppo: {learning_rate: 0.001}\n"
    loop = from_yaml(text)
    assert (loop.config.prompts, loop.config.policy_recipe) == (20, "ppo")
    assert loop.recipe_config("ppo")["learning_rate"] == 0.001
    assert from_yaml(to_yaml(loop)) == loop == parse_loop(loop.to_json())
    form = {"prompts": "20", "policy_recipe": "ppo"}
    assert parse_loop(form).config == loop.config


def test_bad_yaml_names_its_line() -> None:
    for text, told in (
        ("prompts: 1\n  tags: [", "Line 2"),
        ("- 1", "fields and their values"),
        ("tags: &a [x]\nprompts: *a", "Line 2"),  # nine of these in each other fill any memory
        ("[" * 5000, "Line 1"),
    ):
        with pytest.raises(ConfigError, match=told):
            from_yaml(text)


def test_what_is_wrong_is_told_by_field() -> None:
    assert "no field 'promts'" in errors_of(promts=3)["promts"][0]
    assert "whole number" in errors_of(prompts="1.5")["prompts"][0]
    assert "2 or more" in errors_of(replies_per_prompt=1)["replies_per_prompt"][0]
    assert "add up to 1" in errors_of(share_current=0.5)["share_current"][0]
    assert "train one" in errors_of(trains_reward=False, policy_recipe="ppo")["trains_reward"][0]
    assert "ask a person" in errors_of(trains_reward=False, promotion="rule")["promotion"][0]
    assert "no recipe 'dop'" in errors_of(recipes={"dop": {}})["recipes"][0]
    assert "two or more" in errors_of(evaluation_prompts=1)["evaluation_prompts"][0]
    assert "write a number" in errors_of(prompts=10**400)["prompts"][0]
    assert "use one of" in errors_of(preset="tiny-gpu")["preset"][0]
    assert "by its name" in errors_of(recipes={"dpo": 3})["recipes"][0]
    idle = errors_of(constitution="default", sft="once", sft_from="people")
    assert "Nothing would be revised" in idle["constitution"][0]
    wrong = errors_of(recipes={"dpo": {"beta": -1}}, prompts=5)
    assert "0" in wrong["recipes.dpo.beta"][0]


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ((1.0, 0.0, 0.0), (4, 0, 0)),
        ((0.5, 0.25, 0.25), (2, 1, 1)),
        ((0.34, 0.33, 0.33), (2, 1, 1)),  # 1.36, 1.32, 1.32: the largest remainder is the first
        ((0.0, 0.5, 0.5), (0, 2, 2)),
    ],
)
def test_replies_are_dealt_by_largest_remainders(shares, counts) -> None:
    current, previous, base = shares
    config = LoopConfig(share_current=current, share_previous=previous, share_base=base)
    assert tuple(config.replies_by_source().values())[:3] == counts


def test_every_preset_is_a_loop_whose_recipes_can_start() -> None:
    for name in LOOP_PRESETS:
        loop = loop_preset(name)
        for recipe in ("sample", "reward", loop.config.policy_recipe):
            assert parse_config(recipe, loop.recipe_config(recipe))
    with pytest.raises(ConfigError, match="no loop 'zephir'"):
        loop_preset("zephir")


def test_a_preset_that_a_recipe_lacks_falls_back_to_its_default() -> None:
    loop = parse_loop({"preset": "instructgpt"})
    assert loop.recipe_config("sample") == PRESETS["sample"]["default"]
    assert loop.recipe_config("reward") == PRESETS["reward"]["instructgpt"]


def test_a_constitution_is_for_revising_for_judging_or_for_both() -> None:
    told = {"constitution": "default"}
    assert LoopConfig(**told, sft="once").revises
    assert LoopConfig(**told, sft="each", sft_from="ai", judges="ai", judge="a").revises
    judging = LoopConfig(**told, sft="once", sft_from="people", judges="ai", judge="a")
    assert not judging.revises
    assert not LoopConfig(sft="once").revises


def test_tags_are_parted_by_commas() -> None:
    assert LoopConfig(tags=" a, b ,,c").tag_names == ["a", "b", "c"]
    assert {spec.group for spec in loop_specs()} == {
        *("supervised", "sampling", "choosing", "labelling"),
        *("training", "evaluation", "promotion"),
    }
