"""PPO's arithmetic against numbers worked by hand, and against a problem whose answer is known."""

import math

import pytest
import torch

from training.recipes.returns import (
    KLController,
    explained_variance,
    gae,
    judged_without_end,
    kl_terms,
    policy_loss,
    token_rewards,
    value_loss,
    whiten,
)

ONES = torch.ones(1, 3)


def _t(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_whiten_gives_mean_0_and_variance_1_and_forgets_padding() -> None:
    """1, 2, 3 have mean 2 and variance 2/3; the 100 under padding must not count."""
    values, mask = _t([1.0, 2.0], [3.0, 100.0]), _t([1.0, 1.0], [1.0, 0.0])
    scale = math.sqrt(1.5)
    assert whiten(values, mask) == pytest.approx(_t([-scale, 0.0], [scale, 0.0]), abs=1e-6)
    kept = whiten(values, mask, shift_mean=False)
    assert kept == pytest.approx(_t([2 - scale, 2.0], [2 + scale, 0.0]), abs=1e-6)


def test_kl_terms_by_hand_have_the_signs_of_policy_against_reference() -> None:
    """d = log(1/2) - log(1/4) = log 2: k1 = 0.693, k3 = 1/2 - 1 + 0.693; and the other way."""
    half, quarter = math.log(0.5), math.log(0.25)
    k1, k3 = kl_terms(_t([half, quarter, 9.0]), _t([quarter, half, 0.0]), _t([1.0, 1.0, 0.0]))
    assert k1 == pytest.approx(_t([math.log(2), -math.log(2), 0.0]))
    assert k3 == pytest.approx(_t([math.log(2) - 0.5, 1 - math.log(2), 0.0]))


def test_kl_terms_estimate_the_exact_divergence() -> None:
    """Weighted by the policy's own probabilities, k1 and k3 both sum to KL(policy || reference)."""
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.2, 0.3, 0.5])
    exact = float((policy * (policy / reference).log()).sum())
    k1, k3 = kl_terms(policy.log()[None], reference.log()[None], ONES)
    assert float((policy * k1).sum()) == pytest.approx(exact)
    assert float((policy * k3).sum()) == pytest.approx(exact)
    assert bool((k3 >= 0).all())
    other = float((reference * (reference / policy).log()).sum())
    assert other != pytest.approx(exact, abs=0.01)


def test_token_rewards_put_the_score_at_the_last_token() -> None:
    gaps, mask = _t([0.5, -1.0, 7.0], [1.0, 1.0, 1.0]), _t([1.0, 1.0, 0.0], [1.0, 1.0, 1.0])
    rewards = token_rewards(torch.tensor([2.0, -3.0]), gaps, mask, beta=0.1)
    assert rewards == pytest.approx(_t([-0.05, 2.1, 0.0], [-0.1, -0.1, -3.1]))
    assert rewards.sum(1) == pytest.approx(torch.tensor([2.0 - 0.1 * -0.5, -3.0 - 0.1 * 3.0]))


def test_missing_end_is_judged_by_the_rule_that_is_named() -> None:
    scores, ended = torch.tensor([1.0, 2.0]), torch.tensor([True, False])
    assert _judged(scores, ended, "replace") == pytest.approx(torch.tensor([1.0, -3.0]))
    assert _judged(scores, ended, "subtract") == pytest.approx(torch.tensor([1.0, 1.5]))
    assert _judged(scores, ended, "keep") == pytest.approx(scores)
    with pytest.raises(ValueError, match="replace, subtract or keep"):
        _judged(scores, ended, "punish")


def _judged(scores: torch.Tensor, ended: torch.Tensor, rule: str) -> torch.Tensor:
    return judged_without_end(scores, ended, rule=rule, score=-3.0, penalty=0.5)


def test_gae_by_hand_with_an_early_end() -> None:
    """discount 0.9, lambda 0.5; two tokens, then padding with a value that must not leak in.

    delta_1 = 1 - 0.4 = 0.6; delta_0 = 0 + 0.9 * 0.4 - 0.2 = 0.16; A_0 = 0.16 + 0.45 * 0.6.
    """
    rewards, values = _t([0.0, 1.0, 5.0]), _t([0.2, 0.4, 8.0])
    advantages, returns = gae(rewards, values, _t([1.0, 1.0, 0.0]), discount=0.9, lam=0.5)
    assert advantages == pytest.approx(_t([0.43, 0.6, 0.0]))
    assert returns == pytest.approx(_t([0.63, 1.0, 0.0]))


def test_gae_at_its_ends_is_reward_to_go_and_one_step() -> None:
    rewards, values = _t([1.0, 2.0, 3.0]), _t([0.5, -0.5, 1.5])
    _, to_go = gae(rewards, values, ONES, discount=1.0, lam=1.0)
    assert to_go == pytest.approx(_t([6.0, 5.0, 3.0]))
    one_step, _ = gae(rewards, values, ONES, discount=1.0, lam=0.0)
    assert one_step == pytest.approx(_t([1 - 0.5 - 0.5, 2 + 1.5 + 0.5, 3 - 1.5]))


def test_policy_loss_by_hand() -> None:
    """Ratios 1.5, 0.5 and 1.1 with clip 0.2: a gain is cut at 1.2, a loss is not cut at all."""
    old = torch.zeros(1, 4)
    new = _t([math.log(1.5), math.log(0.5), math.log(1.1), 5.0])
    found = policy_loss(new, old, _t([1.0, 1.0, -2.0, 9.0]), _t([1.0, 1.0, 1.0, 0.0]), clip=0.2)
    assert float(found.loss) == pytest.approx((-1.2 - 0.5 + 2.2) / 3)
    assert float(found.clipped) == 1
    assert float(found.ratio) == pytest.approx(1.5 + 0.5 + 1.1)
    squares = math.log(1.5) ** 2 + math.log(0.5) ** 2 + math.log(1.1) ** 2
    assert float(found.approx_kl) == pytest.approx(squares / 2)


def test_policy_loss_where_nothing_moved_is_minus_the_mean_advantage() -> None:
    """Its gradient is the policy gradient: -A / n at each token."""
    logprobs = _t([-1.0, -2.0, -3.0]).requires_grad_()
    advantages = _t([1.0, -2.0, 4.0])
    found = policy_loss(logprobs, logprobs.detach(), advantages, ONES, clip=0.2)
    assert found.loss.item() == pytest.approx(-1.0)
    found.loss.backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad == pytest.approx(-advantages / 3)


def test_value_loss_by_hand() -> None:
    """V 1.0 from 0.5 is cut to 0.7: (0.7 - 2)^2 = 1.69 is over (1 - 2)^2; the other one is not."""
    loss, clipped = value_loss(
        _t([1.0, 0.6, 9.0]), _t([0.5, 0.5, 0.0]), _t([2.0, 0.0, 0.0]), _t([1.0, 1.0, 0.0]), clip=0.2
    )
    assert float(loss) == pytest.approx(0.5 * (1.69 + 0.36) / 2)
    assert float(clipped) == 1
    free, _ = value_loss(_t([1.0]), _t([0.5]), _t([2.0]), _t([1.0]), clip=0.0)
    assert float(free) == pytest.approx(0.5)


def test_losses_of_parts_add_up_to_the_loss_of_the_whole() -> None:
    torch.manual_seed(0)
    new, old, advantages, returns = torch.randn(4, 6, 5)
    mask = (torch.arange(5) < torch.tensor([5, 1, 3, 2, 4, 5])[:, None]).float()
    whole = policy_loss(new, old, advantages, mask, clip=0.2).loss
    worth = value_loss(new, old, returns, mask, clip=0.2)[0]
    total = mask.sum()
    rows = [slice(0, 1), slice(1, 4), slice(4, 6)]
    parts = [
        policy_loss(new[r], old[r], advantages[r], mask[r], clip=0.2, total=total).loss
        for r in rows
    ]
    values = [
        value_loss(new[r], old[r], returns[r], mask[r], clip=0.2, total=total)[0] for r in rows
    ]
    assert float(sum(parts)) == pytest.approx(float(whole), abs=1e-6)
    assert float(sum(values)) == pytest.approx(float(worth), abs=1e-6)


def test_controller_by_hand() -> None:
    """KL at twice the target: the error is cut to 0.2, so beta grows by 1 + 0.2 * 512 / 10000."""
    adaptive = KLController(0.1, target=6.0, horizon=10_000)
    adaptive.update(12.0, 512)
    assert adaptive.beta == pytest.approx(0.1 * 1.01024)
    adaptive.update(5.4, 1000)
    assert adaptive.beta == pytest.approx(0.1 * 1.01024 * 0.99)
    fixed = KLController(0.1)
    fixed.update(12.0, 512)
    assert fixed.beta == 0.1


def test_explained_variance_of_a_perfect_and_of_a_constant_critic() -> None:
    returns = _t([1.0, 2.0, 6.0])
    assert float(explained_variance(returns, returns, ONES)) == pytest.approx(1)
    assert float(explained_variance(torch.full((1, 3), 3.0), returns, ONES)) == pytest.approx(0)


BETA = 0.5
TOKENS = 4


def test_tabular_policy_reaches_the_closed_form_optimum() -> None:
    """PPO on all 16 replies of two tokens, each weighted by its probability, ends at
    `pi* = ref exp(r / beta) / Z`, and everywhere on the way `J(pi*) - J(pi) = beta KL(pi || pi*)`.
    """
    torch.manual_seed(3)
    torch.set_num_threads(1)
    reference = _tree(0.5 * torch.randn(1 + TOKENS, TOKENS).double())
    reward = 0.5 * torch.randn(TOKENS * TOKENS).double()
    optimum = (reference.sum(1) + reward / BETA).log_softmax(0)
    best = float(BETA * (reference.sum(1) + reward / BETA).logsumexp(0))
    logits = (0.5 * torch.randn(1 + TOKENS, TOKENS).double()).requires_grad_()
    values = torch.zeros(1 + TOKENS).double().requires_grad_()
    optimizer = torch.optim.Adam([logits, values], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    for step in range(500):
        with torch.no_grad():
            policy = _tree(logits)
            probability = policy.sum(1).exp()
            if step % 100 == 0:
                distance = float((probability * (policy.sum(1) - optimum)).sum())
                gap = best - _objective(policy, reference, reward)
                assert gap == pytest.approx(BETA * distance, abs=1e-9)
        _improve(logits, values, reference, reward, optimizer)
        schedule.step()
    policy = _tree(logits.detach())
    assert float((policy.sum(1).exp() * (policy.sum(1) - optimum)).sum()) < 1e-4
    assert best - _objective(policy, reference, reward) < 1e-4


def _tree(logits: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (16, 2) of every reply's tokens: row 0 begins, row 1 + a follows a."""
    table = logits.log_softmax(-1)
    first = table[0].repeat_interleave(TOKENS)
    return torch.stack([first, table[1:].reshape(-1)], dim=1)


def _objective(policy: torch.Tensor, reference: torch.Tensor, reward: torch.Tensor) -> float:
    """J = E[r - beta log(pi / ref)]."""
    whole = policy.sum(1)
    return float((whole.exp() * (reward - BETA * (whole - reference.sum(1)))).sum())


def _improve(
    logits: torch.Tensor,
    values: torch.Tensor,
    reference: torch.Tensor,
    reward: torch.Tensor,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One rollout of every reply and two inner epochs; a mask of probabilities is the weighting."""
    ones = torch.ones(TOKENS * TOKENS, 2).double()
    with torch.no_grad():
        old, old_values = _tree(logits), _states(values)
        gaps, _ = kl_terms(old, reference, ones)
        rewards = token_rewards(reward, gaps, ones, beta=BETA)
        advantages, returns = gae(rewards, old_values, ones, discount=1.0, lam=0.95)
        weight = old.sum(1).exp()[:, None] * ones
    for _ in range(2):
        policy = policy_loss(_tree(logits), old, advantages, weight, clip=0.2).loss
        worth, _ = value_loss(_states(values), old_values, returns, weight, clip=0.0)
        optimizer.zero_grad()
        (policy + worth).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _states(values: torch.Tensor) -> torch.Tensor:
    """Values (16, 2) of the states in which both tokens of every reply are chosen."""
    return torch.stack(
        [values[0].expand(TOKENS * TOKENS), values[1:].repeat_interleave(TOKENS)], dim=1
    )
