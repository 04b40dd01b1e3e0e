"""A reward model that is convex: a Bradley-Terry head on fixed features, solved to its optimum.

Strategies are compared by what their labels teach, so nothing else may differ: no seed of a
training run, no number of steps. The head's loss has one minimum, and every fit says whether it is
there (a control that had not converged once looked eight times worse than it was).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

COMPONENTS = 64
COSINES = 256
PRECISION = 1.0
"""Of the prior on each weight; tuned on seeds 1 and 2 for the arm that is asked by chance."""
LARGEST_GRADIENT = 1e-6


@dataclass(frozen=True)
class Head:
    """Weights at the optimum, and the Hessian there: Laplace's Gaussian around them."""

    weights: Array
    hessian: Array

    def members(self, count: int, rng: np.random.Generator) -> Array:
        """Return weights drawn from the Gaussian, an array of shape (weights, count)."""
        spread = np.linalg.cholesky(np.linalg.inv(self.hessian))
        drawn: Array = self.weights[:, None] + spread @ rng.normal(size=(len(self.weights), count))
        return drawn


def represent(states: Array, prompts: Array, pool: Array) -> Array:
    """Return what the head reads of each reply, an array of shape (replies, 320).

    What all replies to a prompt share can't tell between them and is taken away; of the rest come
    64 principal components, and 256 random cosines of these, by which a linear head is near to one
    with a Gaussian kernel (Rahimi & Recht 2007). Components and scales are those of the pool.
    """
    centred = states.astype(np.float64)
    for prompt in np.unique(prompts):
        centred[prompts == prompt] -= centred[prompts == prompt].mean(0)
    half = centred.shape[1] // 2
    for part in (slice(0, half), slice(half, None)):
        centred[:, part] /= np.sqrt((centred[pool][:, part] ** 2).sum(1).mean())
    axes = np.linalg.svd(centred[pool], full_matrices=False)[2][:COMPONENTS]
    found = centred @ axes.T
    found /= np.sqrt(found[pool].std(0))
    found /= np.sqrt((found[pool] ** 2).sum(1).mean())
    rng = np.random.default_rng(0)
    turns = rng.normal(size=(found.shape[1], COSINES))
    cosines = np.cos(found @ turns + rng.uniform(0, 2 * np.pi, COSINES)) * np.sqrt(2 / COSINES)
    both: Array = np.concatenate([found, cosines], axis=1) * np.sqrt(0.5)
    return both


def fit(differences: Array, targets: Array, precision: float = PRECISION) -> Head:
    """Minimize sum -[t log s(x.w) + (1-t) log s(-x.w)] + precision/2 |w|^2 by damped Newton steps.

    `differences` has the shape (labels, weights); a target is 1 where the first reply was
    preferred, 0.5 for a tie. Raises RuntimeError where the gradient is not zero to 1e-6.
    """
    weights = np.zeros(differences.shape[1])
    loss = _loss(differences, targets, precision, weights)
    for _ in range(100):
        said = 1 / (1 + np.exp(-differences @ weights))
        gradient = differences.T @ (said - targets) + precision * weights
        curved = differences * (said * (1 - said))[:, None]
        hessian = differences.T @ curved + precision * np.eye(len(weights))
        if np.abs(gradient).max() < LARGEST_GRADIENT:
            return Head(weights, hessian)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-9:
            tried = _loss(differences, targets, precision, weights - size * step)
            if tried <= loss - 1e-4 * size * (gradient @ step) or tried == loss:
                break
            size /= 2
        weights, loss = weights - size * step, tried
    raise RuntimeError(f"not converged: largest gradient {np.abs(gradient).max():.2g}")


def _loss(differences: Array, targets: Array, precision: float, weights: Array) -> float:
    margins = differences @ weights
    fits = np.logaddexp(0, margins) - targets * margins
    return float(fits.sum() + precision / 2 * weights @ weights)
