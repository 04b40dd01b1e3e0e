"""One typed config per recipe: forms, the API and the recipes are all made from these fields.

Every field is a number, a word or a switch, with its default, one sentence of help, and its limits.
A config that exists is valid: `__post_init__` checks each field and then the fields together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from labeling.domain.sentences import sentence as _
from training.config_dpo import DPO_LOSSES as DPO_LOSSES
from training.config_dpo import SMOOTHED_DPO_LOSSES as SMOOTHED_DPO_LOSSES
from training.config_dpo import DPOConfig as DPOConfig
from training.config_evaluate import EvaluateConfig as EvaluateConfig
from training.config_fields import Config as Config
from training.config_fields import ConfigError as ConfigError
from training.config_fields import FieldSpec as FieldSpec
from training.config_fields import Value, conflicts_of_room, option, read_fields, specs_of
from training.config_judge import JudgeConfig as JudgeConfig
from training.config_online import GRPOConfig as GRPOConfig
from training.config_online import KTOConfig as KTOConfig
from training.config_online import OnlineConfig as OnlineConfig
from training.config_online import RLOOConfig as RLOOConfig
from training.config_ppo import PPOConfig as PPOConfig
from training.config_presets import PRESETS as PRESETS
from training.config_revise import ReviseConfig as ReviseConfig
from training.config_reward import RewardConfig as RewardConfig
from training.config_score import ScoreConfig as ScoreConfig
from training.config_training import LR_SCHEDULES as LR_SCHEDULES
from training.config_training import GroupedConfig as GroupedConfig
from training.config_training import JudgedConfig as JudgedConfig
from training.config_training import PolicyConfig as PolicyConfig
from training.config_training import TrainingConfig as TrainingConfig


@dataclass(frozen=True, kw_only=True)
class SFTConfig(JudgedConfig, GroupedConfig):
    """Supervised fine-tuning on demonstrations; can also make a model from nothing."""

    choose_by_reward: bool = option(
        True,
        "progress",
        "Where a reward model is given, keep the weights of the evaluation that it scored highest; "
        "switched off, the last ones.",
    )
    completion_only_loss: bool = option(
        True, "data", "Learn the reply alone; switched off, the prompt is learned too."
    )
    init: str = option(
        "base",
        "model",
        "Start from the weights of the chosen model (base) or from random ones (scratch).",
        choices=("base", "scratch"),
    )
    architecture: str = option(
        "qwen3", "model", "Family of a model from scratch.", choices=("qwen3", "llama")
    )
    vocab_size: int = option(
        1024,
        "model",
        "Tokens of a model from scratch: 256 bytes, 6 marks, and what byte-level BPE finds.",
        within=(262, 1_000_000),
    )
    hidden_size: int = option(128, "model", "Width of a model from scratch.", within=(8, 65_536))
    layers: int = option(4, "model", "Layers of a model from scratch.", within=(1, 1024))
    heads: int = option(
        4, "model", "Attention heads per layer of a model from scratch.", within=(1, 1024)
    )
    kv_heads: int = option(
        2,
        "model",
        "Heads that hold keys and values; the attention heads share them evenly.",
        within=(1, 1024),
    )
    intermediate_size: int = option(
        384, "model", "Width inside the feed-forward part.", within=(8, 1_000_000)
    )
    max_positions: int = option(
        512,
        "model",
        "Longest text, in tokens, that a model from scratch is made for.",
        within=(8, 1_048_576),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.init == "base":
            return found
        if self.hidden_size % (2 * self.heads):
            twice = 2 * self.heads
            text = _(
                "hidden_size {hidden_size} must be a multiple of {twice}, twice heads.",
                hidden_size=self.hidden_size,
                twice=twice,
            )
            found.append(("hidden_size", text))
        if self.heads % self.kv_heads:
            text = _(
                "kv_heads {kv_heads} must divide heads ({heads}).",
                kv_heads=self.kv_heads,
                heads=self.heads,
            )
            found.append(("kv_heads", text))
        if self.max_length > self.max_positions:
            text = _(
                "max_length {max_length} is over max_positions ({max_positions}): "
                "lower the one or raise the other.",
                max_length=self.max_length,
                max_positions=self.max_positions,
            )
            found.append(("max_length", text))
        if self.lora_r:
            text = _("lora_r needs a trained model to adapt: set it to 0, or init to base.")
            found.append(("lora_r", text))
        return found


@dataclass(frozen=True, kw_only=True)
class SampleConfig(Config):
    """Replies of a model to prompts."""

    candidates_per_prompt: int = option(
        4, "sampling", "Replies to each prompt.", within=(1, 10_000)
    )
    temperature: float = option(
        1.0,
        "sampling",
        "Below 1 likelier tokens are favoured, above 1 rarer ones; 0 always takes the likeliest.",
        within=(0.0, 100.0),
    )
    top_p: float = option(
        1.0,
        "sampling",
        "Draw from the likeliest tokens that together have this probability; 1 draws from all.",
        within=(0.001, 1.0),
    )
    top_k: int = option(
        0,
        "sampling",
        "Draw from this many likeliest tokens; 0 draws from all.",
        within=(0, 1_000_000),
    )
    max_new_tokens: int = option(
        128, "sampling", "Longest reply, in tokens.", within=(1, 1_000_000)
    )
    redraws: int = option(
        3,
        "sampling",
        "A reply with the same text as another one to its prompt is drawn again, at most so many "
        "times.",
        within=(0, 100),
    )
    backend: str = option(
        "transformers",
        "machine",
        "What draws the replies of a model that lies here: the model itself with a cache, or vLLM "
        "where it is installed; an outside model replies where it is.",
        choices=("transformers", "vllm"),
    )
    batch_size: int = option(32, "machine", "Replies generated at a time.", within=(1, 65_536))
    checkpoint_steps: int = option(
        1,
        "progress",
        "Batches between two points from which a run can go on.",
        within=(1, 1_000_000),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        found += conflicts_of_room(self.max_new_tokens, self.max_length)
        if self.temperature == 0 and self.candidates_per_prompt > 1:
            text = _(
                "candidates_per_prompt above 1 gives equal replies at temperature 0: "
                "ask for 1, or raise the temperature."
            )
            found.append(("candidates_per_prompt", text))
        return found


RECIPES: dict[str, type[Config]] = {
    "sft": SFTConfig,
    "reward": RewardConfig,
    "dpo": DPOConfig,
    "kto": KTOConfig,
    "rloo": RLOOConfig,
    "grpo": GRPOConfig,
    "ppo": PPOConfig,
    "sample": SampleConfig,
    "revise": ReviseConfig,
    "evaluate": EvaluateConfig,
    "judge": JudgeConfig,
    "score": ScoreConfig,
}


def config_type(recipe: str) -> type[Config]:
    """The config class of a recipe; ConfigError if there is no such recipe."""
    if recipe not in RECIPES:
        known = ", ".join(RECIPES)
        text = _("There is no recipe {name}: use one of {known}.", name=repr(recipe), known=known)
        raise ConfigError({"recipe": [text]})
    return RECIPES[recipe]


def field_specs(recipe: str) -> list[FieldSpec]:
    """The fields of a recipe's config, those of its own last, in the order a form shows them."""
    return specs_of(config_type(recipe))


def parse_config(recipe: str, mapping: Mapping[str, Any]) -> Config:
    """A checked config from a form's strings or the API's values; missing fields take defaults.

    Raises ConfigError with the sentences by field: unknown names, wrong types, limits, conflicts.
    """
    kind = config_type(recipe)
    return cast("Config", read_fields(kind, mapping, partial(_unknown, recipe=recipe)))


def _unknown(name: str, recipe: str) -> str:
    return _(
        "{name} is not a field of {recipe}: remove it or correct its name.",
        name=name,
        recipe=recipe,
    )


def preset(recipe: str, name: str = "default") -> Config:
    """The config of a named preset; ConfigError if the recipe has none of that name."""
    config_type(recipe)
    if name not in PRESETS[recipe]:
        known = ", ".join(PRESETS[recipe])
        text = _(
            "{recipe} has no preset {name}: use one of {known}.",
            recipe=recipe,
            name=repr(name),
            known=known,
        )
        raise ConfigError({"preset": [text]})
    return parse_config(recipe, PRESETS[recipe][name])


def to_json(config: Config) -> dict[str, Value]:
    """Every field, resolved; `parse_config` makes the same config of it again."""
    return dataclasses.asdict(config)
