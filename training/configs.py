"""One typed config per recipe: forms, the API and the recipes are all made from these fields.

Every field is a number, a word or a switch, with its default, one sentence of help, and its limits.
A config that exists is valid: `__post_init__` checks each field and then the fields together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from labeling.domain.sentences import sentence as _
from training.config_fields import Config as Config
from training.config_fields import ConfigError as ConfigError
from training.config_fields import FieldSpec as FieldSpec
from training.config_fields import Value, convert, option, specs_of
from training.config_presets import PRESETS as PRESETS

DPO_LOSSES = (
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
)
# The only losses in whose formula TRL reads `label_smoothing`; the others drop it without a word.
SMOOTHED_DPO_LOSSES = ("robust", "exo_pair", "aot", "aot_unpaired")
LR_SCHEDULES = ("linear", "cosine", "cosine_with_min_lr", "constant")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """What the recipes that change weights have in common."""

    learning_rate: float = option(
        2e-05, "optimization", "Step size of the optimizer at its highest.", within=(0.0, 1.0)
    )
    lr_schedule: str = option(
        "cosine",
        "optimization",
        "How the learning rate falls after the warmup; cosine_with_min_lr ends at a part of it.",
        choices=LR_SCHEDULES,
    )
    min_lr_ratio: float = option(
        0.1,
        "optimization",
        "Where cosine_with_min_lr ends, as a part of the learning rate (InstructGPT: 0.1).",
        within=(0.0, 1.0),
    )
    warmup_ratio: float = option(
        0.0,
        "optimization",
        "Part of the steps in which the learning rate rises from zero.",
        within=(0.0, 0.99),
    )
    epochs: float = option(
        1.0,
        "optimization",
        "Passes over the training rows; ignored if max_steps is set.",
        within=(0.001, 1000.0),
    )
    max_steps: int = option(
        0, "optimization", "Optimizer steps to take; 0 lets epochs decide.", within=(0, 100_000_000)
    )
    per_device_batch_size: int = option(
        8, "optimization", "Rows per process in one forward pass.", within=(1, 65_536)
    )
    gradient_accumulation: int = option(
        1,
        "optimization",
        "Forward passes whose gradients are added up before one optimizer step.",
        within=(1, 65_536),
    )
    max_grad_norm: float = option(
        1.0,
        "optimization",
        "Length to which a longer gradient is cut; 0 leaves it as it is.",
        within=(0.0, 1e6),
    )
    weight_decay: float = option(
        0.0, "optimization", "AdamW's pull of the weights towards zero.", within=(0.0, 1.0)
    )
    adam_beta1: float = option(
        0.9, "optimization", "AdamW's memory of the gradient.", within=(0.0, 0.9999)
    )
    adam_beta2: float = option(
        0.999,
        "optimization",
        "AdamW's memory of the squared gradient (InstructGPT: 0.95).",
        within=(0.0, 0.99999),
    )
    gradient_checkpointing: bool = option(
        False,
        "machine",
        "Compute activations twice instead of keeping them: less memory, about a fifth slower.",
    )
    processes: int = option(
        1,
        "machine",
        "Processes that train together on one machine; more than one are started by torchrun.",
        within=(1, 1024),
    )
    logging_steps: int = option(
        1, "progress", "Steps between two rows of metrics.", within=(1, 1_000_000)
    )
    eval_steps: int = option(
        0,
        "progress",
        "Steps between two evaluations on the validation split; 0 evaluates at the end only.",
        within=(0, 100_000_000),
    )
    checkpoint_steps: int = option(
        100,
        "progress",
        "Steps between two checkpoints from which a run can go on; 0 keeps one only on a stop.",
        within=(0, 100_000_000),
    )
    keep_checkpoints: int = option(
        2, "progress", "Newest checkpoints that are kept.", within=(1, 1000)
    )
    lora_r: int = option(
        0, "lora", "Rank of the LoRA adapters; 0 trains all weights.", within=(0, 4096)
    )
    lora_alpha: int = option(
        32, "lora", "LoRA's scale: the adapters count alpha / r.", within=(1, 65_536)
    )
    lora_dropout: float = option(0.0, "lora", "Dropout on the adapters' input.", within=(0.0, 0.9))
    lora_targets: str = option(
        "all-linear",
        "lora",
        "Layers that get an adapter: all-linear, or names with commas between them.",
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.learning_rate == 0:
            found.append(
                (
                    "learning_rate",
                    _("learning_rate is 0, so nothing would be learned: use a number above 0."),
                )
            )
        if not self.lora_targets.strip(" ,"):
            found.append(
                ("lora_targets", _("lora_targets is empty: name layers, or write all-linear."))
            )
        return found


@dataclass(frozen=True, kw_only=True)
class SFTConfig(TrainingConfig):
    """Supervised fine-tuning on demonstrations; can also make a model from nothing."""

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
class RewardConfig(TrainingConfig):
    """A reward model from pairs: loss -log sigmoid(r(chosen) - r(rejected) - margin)."""

    center_rewards_coefficient: float = option(
        0.0,
        "loss",
        "Weight of the squared sum of a pair's rewards, which centres them on zero; 0 is off.",
        within=(0.0, 10.0),
    )
    margin: str = option(
        "off",
        "loss",
        "Ask for a larger difference where the rank gap is larger: off, or the gap itself.",
        choices=("off", "rank_gap"),
    )
    margin_scale: float = option(1.0, "loss", "Factor on the rank gap.", within=(0.0, 100.0))


@dataclass(frozen=True, kw_only=True)
class DPOConfig(TrainingConfig):
    """Direct preference optimization from pairs, against the frozen model it starts from."""

    beta: float = option(
        0.1,
        "loss",
        "How strongly the policy is held near the reference (for ipo: the paper's tau).",
        within=(1e-6, 1000.0),
    )
    loss_type: str = option("sigmoid", "loss", "The loss, by TRL's name.", choices=DPO_LOSSES)
    label_smoothing: float = option(
        0.0,
        "loss",
        "Assumed chance that a label is wrong; robust, exo_pair, aot and aot_unpaired read it.",
        within=(0.0, 0.4999),
    )
    precompute_ref_log_probs: bool = option(
        False,
        "machine",
        "Ask the reference once, before training, instead of holding it in memory.",
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.label_smoothing and self.loss_type not in SMOOTHED_DPO_LOSSES:
            text = _(
                "label_smoothing {label_smoothing} has no effect on loss_type {loss_type}: "
                "set it to 0 or take one of {known}.",
                label_smoothing=self.label_smoothing,
                loss_type=self.loss_type,
                known=", ".join(SMOOTHED_DPO_LOSSES),
            )
            found.append(("label_smoothing", text))
        if self.loss_type == "exo_pair" and not self.label_smoothing:
            text = _("loss_type exo_pair needs label_smoothing above 0 (its paper: 0.001).")
            found.append(("label_smoothing", text))
        return found


@dataclass(frozen=True, kw_only=True)
class SampleConfig(Config):
    """Replies of a policy to prompts; repeated texts are all kept."""

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
    batch_size: int = option(32, "machine", "Replies generated at a time.", within=(1, 65_536))
    checkpoint_steps: int = option(
        1,
        "progress",
        "Batches between two points from which a run can go on.",
        within=(1, 1_000_000),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.max_new_tokens >= self.max_length:
            text = _(
                "max_new_tokens {max_new_tokens} leaves no room for a prompt within "
                "max_length ({max_length}): lower the one or raise the other.",
                max_new_tokens=self.max_new_tokens,
                max_length=self.max_length,
            )
            found.append(("max_new_tokens", text))
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
    "sample": SampleConfig,
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
    specs = {spec.name: spec for spec in specs_of(kind)}
    values: dict[str, Value] = {}
    errors: dict[str, list[str]] = {}
    for name, raw in mapping.items():
        if name not in specs:
            errors[name] = [_unknown(name, recipe)]
            continue
        try:
            values[name] = convert(specs[name], raw)
        except ValueError as problem:
            errors[name] = [problem.args[0]]  # the sentence itself, with its parts
    try:
        config = kind(**cast("dict[str, Any]", values))
    except ConfigError as found:
        raise ConfigError({**found.errors, **errors}) from None
    if errors:
        raise ConfigError(errors)
    return config


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
