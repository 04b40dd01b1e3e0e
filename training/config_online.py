"""The configs of the recipes that TRL trains beside DPO: KTO, RLOO and GRPO."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.domain.sentences import sentence as _
from training.config_fields import conflicts_of_room, option
from training.config_training import JudgedConfig, PolicyConfig


@dataclass(frozen=True, kw_only=True)
class KTOConfig(JudgedConfig):
    """Kahneman-Tversky optimization: each reply of a ranking is a gain or a loss of its own."""

    beta: float = option(
        0.1, "loss", "How strongly the policy is held near the reference.", within=(1e-6, 1000.0)
    )
    loss_type: str = option(
        "kto",
        "loss",
        "The loss, by TRL's name: KTO, or APO-zero without pairs.",
        choices=("kto", "apo_zero_unpaired"),
    )
    desirable_weight: float = option(
        1.0, "loss", "Weight of replies that won more than they lost.", within=(0.0, 1000.0)
    )
    undesirable_weight: float = option(
        1.0, "loss", "Weight of replies that lost more than they won.", within=(0.0, 1000.0)
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.loss_type == "kto" and self.per_device_batch_size < 2:
            text = _(
                "per_device_batch_size must be 2 or more: KTO estimates the KL by giving each "
                "prompt of a batch another prompt's reply."
            )
            found.append(("per_device_batch_size", text))
        return found


@dataclass(frozen=True, kw_only=True)
class OnlineConfig(PolicyConfig):
    """Replies drawn while the policy learns, and scored by a reward model."""

    replies_per_prompt: int = option(
        4,
        "sampling",
        "Replies to each prompt, whose scores are compared with each other.",
        within=(2, 10_000),
    )
    temperature: float = option(
        1.0,
        "sampling",
        "Divides the logits when replies are drawn, and in all log-probabilities alike.",
        within=(0.01, 100.0),
    )
    max_new_tokens: int = option(
        128, "sampling", "Longest reply, in tokens.", within=(1, 1_000_000)
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
    beta: float = option(
        0.05,
        "loss",
        "Weight of the KL to the policy that the run starts from.",
        within=(0.0, 1000.0),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        found += conflicts_of_room(self.max_new_tokens, self.max_length)
        together = self.per_device_batch_size * self.processes
        if together % self.replies_per_prompt:
            text = _(
                "per_device_batch_size times processes is {together}, which can't be cut into "
                "groups of {replies} replies: use a multiple.",
                together=together,
                replies=self.replies_per_prompt,
            )
            found.append(("per_device_batch_size", text))
        return found


@dataclass(frozen=True, kw_only=True)
class RLOOConfig(OnlineConfig):
    """REINFORCE, each reply measured against the mean of its prompt's other replies."""

    normalize_advantages: bool = option(
        False, "loss", "Scale the advantages of a step to mean 0 and variance 1."
    )


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(OnlineConfig):
    """Group relative policy optimization: scores are compared within the replies to a prompt."""

    loss_type: str = option(
        "grpo",
        "loss",
        "How the losses of tokens are added up, by TRL's name.",
        choices=("grpo", "dapo", "dr_grpo", "bnpo"),
    )
    scale_rewards: str = option(
        "group",
        "loss",
        "Divide advantages by the deviation of the scores of a prompt, of a batch, or not at all.",
        choices=("group", "batch", "none"),
    )
