"""What a run works through: how many sequences of which length, in how many steps.

Lengths are tokens. A batch is padded to its longest text, so the mean of a batch's longest counts
for the time, and the longest that comes up at all for the memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from training.configs import (
    Config,
    OnlineConfig,
    PPOConfig,
    RewardConfig,
    TrainingConfig,
    to_json,
)
from training.model_shape import ModelShape

CENTRED_ON = 256
"""Texts on which the recipe `reward` centres its scores, at most."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The lengths of one row of data: its prompt and its replies; a prompt alone has none."""

    prompt: int
    replies: tuple[int, ...] = ()

    @property
    def longest(self) -> int:
        """The row's longest text, prompt and reply together."""
        return self.prompt + max(self.replies, default=0)

    @property
    def packed(self) -> int:
        """The length of the prompt with all its replies behind it, as a shared prefix has it."""
        return self.prompt + sum(self.replies)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The rows of the training split, and those that are only measured on.

    `whole` is how many training rows there are where only the first were looked at.
    """

    train: tuple[Row, ...]
    held: tuple[Row, ...] = ()
    whole: int | None = None
    known: bool = True

    @property
    def rows(self) -> int:
        """How many training rows the run has."""
        return len(self.train) if self.whole is None else self.whole


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What each of `steps` steps does, in one process.

    `passes` forwards with a backward, each of `sequences` texts, `typical` tokens long on the mean
    and `longest` at most; `judged` forwards without a gradient of a token, by the number of models
    that read it; `drawn` replies of `reply` tokens, `abreast` at a time, to prompts of `prompt`
    tokens. `kept` logits are held whole for a backward pass, in tokens of a pass.
    """

    steps: int
    passes: int
    sequences: float
    typical: float
    longest: int
    updates: int = 1
    drawn: int = 0
    abreast: int = 0
    reply: int = 0
    prompt: int = 0
    kept: float = 0.0
    tested: float = field(default=0.0)

    @property
    def tokens(self) -> float:
        """Tokens with their padding in a forward pass of usual length."""
        return self.sequences * self.typical

    @property
    def peak_tokens(self) -> float:
        """Tokens with their padding in the largest forward pass."""
        return self.sequences * self.longest


def expected_longest(lengths: Sequence[int], draws: float) -> float:
    """The mean of the longest of so many lengths drawn at random.

    With n lengths in order, `E[max] = sum l_i ((i / n)^k - ((i - 1) / n)^k)`. Raises ValueError
    without lengths.
    """
    if not lengths:
        raise ValueError("There are no lengths.")
    ordered, count = sorted(lengths), len(lengths)
    total = 0.0
    for place, length in enumerate(ordered, start=1):
        total += length * float((place / count) ** draws - ((place - 1) / count) ** draws)
    return total


def grouped_longest(lengths: Sequence[int], rows: int) -> float:
    """The mean of the longest of each batch, where batches are cut from the lengths in order.

    Of many rows, which are put in order by pools, the batches reach a little further than here.
    Raises ValueError without lengths.
    """
    if not lengths:
        raise ValueError("There are no lengths.")
    ordered = sorted(lengths)
    longest = [max(ordered[at : at + rows]) for at in range(0, len(ordered), rows)]
    return sum(longest) / len(longest)


def workload(config: Config, texts: Texts, base: ModelShape) -> Workload:
    """What a run of this config does with these texts. Raises ValueError without training rows."""
    if not texts.train:
        raise ValueError("There are no rows to learn from.")
    if isinstance(config, PPOConfig):
        return _of_ppo(config, texts)
    if isinstance(config, OnlineConfig):
        return _of_online(config, texts)
    return _of_rows(cast(TrainingConfig, config), texts, base)


def _of_rows(config: TrainingConfig, texts: Texts, base: ModelShape) -> Workload:
    """Recipes that pass over rows: a row is one text, two, or all candidates of a comparison."""
    rows = config.per_device_batch_size
    lengths, each = _encoded(config, texts.train, base)
    per_step = rows * config.gradient_accumulation * config.processes
    batches = math.ceil(texts.rows / (rows * config.processes))
    steps = config.max_steps or math.ceil(
        config.epochs * math.ceil(batches / config.gradient_accumulation)
    )
    seen = min(steps * per_step, texts.rows)
    return Workload(
        steps=steps * _members(config),
        passes=config.gradient_accumulation,
        sequences=min(rows, texts.rows) * each,
        typical=_usual(config, lengths),
        longest=math.ceil(expected_longest(lengths, seen)),
        tested=_tested(config, texts, steps),
    )


def _tested(config: TrainingConfig, texts: Texts, steps: int) -> float:
    """Tokens that are only measured on, in the whole run: the held-out rows, at the end and
    between; and what a finished reward model is centred on, some hundred of its texts. Each member
    of an ensemble reads all of it.
    """
    once = _read(texts.held)
    read = once * (1 + (steps // config.eval_steps if config.eval_steps else 0))
    if isinstance(config, RewardConfig) and config.zero_mean:
        count = sum(len(row.replies) for row in texts.train)
        read += round(_read(texts.train) * min(1.0, CENTRED_ON / max(count, 1)))
    return float(read * _members(config))


def _members(config: TrainingConfig) -> int:
    """How many models the run trains, one after another."""
    return config.ensemble if isinstance(config, RewardConfig) else 1


def _read(rows: Sequence[Row]) -> int:
    """The tokens of all prompts with each of their replies."""
    return sum(row.prompt * len(row.replies) + sum(row.replies) for row in rows)


def _encoded(
    config: TrainingConfig, rows: Sequence[Row], base: ModelShape
) -> tuple[list[int], float]:
    """The lengths of what is encoded for each row, and how many texts of it a row is."""
    count = sum(len(row.replies) for row in rows) / len(rows)
    plain = [row.longest for row in rows]
    packed = [row.packed for row in rows]
    asked = to_json(config).get("shared_prefix", "never")
    if count <= 1 or asked == "never":
        return plain, count
    if asked == "always":
        return packed, 1.0
    apart = count * _work(base, _usual(config, plain))
    together = _work(base, _usual(config, packed))
    return (packed, 1.0) if together < apart else (plain, count)


def _usual(config: TrainingConfig, lengths: Sequence[int]) -> float:
    """The mean of a batch's longest: of rows at random, or of rows of like length."""
    rows = config.per_device_batch_size
    if to_json(config).get("group_by_length"):
        return grouped_longest(lengths, rows * config.processes)
    return expected_longest(lengths, rows)


def _work(shape: ModelShape, length: float) -> float:
    """Multiply-adds of a text: of its tokens with the matrices, and of attention."""
    linear = shape.layers * shape.layer_matrices
    return length * (linear + 2.0 * shape.layers * shape.hidden * length)


def _prompts(texts: Texts) -> list[int]:
    return [row.prompt for row in texts.train]


def _of_online(config: OnlineConfig, texts: Texts) -> Workload:
    """RLOO and GRPO: the replies of all passes of a step are drawn together, then learned from."""
    prompts = _prompts(texts)
    rows = config.per_device_batch_size
    replies = rows * config.gradient_accumulation
    asked = max(1, replies * config.processes // config.replies_per_prompt)
    steps = config.max_steps or max(1, round(config.epochs * texts.rows) // asked)
    prompt = expected_longest(prompts, max(1, replies / config.replies_per_prompt))
    return Workload(
        steps=steps,
        passes=config.gradient_accumulation,
        sequences=rows,
        typical=prompt + config.max_new_tokens,
        longest=max(prompts) + config.max_new_tokens,
        drawn=replies,
        abreast=replies,
        reply=config.max_new_tokens,
        prompt=math.ceil(prompt),
    )


def _of_ppo(config: PPOConfig, texts: Texts) -> Workload:
    """PPO: a step draws and judges its episodes, then passes over them some times."""
    prompts: Any = _prompts(texts)
    own = -(-config.batch_size // config.processes)
    rows = min(config.per_device_batch_size, max(1, own // config.minibatches))
    prompt = expected_longest(prompts, rows)
    return Workload(
        steps=config.steps,
        passes=config.inner_epochs * math.ceil(own / rows),
        sequences=rows,
        typical=prompt + config.max_new_tokens,
        longest=max(prompts) + config.max_new_tokens,
        updates=config.inner_epochs * config.minibatches,
        drawn=own,
        abreast=min(config.rollout_batch_size, own),
        reply=config.max_new_tokens,
        prompt=math.ceil(expected_longest(prompts, min(config.rollout_batch_size, own))),
        kept=rows * (config.max_new_tokens + 1.0),
    )
