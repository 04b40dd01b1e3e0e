"""The config of proximal policy optimization with a reward model."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.domain.sentences import sentence as _
from training.config_fields import conflicts_of_room, option
from training.config_training import WeightsConfig


@dataclass(frozen=True, kw_only=True)
class RolloutConfig(WeightsConfig):
    """How a policy replies while it learns, and what its replies are worth."""

    temperature: float = option(
        1.0,
        "sampling",
        "Divides the logits when replies are drawn, and in all log-probabilities alike.",
        within=(0.01, 100.0),
    )
    max_new_tokens: int = option(
        128, "sampling", "Longest reply, in tokens.", within=(1, 1_000_000)
    )
    rollout_batch_size: int = option(
        64, "machine", "Replies that a process draws at a time.", within=(1, 65_536)
    )
    generator: str = option(
        "cached",
        "machine",
        "What draws the replies: the policy itself with a cache, or vLLM where it is installed.",
        choices=("cached", "vllm"),
    )
    missing_eos: str = option(
        "replace",
        "sampling",
        "What a reply without an end is judged by: a constant in place of its score, its score "
        "less a penalty, or its score as it is.",
        choices=("replace", "subtract", "keep"),
    )
    missing_eos_score: float = option(
        -3.0,
        "sampling",
        "The constant for replace, which must lie below the scores of complete replies.",
        within=(-1e6, 1e6),
    )
    missing_eos_penalty: float = option(
        1.0, "sampling", "What subtract takes from the score.", within=(0.0, 1e6)
    )


@dataclass(frozen=True, kw_only=True)
class PPOConfig(RolloutConfig):
    """Proximal policy optimization against a reward model, near the policy it starts from."""

    total_episodes: int = option(
        4096,
        "optimization",
        "Replies drawn in all, one an episode; prompts are used again when they run out.",
        within=(1, 1_000_000_000),
    )
    batch_size: int = option(
        64,
        "optimization",
        "Episodes of all processes together in one step: drawn, judged, then learned from.",
        within=(1, 1_000_000),
    )
    inner_epochs: int = option(
        4, "optimization", "Passes over the episodes of a step.", within=(1, 100)
    )
    minibatches: int = option(
        1,
        "optimization",
        "Optimizer steps in one pass, each on an equal part of the step's episodes.",
        within=(1, 100_000),
    )
    value_learning_rate: float = option(
        0.0,
        "optimization",
        "Step size of the value model's optimizer; 0 takes learning_rate.",
        within=(0.0, 1.0),
    )
    adam_epsilon: float = option(
        1e-5, "optimization", "AdamW's guard against division by zero.", within=(1e-12, 1.0)
    )
    ema_decay: float = option(
        0.0,
        "optimization",
        "Memory of the moving average of weights, taken at each step, that becomes the model; 0 "
        "keeps the last weights (InstructGPT: 0.992).",
        within=(0.0, 0.99999),
    )
    beta: float = option(
        0.05,
        "loss",
        "Weight of the KL penalty on each token, which holds the policy near where it began.",
        within=(0.0, 1000.0),
    )
    kl_target: float = option(
        0.0,
        "loss",
        "KL, in nats a reply, to which the penalty's weight is steered; 0 keeps the weight fixed.",
        within=(0.0, 1e6),
    )
    kl_horizon: int = option(
        10_000,
        "loss",
        "Episodes over which the steered weight adapts.",
        within=(1, 1_000_000_000),
    )
    kl_limit: float = option(
        0.0,
        "loss",
        "Mean KL, in nats a reply, at which the run ends early; 0 never ends it.",
        within=(0.0, 1e6),
    )
    update_kl_limit: float = option(
        0.0,
        "loss",
        "Approximate KL of a token to the step's start at which the rest of its passes is left "
        "out; 0 is off.",
        within=(0.0, 1e6),
    )
    clip: float = option(
        0.2, "loss", "How far a token's ratio may gain from one step.", within=(0.001, 100.0)
    )
    value_clip: float = option(
        0.2, "loss", "How far a value may move in one step; 0 lets it.", within=(0.0, 1e6)
    )
    value_coefficient: float = option(
        0.1, "loss", "Weight of the value loss.", within=(1e-6, 1000.0)
    )
    discount: float = option(
        1.0, "loss", "How much a reward one token later counts.", within=(0.0, 1.0)
    )
    gae_lambda: float = option(
        0.95,
        "loss",
        "Advantages between one token's surprise (0) and all that follows (1).",
        within=(0.0, 1.0),
    )
    whiten_rewards: bool = option(
        False, "loss", "Scale the rewards of a step to variance 1, their mean kept."
    )
    ptx_coefficient: float = option(
        0.0,
        "loss",
        "Weight (gamma) of the mean log-likelihood of a token of the run's demonstrations; 0 is "
        "PPO, above is PPO-ptx (InstructGPT: 27.8).",
        within=(0.0, 10_000.0),
    )
    ptx_ratio: int = option(
        1, "loss", "Demonstrations per episode in PPO-ptx (InstructGPT: 8).", within=(1, 1000)
    )
    share_value_trunk: bool = option(
        False,
        "lora",
        "With LoRA, let the value model share the reward model's frozen weights.",
    )
    sample_steps: int = option(
        10,
        "progress",
        "Steps between two samples of replies to read on the run's page; 0 keeps none.",
        within=(0, 100_000_000),
    )
    samples: int = option(4, "progress", "Replies in a sample.", within=(1, 1000))

    @property
    def steps(self) -> int:
        """How many steps there are: the last one may draw more episodes than are left."""
        return -(-self.total_episodes // self.batch_size)

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        found += conflicts_of_room(self.max_new_tokens, self.max_length)
        if self.batch_size % (self.minibatches * self.processes):
            text = _(
                "batch_size {batch_size} can't be cut into {minibatches} minibatches for "
                "{processes} processes: use a multiple of {product}.",
                batch_size=self.batch_size,
                minibatches=self.minibatches,
                processes=self.processes,
                product=self.minibatches * self.processes,
            )
            found.append(("batch_size", text))
        if self.lora_dropout:
            text = _("lora_dropout must be 0: dropout would change the ratios that PPO learns by.")
            found.append(("lora_dropout", text))
        if self.share_value_trunk and not self.lora_r:
            text = _("share_value_trunk needs lora_r above 0: without LoRA no weights are frozen.")
            found.append(("share_value_trunk", text))
        return found
