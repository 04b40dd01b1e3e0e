"""The one loss of preference optimization that TRL lacks: soft labels and weights for each pair."""

from __future__ import annotations

import torch

from training.recipes.losses import pair_losses


def smoothed(targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The targets, had each label been turned round with probability `smoothing`; any shape."""
    return targets * (1 - smoothing) + (1 - targets) * smoothing


def soft_label_loss(
    difference: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean over pairs of w * -(p log sigmoid(d) + (1 - p) log sigmoid(-d)), a scalar.

    All three have shape (pairs,): d is beta times the log-ratio that the chosen reply gained over
    the rejected one, p the probability that the chosen reply is the better one, w the pair's
    weight. With p = 1 and w = 1 it is DPO (2305.18290, eq. 7), with p = 1 - epsilon conservative
    DPO, whose gradient vanishes where sigmoid(d) = p. The divisor is the number of pairs, not the
    sum of the weights, so that gradients add up alike in batches of any size.
    """
    none = torch.zeros_like(difference)
    return (weights * pair_losses(difference, none, targets, none)).mean()
