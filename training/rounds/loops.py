"""A project's loop: its config, and what it changes in the recipes' presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labeling.domain.sentences import sentence as _
from training.acquisition.strategies import ENSEMBLED
from training.config_fields import ConfigError, Value, read_fields
from training.configs import PRESETS as RECIPE_PRESETS
from training.configs import parse_config
from training.rounds.config import MEMBERS, LoopConfig
from training.rounds.presets import LOOP_PRESETS

Overrides = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class Loop:
    """A loop's config, and what it changes in the recipes' presets, by recipe and field."""

    config: LoopConfig
    recipes: Overrides

    def recipe_config(self, recipe: str) -> dict[str, Value]:
        """Return what differs from the defaults of a recipe: the preset's, then the loop's own."""
        preset = RECIPE_PRESETS[recipe].get(self.config.preset)
        needed: dict[str, Value] = {}
        if recipe == "reward" and self.config.strategy in ENSEMBLED:
            needed = {"ensemble": MEMBERS}
        start = {**(preset or RECIPE_PRESETS[recipe]["default"]), **needed}
        return {**start, **self.recipes.get(recipe, {})}

    def to_json(self) -> dict[str, Any]:
        """Return everything, as `parse_loop` reads it again."""
        return {**dataclasses.asdict(self.config), "recipes": {**self.recipes}}


def mixes_texts(config: Mapping[str, Value]) -> bool:
    """Return whether a policy's config mixes demonstrations in (PPO-ptx)."""
    return float(config.get("ptx_coefficient", 0)) > 0


def parse_loop(mapping: Mapping[str, Any]) -> Loop:
    """Return a checked loop from a form's strings, the API's values or YAML's.

    Raises ConfigError with the sentences by field; a recipe's by `recipes.<recipe>.<field>`.
    """
    given = dict(mapping)
    recipes = _recipes(given.pop("recipes", None) or {})
    config = read_fields(
        LoopConfig,
        given,
        lambda name: _("A loop has no field {name}: remove it.", name=repr(name)),
    )
    loop = Loop(config, recipes)
    _check_recipes(loop)
    return loop


def _recipes(raw: Any) -> dict[str, dict[str, Value]]:
    if not isinstance(raw, Mapping) or not all(isinstance(v, Mapping) for v in raw.values()):
        text = _("recipes holds the changed fields of each recipe, by its name.")
        raise ConfigError({"recipes": [text]})
    unknown = next((name for name in raw if name not in RECIPE_PRESETS), None)
    if unknown is not None:
        known = ", ".join(RECIPE_PRESETS)
        text = _("There is no recipe {name}: use one of {known}.", name=repr(unknown), known=known)
        raise ConfigError({"recipes": [text]})
    return {name: dict(fields) for name, fields in raw.items()}


def _check_recipes(loop: Loop) -> None:
    """Raise ConfigError where a recipe of the loop could not be started with its config."""
    errors: dict[str, list[str]] = {}
    for recipe in loop.recipes:
        try:
            parse_config(recipe, loop.recipe_config(recipe))
        except ConfigError as found:
            errors |= {f"recipes.{recipe}.{name}": texts for name, texts in found.errors.items()}
    if loop.config.strategy in ENSEMBLED and loop.recipe_config("reward")["ensemble"] == 1:
        text = _(
            "{strategy} sees where the members of an ensemble disagree: use 2 or more.",
            strategy=loop.config.strategy,
        )
        errors.setdefault("recipes.reward.ensemble", []).append(text)
    if errors:
        raise ConfigError(errors)


def loop_preset(name: str) -> Loop:
    """Return a named starting point. Raises ConfigError."""
    if name not in LOOP_PRESETS:
        known = ", ".join(LOOP_PRESETS)
        text = _("There is no loop {name}: use one of {known}.", name=repr(name), known=known)
        raise ConfigError({"preset": [text]})
    return parse_loop(LOOP_PRESETS[name])
