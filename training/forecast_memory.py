"""How much memory a run will hold at its highest, part by part.

Weights in fp32 are 4 bytes each, and so is a gradient; AdamW holds two numbers a weight, RMSprop
one (ZeRO, 1910.02054, 3.1, counts the same for mixed precision). Activations follow Korthikanti et
al. (2205.05198), counted for the families at hand: see `ModelShape.activations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.configs import Config, PPOConfig, TrainingConfig, to_json
from training.model_shape import ModelShape
from training.workload import Workload

WHOLE, HALF = 4, 2
"""Bytes of a number in fp32 and in bf16."""
NF4 = 0.516
"""Bytes of a weight in nf4 with double quantization: 4.127 bits (QLoRA, 2305.14314, 2 and 3)."""
TILE_TOKENS, TILE_WORDS = 4096, 32_768
"""TRL makes logits by tiles of so many tokens and words, not all at once."""
TILES = 9.25
"""Copies of a tile, all of them alive before its gradient is written back."""
WHOLE_LOGITS = 4
"""Copies where all logits of the replies are held: raw, by temperature, softmax, gradient."""

SPARE = 1.1
"""What is made and freed in each pass leaves gaps: a tenth, by the runs in docs/benchmarks.md."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes by part at the highest point of one process; they add up."""

    runtime: float
    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    models: float
    cache: float

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(size for _, size in self.parts())

    def parts(self) -> list[tuple[str, float]]:
        """Names and bytes, in the order above."""
        return [(name, float(getattr(self, name))) for name in self.__dataclass_fields__]


def memory(
    config: Config,
    work: Workload,
    base: ModelShape,
    reward: ModelShape | None,
    *,
    runtime: float,
) -> Memory:
    """The memory of one process of a run; `runtime` is what Python and torch take by themselves.

    Activations and gradients are added: on a CPU the backward pass runs in a thread with memory
    of its own, so that what the one gives back the other does not take.
    """
    options: dict[str, Any] = to_json(config)
    learners = [base]
    if isinstance(config, PPOConfig) and reward:
        learners.append(reward)
    learned = sum(_learned(shape, options) for shape in learners)
    states = WHOLE if options.get("optimizer") == "rmsprop" else 2 * WHOLE
    return Memory(
        runtime=runtime,
        weights=sum(_held(shape, options) for shape in learners),
        gradients=learned * WHOLE,
        optimizer=learned * states,
        activations=SPARE * max(_activations(shape, work, options) for shape in learners),
        logits=SPARE * _logits(config, base, work),
        models=_others(config, options, base, reward),
        cache=_cache(base, work),
    )


def adapters(shape: ModelShape, rank: int, targets: str) -> int:
    """Weights of LoRA (2106.09685): r (in + out) for each matrix that gets an adapter."""
    h, q, k, f = shape.hidden, shape.queries, shape.keys, shape.intermediate
    widths = {
        "q_proj": h + q,
        "k_proj": h + k,
        "v_proj": h + k,
        "o_proj": q + h,
        "gate_proj": h + f,
        "up_proj": h + f,
        "down_proj": f + h,
    }
    names = {name.strip() for name in targets.split(",")}
    every = names == {"all-linear"}
    return shape.layers * rank * sum(w for name, w in widths.items() if every or name in names)


def _learned(shape: ModelShape, options: dict[str, Any]) -> int:
    """Weights that learn: all of them, or the adapters."""
    if not options["lora_r"]:
        return shape.parameters
    return adapters(shape, options["lora_r"], options["lora_targets"])


def _held(shape: ModelShape, options: dict[str, Any]) -> float:
    """A learning model: its weights, its adapters, and what bf16 copies of its matrices."""
    matrices = shape.layers * shape.layer_matrices
    held = float(WHOLE * shape.parameters)
    if options.get("quantize", "none") != "none":
        held -= (WHOLE - NF4) * matrices
    elif options["precision"] == "bf16":
        held += HALF * matrices
    return held + (WHOLE * _learned(shape, options) if options["lora_r"] else 0)


def _activations(shape: ModelShape, work: Workload, options: dict[str, Any]) -> float:
    """What the largest forward pass keeps, and what the backward pass of a layer adds.

    Under a mask attention keeps a row of it a token; with checkpointing only the input of each
    layer stays, and one layer is computed again (2205.05198, 5).
    """
    kept = 6 * shape.hidden * WHOLE
    inner = shape.activations - 6 * shape.hidden + work.longest
    kept += inner * (HALF if options["precision"] == "bf16" else WHOLE)
    if options["lora_r"]:
        kept += 7 * options["lora_r"] * WHOLE
    around = (3 * shape.hidden + 3 * shape.intermediate) * WHOLE
    if options["gradient_checkpointing"]:
        layers = kept + shape.layers * shape.hidden * WHOLE
    else:
        layers = shape.layers * kept
    return work.peak_tokens * (layers + around)


def _logits(config: Config, base: ModelShape, work: Workload) -> float:
    """Logits of the largest pass: all of a reply's with PPO, tiles of them with TRL's trainers."""
    if work.kept:
        return WHOLE_LOGITS * WHOLE * work.kept * base.vocabulary
    if not _writes(config):
        return 0.0
    tile = min(work.peak_tokens, TILE_TOKENS) * min(base.vocabulary, TILE_WORDS)
    return WHOLE * (TILES * tile + base.embedding)


def _writes(config: Config) -> bool:
    """Whether the recipe trains a policy, which has logits."""
    return not hasattr(config, "ensemble")


def _others(
    config: Config, options: dict[str, Any], base: ModelShape, reward: ModelShape | None
) -> float:
    """Models that only answer: a reference, a judge, an average; without LoRA the reference is
    a copy of the policy, with LoRA the policy itself without its adapter. All members of an
    ensemble judge; a shared trunk is the critic's and the first member's, not the others'.
    """
    policy = WHOLE * base.parameters
    held = 0.0
    if _has_reference(options) and not options["lora_r"]:
        held += policy
    if reward:
        own = reward.members - 1 if options.get("share_value_trunk") else reward.members
        held += WHOLE * reward.parameters * own
    if options.get("ema_decay"):
        held += WHOLE * _learned(base, options)
    if isinstance(config, TrainingConfig) and options.get("ensemble", 1) > 1:
        held += policy * (options["ensemble"] - 1)
    return held


def _has_reference(options: dict[str, Any]) -> bool:
    """Whether the run asks the model that it starts from while it learns."""
    return "beta" in options and not options.get("precompute_ref_log_probs", False)


def _cache(base: ModelShape, work: Workload) -> float:
    """Keys and values of the replies drawn at a time, once more while a layer's part grows."""
    tokens = work.abreast * (work.prompt + work.reply)
    return 2.0 * base.keys * WHOLE * tokens * (base.layers + 1)
