"""The loss with soft labels: DPO in closed form, its gradient by hand, and where it converges."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from training.recipes.dpo_loss import smoothed, soft_label_loss

pytestmark = pytest.mark.recipe


def _backward(loss: Any) -> None:
    loss.backward()


def _ones(like: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(like)


@pytest.mark.parametrize("target", [0.0, 0.3, 0.5, 1.0])
def test_policy_equal_to_reference_gives_the_logarithm_of_two(target: float) -> None:
    """At d = 0 both terms are log 2, whatever the label says."""
    zero = torch.zeros(3, dtype=torch.float64)
    loss = soft_label_loss(zero, torch.full_like(zero, target), _ones(zero))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-12)


def test_hard_labels_give_the_loss_of_dpo() -> None:
    difference = torch.tensor([-3.0, 0.2, 5.0], dtype=torch.float64)
    found = soft_label_loss(difference, _ones(difference), _ones(difference))
    by_hand = sum(math.log(1 + math.exp(-d)) for d in (-3.0, 0.2, 5.0)) / 3
    assert found.item() == pytest.approx(by_hand, abs=1e-12)


def test_swapped_pair_with_the_opposite_label_is_the_same_pair() -> None:
    difference = torch.tensor([0.7, -1.1])
    targets = torch.tensor([0.9, 0.35])
    assert soft_label_loss(difference, targets, _ones(targets)).item() == pytest.approx(
        soft_label_loss(-difference, 1 - targets, _ones(targets)).item(), abs=1e-7
    )


def test_gradient_is_the_one_of_the_paper() -> None:
    """-beta sigmoid(r_l - r_w) (grad log pi(w) - grad log pi(l)); 2305.18290, section 4."""
    beta = 0.4
    chosen = torch.tensor([-3.0, -1.0], dtype=torch.float64, requires_grad=True)
    rejected = torch.tensor([-2.5, -4.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([0.3, -0.8], dtype=torch.float64)
    difference = beta * (chosen - rejected - reference)
    _backward(soft_label_loss(difference, _ones(reference), _ones(reference)))
    weight = torch.sigmoid(-difference.detach())  # sigmoid(r_l - r_w)
    assert torch.allclose(chosen.grad, -beta * weight / 2, atol=1e-12)
    assert torch.allclose(rejected.grad, beta * weight / 2, atol=1e-12)


@pytest.mark.parametrize("epsilon", [0.05, 0.25])
def test_conservative_gradient_vanishes_where_the_probability_is_reached(epsilon: float) -> None:
    target = smoothed(torch.ones(1, dtype=torch.float64), epsilon)
    difference = torch.logit(target).requires_grad_()
    _backward(soft_label_loss(difference, target, _ones(target)))
    assert difference.grad.item() == pytest.approx(0, abs=1e-12)
    further = (difference.detach() + 0.1).requires_grad_()
    _backward(soft_label_loss(further, target, _ones(target)))
    assert further.grad.item() > 0  # beyond it the pair is pushed back


def test_weight_two_counts_as_the_pair_twice() -> None:
    difference, target = torch.tensor([0.5, -0.4]), torch.tensor([1.0, 0.8])
    heavy = soft_label_loss(difference, target, torch.tensor([1.0, 2.0])) * 2
    twice = torch.tensor([0.5, -0.4, -0.4]), torch.tensor([1.0, 0.8, 0.8])
    assert heavy.item() == pytest.approx(soft_label_loss(*twice, torch.ones(3)).item() * 3)


def test_gradients_add_up_alike_in_batches_of_any_size() -> None:
    """The mean of eight losses of one pair is the loss of one batch of eight."""
    generator = torch.Generator().manual_seed(0)
    difference, target, weight = torch.rand(3, 8, generator=generator, dtype=torch.float64)
    whole = soft_label_loss(difference, target, weight)
    parts = [
        soft_label_loss(*(t[i : i + 1] for t in (difference, target, weight))) for i in range(8)
    ]
    assert whole.item() == pytest.approx(torch.stack(parts).mean().item(), abs=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_tabular_policy_converges_to_the_closed_form(beta: float) -> None:
    """pi* = pi_ref exp(r / beta) / Z, learned from all pairs with their Bradley-Terry targets."""
    generator = torch.Generator().manual_seed(1)
    rewards = torch.randn(6, generator=generator, dtype=torch.float64)
    reference = functional.log_softmax(
        torch.randn(6, generator=generator, dtype=torch.float64), dim=0
    )
    optimum = functional.log_softmax(reference + rewards / beta, dim=0)
    first, second = torch.combinations(torch.arange(6)).T
    targets = torch.sigmoid(rewards[first] - rewards[second])
    logits = reference.clone().requires_grad_()
    optimizer: Any = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        gain = functional.log_softmax(logits, dim=0) - reference
        loss = soft_label_loss(beta * (gain[first] - gain[second]), targets, _ones(targets))
        _backward(loss)
        return loss

    optimizer.step(closure)
    learned = functional.log_softmax(logits.detach(), dim=0)
    assert (learned.exp() * (learned - optimum)).sum().item() < 1e-6  # KL(pi || pi*), in nats

    def worth(policy: torch.Tensor) -> torch.Tensor:
        """J(pi) = E r - beta KL(pi || reference)."""
        return (policy.exp() * (rewards - beta * (policy - reference))).sum()

    short = (reference.exp() * (reference - optimum)).sum() * beta
    assert (worth(optimum) - worth(reference)).item() == pytest.approx(short.item(), abs=1e-9)
    log_z = torch.logsumexp(reference + rewards / beta, dim=0)
    assert worth(optimum).item() == pytest.approx((beta * log_z).item(), abs=1e-9)
