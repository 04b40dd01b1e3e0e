"""Losses as pure functions of tensors: each says its formula, its shapes and its source."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class RankedPairs:
    """The pairs kept of a batch of comparisons; every tensor has the shape (pairs,).

    `better` and `worse` point into the batch's scores, `comparisons` says whose pair it is, from 0
    on. `targets` is how surely the first is the better one: 1 for a strict pair, 0.5 for a tie,
    anything between for a soft label. `margins` is what the scores should differ by at least.
    """

    better: torch.Tensor
    worse: torch.Tensor
    comparisons: torch.Tensor
    targets: torch.Tensor
    margins: torch.Tensor


def pair_losses(
    better: torch.Tensor, worse: torch.Tensor, targets: torch.Tensor, margins: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of each pair under Bradley-Terry, all shapes (pairs,).

    `-[p log sigma(d - m) + (1 - p) log sigma(m - d)]` with `d = better - worse`. With p = 1 and
    m = 0 it is InstructGPT's `-log sigma(d)` (2203.02155, eq. 1); m is Llama 2's margin
    (2307.09288, eq. 2); p = 0.5 is a tie as half a win for each; p in between is the soft label of
    an AI judge (2309.00267).
    """
    logits = better - worse - margins
    return -(targets * logsigmoid(logits) + (1 - targets) * logsigmoid(-logits))


def ranking_loss(
    scores: torch.Tensor,
    pairs: RankedPairs,
    weights: torch.Tensor,
    *,
    centering: float = 0.0,
) -> torch.Tensor:
    """The loss of a batch of ranked comparisons: a scalar from scores of shape (candidates,).

    For each comparison the mean over its own kept pairs, `1/pairs sum_pairs l` (InstructGPT's
    1/C(K,2) where none is left out), times its weight; then the mean over the comparisons.
    `weights` has the shape (comparisons,). A comparison without a pair, such as one that is all
    ties, adds nothing and is not counted.

    `centering` adds `c (r_w + r_l)^2` to each pair, which holds the scores near zero (2312.09244).
    """
    terms = pair_losses(scores[pairs.better], scores[pairs.worse], pairs.targets, pairs.margins)
    if centering:
        terms = terms + centering * (scores[pairs.better] + scores[pairs.worse]) ** 2
    counts = torch.bincount(pairs.comparisons, minlength=len(weights))
    shares = (weights / counts.clamp(min=1))[pairs.comparisons]
    return (shares * terms).sum() / (counts > 0).sum().clamp(min=1)
