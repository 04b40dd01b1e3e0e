"""The config of an evaluation: how many replies are drawn, and how they are compared."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.domain.sentences import sentence as _
from training.config_fields import Config, conflicts_of_room, option


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Config):
    """Replies of a policy to held-out prompts, measured and held against another policy's."""

    replies_per_prompt: int = option(
        4,
        "sampling",
        "Replies of the policy to each prompt; the best of n is told for n up to this.",
        within=(1, 10_000),
    )
    baseline_replies: int = option(
        4, "sampling", "Replies of the baseline to each prompt.", within=(1, 10_000)
    )
    judged_pairs: int = option(
        1,
        "sampling",
        "Pairs of replies to each prompt that an AI judge compares, each in both orders.",
        within=(1, 10_000),
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
        most = min(self.replies_per_prompt, self.baseline_replies)
        if self.judged_pairs > most:
            text = _(
                "judged_pairs {pairs} asks for more pairs than there are replies: use {most} or "
                "less.",
                pairs=self.judged_pairs,
                most=most,
            )
            found.append(("judged_pairs", text))
        return found
