"""The config of the reward model."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.domain.sentences import sentence as _
from training.config_fields import option
from training.config_training import GroupedConfig


@dataclass(frozen=True, kw_only=True)
class RewardConfig(GroupedConfig):
    """A reward model from whole rankings: each comparison's mean of -log sigmoid(r_w - r_l - m).

    A row of data is a comparison, so batches and epochs are counted in comparisons.
    """

    ties: str = option(
        "drop",
        "loss",
        "Leave tied pairs out (drop, as InstructGPT), or count them half a win for each (half).",
        choices=("drop", "half"),
    )
    margin: str = option(
        "off",
        "loss",
        "Ask for a larger difference where people saw one: off, by the tiers between the two "
        "(rank_gap), or by how much better the one was said to be (strength).",
        choices=("off", "rank_gap", "strength"),
    )
    margin_scale: float = option(
        1.0, "loss", "Factor on the rank gap or the strength.", within=(0.0, 100.0)
    )
    center_rewards_coefficient: float = option(
        0.0,
        "loss",
        "Weight of the squared sum of a pair's rewards, which centres them on zero; 0 is off.",
        within=(0.0, 10.0),
    )
    zero_mean: bool = option(
        True,
        "model",
        "Shift the finished model's scores so that demonstrations have mean 0, or, where there "
        "are none, the judged replies of the training split.",
    )
    unit_variance: bool = option(
        False,
        "model",
        "Scale the scores as well, so that the same texts have standard deviation 1.",
    )
    ensemble: int = option(
        1,
        "model",
        "Models of different seeds that are trained one after another and score together, by "
        "their mean; more than one tell where they disagree.",
        within=(1, 16),
    )
    shared_prefix: str = option(
        "auto",
        "machine",
        "Encode a prompt once for all its replies: where that is less work and the model can "
        "(auto), always, or never.",
        choices=("auto", "always", "never"),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.unit_variance and not self.zero_mean:
            text = _("unit_variance needs zero_mean: switch both on, or unit_variance off.")
            found.append(("unit_variance", text))
        return found
