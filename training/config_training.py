"""What the configs of the recipes that change weights have in common."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.domain.sentences import sentence as _
from training.config_fields import Config, option

LR_SCHEDULES = ("linear", "cosine", "cosine_with_min_lr", "constant")


@dataclass(frozen=True, kw_only=True)
class WeightsConfig(Config):
    """What all recipes that change weights have in common."""

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
    per_device_batch_size: int = option(
        8, "optimization", "Rows per process in one forward pass.", within=(1, 65_536)
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
class TrainingConfig(WeightsConfig):
    """What the recipes that pass over rows have in common, each row learned from as it stands."""

    epochs: float = option(
        1.0,
        "optimization",
        "Passes over the training rows; ignored if max_steps is set.",
        within=(0.001, 1000.0),
    )
    max_steps: int = option(
        0, "optimization", "Optimizer steps to take; 0 lets epochs decide.", within=(0, 100_000_000)
    )
    gradient_accumulation: int = option(
        1,
        "optimization",
        "Forward passes whose gradients are added up before one optimizer step.",
        within=(1, 65_536),
    )
    warmup_steps: int = option(
        0,
        "optimization",
        "Steps in which the learning rate rises from zero; 0 lets warmup_ratio decide.",
        within=(0, 100_000_000),
    )
    optimizer: str = option(
        "adamw",
        "optimization",
        "What takes the steps: AdamW, or RMSprop as in the DPO paper.",
        choices=("adamw", "rmsprop"),
    )
    eval_steps: int = option(
        0,
        "progress",
        "Steps between two evaluations on the validation split; 0 evaluates at the end only.",
        within=(0, 100_000_000),
    )


@dataclass(frozen=True, kw_only=True)
class GroupedConfig(TrainingConfig):
    """What the recipes have in common whose rows may be put into batches by their length."""

    group_by_length: bool = option(
        False,
        "optimization",
        "Put rows of like length into a batch: less padding, and an order that is a little less "
        "random.",
    )


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(TrainingConfig):
    """What the recipes that pass over rows and make a policy have in common."""

    quantize: str = option(
        "none",
        "lora",
        "QLoRA: hold the frozen weights in four bits (nf4); takes bitsandbytes and a CUDA GPU.",
        choices=("none", "nf4"),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.quantize != "none" and not self.lora_r:
            text = _(
                "quantize {quantize} needs lora_r above 0: four-bit weights can't be trained "
                "themselves.",
                quantize=self.quantize,
            )
            found.append(("quantize", text))
        if self.quantize != "none" and self.device == "cpu":
            text = _(
                "quantize {quantize} needs a CUDA GPU: set device to auto, or quantize to none.",
                quantize=self.quantize,
            )
            found.append(("quantize", text))
        return found


@dataclass(frozen=True, kw_only=True)
class JudgedConfig(PolicyConfig):
    """What the recipes have in common that learn from rows and may be given a reward model, which
    then scores replies to validation prompts at each evaluation.
    """

    eval_prompts: int = option(
        64,
        "progress",
        "Validation prompts to reply to at each evaluation, where a reward model is given.",
        within=(1, 100_000),
    )
    eval_replies: int = option(
        1, "progress", "Replies to each of these prompts.", within=(1, 10_000)
    )
    eval_max_new_tokens: int = option(
        128,
        "progress",
        "Longest of these replies, in tokens; never more than half of max_length.",
        within=(1, 1_000_000),
    )
