"""The typed configs: every field explained, every fault named by field."""

import dataclasses

import pytest

from training.configs import (
    DPO_LOSSES,
    PRESETS,
    RECIPES,
    SMOOTHED_DPO_LOSSES,
    ConfigError,
    DPOConfig,
    SFTConfig,
    field_specs,
    parse_config,
    preset,
    to_json,
)

RECIPE_NAMES = sorted(RECIPES)


def _errors(recipe: str, **values: object) -> dict[str, list[str]]:
    with pytest.raises(ConfigError) as caught:
        parse_config(recipe, values)
    return caught.value.errors


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_field_specs_have_one_sentence_each(recipe: str) -> None:
    for spec in field_specs(recipe):
        assert spec.help.endswith("."), spec.name
        assert ". " not in spec.help, spec.name
        assert spec.group, spec.name
        assert type(spec.default) is spec.type, spec.name


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_field_specs_cover_every_field(recipe: str) -> None:
    names = [spec.name for spec in field_specs(recipe)]
    assert names == [field.name for field in dataclasses.fields(RECIPES[recipe])]


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_numbers_have_limits_that_hold_their_default(recipe: str) -> None:
    for spec in field_specs(recipe):
        if spec.type in (int, float):
            assert spec.minimum is not None, spec.name
            assert spec.maximum is not None, spec.name
            assert spec.minimum <= spec.default <= spec.maximum, spec.name


@pytest.mark.parametrize(
    ("recipe", "name"), [(recipe, name) for recipe in PRESETS for name in PRESETS[recipe]]
)
def test_preset_survives_a_round_trip(recipe: str, name: str) -> None:
    config = preset(recipe, name)
    assert parse_config(recipe, to_json(config)) == config


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_every_recipe_has_the_two_presets(recipe: str) -> None:
    assert {"default", "tiny-cpu"} <= set(PRESETS[recipe])


def test_parse_config_reads_what_a_form_sends() -> None:
    form = {"learning_rate": "1e-4", "epochs": "2", "max_steps": "10", "precision": "bf16"}
    config = parse_config("sft", {**form, "gradient_checkpointing": "on"})
    assert isinstance(config, SFTConfig)
    assert config.learning_rate == 1e-4
    assert config.epochs == 2.0
    assert config.max_steps == 10
    assert config.gradient_checkpointing is True


def test_parse_config_names_every_fault_at_once() -> None:
    errors = _errors("dpo", beta="much", foo=1, epochs="nan", logging_steps=0, loss_type="mse")
    assert set(errors) == {"beta", "foo", "epochs", "logging_steps", "loss_type"}
    assert errors["beta"] == ["beta is 'much': write a number."]
    assert "1 or more" in errors["logging_steps"][0]
    assert "sigmoid" in errors["loss_type"][0]


@pytest.mark.parametrize("value", ["1.5", 1.5, True, None, [1], "inf", "", 10**9])
def test_parse_config_refuses_what_is_no_whole_number_in_limits(value: object) -> None:
    assert set(_errors("sft", max_steps=value)) == {"max_steps"}


@pytest.mark.parametrize("value", ["maybe", 1, None])
def test_parse_config_refuses_what_is_no_switch(value: object) -> None:
    assert set(_errors("sft", gradient_checkpointing=value)) == {"gradient_checkpointing"}


def test_parse_config_refuses_an_unknown_recipe() -> None:
    assert "sft" in _errors("ppo2")["recipe"][0]


def test_preset_refuses_an_unknown_name() -> None:
    with pytest.raises(ConfigError, match="tiny-cpu"):
        preset("dpo", "huge")


@pytest.mark.parametrize("loss", sorted(set(DPO_LOSSES) - set(SMOOTHED_DPO_LOSSES)))
def test_dpo_refuses_smoothing_that_the_loss_would_ignore(loss: str) -> None:
    errors = _errors("dpo", loss_type=loss, label_smoothing=0.1)
    assert "robust" in errors["label_smoothing"][0]


@pytest.mark.parametrize("loss", SMOOTHED_DPO_LOSSES)
def test_dpo_takes_smoothing_where_the_loss_reads_it(loss: str) -> None:
    config = parse_config("dpo", {"loss_type": loss, "label_smoothing": 0.1})
    assert isinstance(config, DPOConfig)
    assert config.label_smoothing == 0.1


def test_exo_pair_needs_smoothing() -> None:
    assert set(_errors("dpo", loss_type="exo_pair")) == {"label_smoothing"}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"hidden_size": 100, "heads": 8}, "hidden_size"),
        ({"heads": 4, "kv_heads": 3}, "kv_heads"),
        ({"max_length": 600, "max_positions": 512}, "max_length"),
        ({"lora_r": 8}, "lora_r"),
    ],
)
def test_scratch_refuses_shapes_that_do_not_fit(values: dict[str, int], field: str) -> None:
    assert set(_errors("sft", init="scratch", **values)) == {field}
    if field != "lora_r":
        parse_config("sft", {"init": "base", **values})  # they matter from scratch only


def test_sample_refuses_replies_without_room_for_a_prompt() -> None:
    assert set(_errors("sample", max_length=64, max_new_tokens=64)) == {"max_new_tokens"}


def test_sample_refuses_equal_candidates() -> None:
    assert set(_errors("sample", temperature=0)) == {"candidates_per_prompt"}


def test_config_made_directly_is_checked_too() -> None:
    with pytest.raises(ConfigError) as caught:
        SFTConfig(learning_rate=0.0, lora_targets=" ,")
    assert set(caught.value.errors) == {"learning_rate", "lora_targets"}
