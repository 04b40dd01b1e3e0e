"""The bench of what is asked first: its head is at its optimum, its ratio is read off a curve."""

import numpy as np
import pytest

from bench.labels import best_of, mean_curve, ratio, ratios
from bench.labels_head import PRECISION, fit, represent


def test_the_head_is_at_the_minimum_of_its_loss() -> None:
    rng = np.random.default_rng(1)
    seen = rng.normal(size=(60, 5))
    targets = (seen @ np.arange(5) + rng.normal(size=60) > 0).astype(float)
    targets[:6] = 0.5
    head = fit(seen, targets)

    def loss(weights: np.ndarray) -> float:
        margins = seen @ weights
        fits = np.logaddexp(0, margins) - targets * margins
        return float(fits.sum() + PRECISION / 2 * weights @ weights)

    for _ in range(20):
        assert loss(head.weights) < loss(head.weights + 0.01 * rng.normal(size=5))
    members = head.members(4000, rng)
    assert members.shape == (5, 4000)
    assert np.allclose(np.cov(members), np.linalg.inv(head.hessian), atol=0.03)


def test_one_label_of_one_feature_by_hand() -> None:
    # The gradient s(w) - 1 + w is zero at w = 0.4011.
    assert fit(np.ones((1, 1)), np.ones(1)).weights[0] == pytest.approx(0.40106, abs=1e-4)
    assert fit(np.ones((2, 1)), np.array([1.0, 0.0])).weights[0] == pytest.approx(0)


def test_separable_labels_have_an_optimum_too() -> None:
    head = fit(np.array([[30.0], [40.0], [50.0]]), np.ones(3))
    assert np.isfinite(head.weights).all()


def test_what_all_replies_to_a_prompt_share_is_taken_away() -> None:
    rng = np.random.default_rng(2)
    prompts = np.repeat(np.arange(40), 5)
    states = rng.normal(size=(200, 128))
    pool = prompts < 30
    shifted = states + 7.0 * prompts[:, None]
    found = represent(states, prompts, pool)
    assert found.shape == (200, 320)
    assert np.allclose(
        found[:, :64] @ found[0, :64],
        represent(shifted, prompts, pool)[:, :64] @ (represent(shifted, prompts, pool)[0, :64]),
    )


def test_the_ratio_is_interpolated_between_two_batches() -> None:
    control = [(20, 0.6), (40, 0.7), (80, 0.8)]
    assert ratio(control, control) == 1
    assert ratio([(20, 0.7), (40, 0.9)], control) == pytest.approx(30 / 80)
    assert ratio([(20, 0.8), (40, 0.9)], control) == pytest.approx(20 / 80)
    assert ratio([(20, 0.7), (80, 0.79)], control) is None


def test_the_strategy_that_needs_fewest_labels_is_best() -> None:
    control, fast = [(20, 0.6), (40, 0.8)], [(20, 0.8), (40, 0.9)]
    slow = [(20, 0.6), (40, 0.7)]
    mean = mean_curve([control, fast])
    assert [labels for labels, _ in mean] == [20, 40]
    assert [accuracy for _, accuracy in mean] == pytest.approx([0.7, 0.85])
    found = ratios({"random": {1: control}, "margin": {1: fast}, "thompson": {1: slow}}, [1])
    assert found == {"margin": 0.5, "thompson": None}
    assert best_of(found) == "margin"
