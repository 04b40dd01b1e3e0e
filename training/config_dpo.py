"""The config of direct preference optimization."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.domain.sentences import sentence as _
from training.config_fields import option
from training.config_training import GroupedConfig, JudgedConfig

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
# The losses whose formula has `label_smoothing`. TRL drops it without a word in all but the last
# four; for `sigmoid` it is our own conservative DPO.
SMOOTHED_DPO_LOSSES = ("sigmoid", "robust", "exo_pair", "aot", "aot_unpaired")


@dataclass(frozen=True, kw_only=True)
class DPOConfig(JudgedConfig, GroupedConfig):
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
        "Assumed chance that a label is wrong: conservative DPO for sigmoid; robust, exo_pair, "
        "aot and aot_unpaired read it too.",
        within=(0.0, 0.4999),
    )
    sft_weight: float = option(
        0.0,
        "loss",
        "Weight of the chosen replies' own negative log-likelihood beside the loss, which keeps "
        "them from becoming less likely; 0 is off.",
        within=(0.0, 100.0),
    )
    pairing: str = option(
        "all",
        "data",
        "Learn from all pairs of a ranking, or from its best reply against one other at random.",
        choices=("all", "best_vs_random"),
    )
    precompute_ref_log_probs: bool = option(
        False,
        "machine",
        "Ask the reference once, before training, instead of holding it in memory.",
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
        if self.label_smoothing and self.loss_type not in SMOOTHED_DPO_LOSSES:
            text = _(
                "label_smoothing {label_smoothing} has no effect on loss_type {loss_type}: "
                "set it to 0 or take one of {known}.",
                label_smoothing=self.label_smoothing,
                loss_type=self.loss_type,
                known=", ".join(SMOOTHED_DPO_LOSSES),
            )
            found.append(("label_smoothing", text))
        if self.loss_type == "sft" and self.sft_weight:
            text = _("sft_weight doubles the loss sft: set it to 0, or take another loss_type.")
            found.append(("sft_weight", text))
        if self.loss_type == "exo_pair" and not self.label_smoothing:
            text = _("loss_type exo_pair needs label_smoothing above 0 (its paper: 0.001).")
            found.append(("label_smoothing", text))
        return found
