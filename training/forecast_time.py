"""How long a run will take, part by part, on a device whose speed was measured.

A forward pass takes 2 FLOP a weight and token, a backward pass twice that: 6 N D in all (Kaplan et
al., 2001.08361, 2.1), and attention's scores and values 4 times length times width a token and
layer besides (their 2.1 calls them context-dependent). Small models wait for each layer's many
small operations, which is why a layer costs a constant too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.configs import Config, PPOConfig, to_json
from training.forecast_memory import adapters
from training.machine import Device, Speed, at_width
from training.model_shape import ModelShape
from training.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Duration:
    """Seconds by part for the whole run; they add up."""

    start: float
    drawing: float
    judging: float
    learning: float
    optimizer: float
    measuring: float

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(seconds for _, seconds in self.parts())

    def parts(self) -> list[tuple[str, float]]:
        """Names and seconds, in the order above."""
        return [(name, float(getattr(self, name))) for name in self.__dataclass_fields__]


def duration(
    config: Config, work: Workload, base: ModelShape, reward: ModelShape | None, device: Device
) -> Duration | None:
    """How long the run takes on the device; None where its speed is not known."""
    options: dict[str, Any] = to_json(config)
    speed = device.speed(int(options["threads"]), options["precision"])
    if speed is None:
        return None
    learners = [base, reward] if isinstance(config, PPOConfig) and reward else [base]
    backward = 1.0 if not options["lora_r"] else 2 / 3
    backward *= 4 / 3 if options["gradient_checkpointing"] else 1.0
    learning = sum(_pass(one, work, speed) * backward for one in learners)
    learning += _logits(config, base, work, speed)
    return Duration(
        start=device.start_s,
        drawing=work.steps * _drawing(base, work, speed),
        judging=work.steps * _judging(config, options, base, reward, work, speed),
        learning=work.steps * work.passes * learning,
        optimizer=work.steps * work.updates * _updating(learners, options, speed),
        measuring=_forward(base, work.tested, work.typical, speed),
    )


def flops_of_pass(shape: ModelShape, tokens: float, length: float) -> float:
    """FLOP of a forward and a backward pass through the layers, without the output's matrix.

    Under a mask of padding attention computes the whole square, also what it then hides.
    """
    linear = 6.0 * shape.layer_matrices
    attention = 3.0 * 4.0 * shape.queries * length
    return tokens * shape.layers * (linear + attention)


def _pass(shape: ModelShape, work: Workload, speed: Speed) -> float:
    """Seconds of one forward and backward pass over a batch of usual length."""
    flops = flops_of_pass(shape, work.tokens, work.typical)
    return shape.layers * speed.layer_s + flops / at_width(speed.learning, shape.hidden)


def _forward(shape: ModelShape, tokens: float, length: float, speed: Speed) -> float:
    """Seconds of forward passes alone: a third."""
    if not tokens:
        return 0.0
    flops = flops_of_pass(shape, tokens, length) / 3
    return shape.layers * speed.layer_s / 3 + flops / at_width(speed.learning, shape.hidden)


def _logits(config: Config, base: ModelShape, work: Workload, speed: Speed) -> float:
    """Seconds for the logits of a pass; the output's matrix is read forward, backward and, by TRL's
    tiles, once more.
    """
    if hasattr(config, "ensemble"):
        return 0.0
    tokens = work.kept or work.tokens
    matrix = (6.0 if work.kept else 8.0) * base.embedding * tokens
    softmax = tokens * base.vocabulary * speed.logit_s
    return softmax + matrix / at_width(speed.learning, base.hidden)


def _drawing(base: ModelShape, work: Workload, speed: Speed) -> float:
    """Seconds for a step's replies, each as long as it may be: one pass a token, all rows abreast.

    The prompt is read once; the keys of what was written are read at every token.
    """
    if not work.drawn:
        return 0.0
    batches = -(-work.drawn // work.abreast)
    seen = work.prompt + work.reply / 2
    weights = 2.0 * (base.layers * base.layer_matrices + base.embedding)
    flops = work.abreast * (weights + base.layers * 4.0 * base.queries * seen)
    token = base.layers * speed.layer_s / 3 + flops / at_width(speed.drawing, base.hidden)
    token += work.abreast * base.vocabulary * speed.logit_s
    prompts = _forward(base, work.abreast * work.prompt, work.prompt, speed)
    return batches * (work.reply * token + prompts)


def _judging(
    config: Config,
    options: dict[str, Any],
    base: ModelShape,
    reward: ModelShape | None,
    work: Workload,
    speed: Speed,
) -> float:
    """Seconds of forward passes without a gradient: the reference's, and with replies of one's own
    those of all members of the reward model, and with PPO the policy's and the critic's.
    """
    texts = work.drawn or work.passes * work.sequences
    readers = [base] if "beta" in options and not options.get("precompute_ref_log_probs") else []
    if reward:
        readers += [reward] * reward.members
    if isinstance(config, PPOConfig) and reward:
        readers += [base, reward]
    return sum(_forward(one, texts * work.typical, work.typical, speed) for one in readers)


def _updating(learners: list[ModelShape], options: dict[str, Any], speed: Speed) -> float:
    """Seconds of one step of AdamW."""
    rank, targets = options["lora_r"], options["lora_targets"]
    count = sum(adapters(one, rank, targets) if rank else one.parameters for one in learners)
    return count * speed.parameter_s
