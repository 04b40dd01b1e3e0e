"""The arithmetic of PPO on replies, as pure functions of tensors: formula, shapes, source.

A batch has one row an episode (a prompt and its reply) and one column a token of the reply;
`mask` is 1 on the reply's tokens, its end mark included, and 0 on padding at the right. What
stands under padding never counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `values` where `mask` is 1, a scalar; both (rows, tokens)."""
    return (values * mask).sum() / mask.sum()


def whiten(values: torch.Tensor, mask: torch.Tensor, *, shift_mean: bool = True) -> torch.Tensor:
    """`(x - mean) / sqrt(var + 1e-8)` over the masked values, padding 0; (rows, tokens).

    `shift_mean=False` gives the mean back, so that the sign of a reward keeps its meaning
    (2403.17031, its code; the 2019 code of language models from human preferences shifts rewards
    too). The variance is the population's.
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    white = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (white if shift_mean else white + mean) * mask


def kl_terms(
    logprobs: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two estimates of KL(policy || reference) for each token drawn from the policy, in nats.

    With `d = log pi - log ref`: k1 = d, without bias but of either sign, and
    k3 = exp(-d) - 1 + d, without bias and never below 0. All (rows, tokens); padding 0. Both want
    tokens drawn from the policy: with the two exchanged they estimate nothing.
    """
    gap = (logprobs - reference) * mask
    return gap, torch.expm1(-gap) + gap


def judged_without_end(
    scores: torch.Tensor, ended: torch.Tensor, *, rule: str, score: float, penalty: float
) -> torch.Tensor:
    """Scores of replies, (rows,), with the rule for those that did not end by themselves.

    `replace`: such a reply gets the constant `score`, whatever the reward model says (2403.17031
    and the 2019 code, with -1; it must lie below the range of the other scores). `subtract`: it
    loses `penalty` (TRL's way). `keep`: nothing changes.
    """
    if rule == "replace":
        return torch.where(ended, scores, torch.full_like(scores, score))
    if rule == "subtract":
        return torch.where(ended, scores, scores - penalty)
    if rule == "keep":
        return scores
    raise ValueError(f"There is no rule {rule!r} for a missing end: replace, subtract or keep.")


def token_rewards(
    scores: torch.Tensor, gaps: torch.Tensor, mask: torch.Tensor, *, beta: float
) -> torch.Tensor:
    """`-beta * k1` at each token, and the score on top at the last one; (rows, tokens).

    `scores` is (rows,), `gaps` the k1 of `kl_terms`. The sum of a row is `r - beta log(pi / ref)`
    (InstructGPT, 2203.02155, eq. 2). The last token is the end mark where there is one.
    """
    last = last_token(mask)
    ends = torch.zeros_like(mask).scatter(1, last[:, None], 1.0)
    return -beta * gaps * mask + scores[:, None] * ends


def last_token(mask: torch.Tensor) -> torch.Tensor:
    """The column of each row's last token, (rows,), from a mask whose ones stand at the left."""
    return mask.sum(dim=1).long() - 1


def gae(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, *, discount: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns by generalized advantage estimation; all (rows, tokens).

    `delta_t = r_t + discount V_{t+1} - V_t`, `A_t = delta_t + discount lam A_{t+1}`,
    `R_t = A_t + V_t` (1506.02438; 1707.06347, eq. 11). V and A are 0 after the last token, so
    nothing is bootstrapped from padding. The returns are those of advantages before whitening.
    """
    values, rewards = values * mask, rewards * mask
    after = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = (rewards + discount * after - values) * mask
    running = torch.zeros_like(deltas[:, 0])
    columns = []
    for column in reversed(range(deltas.shape[1])):
        running = deltas[:, column] + discount * lam * running
        columns.append(running)
    advantages = torch.stack(columns[::-1], dim=1) * mask
    return advantages, advantages + values


@dataclass(frozen=True, kw_only=True)
class Clipped:
    """A loss, and sums over tokens that say how it came about; each a scalar.

    Divide the sums by the number of tokens. `clipped` counts the tokens where the clipped term
    was the larger one; `approx_kl` sums `(log pi - log old)^2 / 2`.
    """

    loss: torch.Tensor
    clipped: torch.Tensor
    approx_kl: torch.Tensor
    ratio: torch.Tensor


def policy_loss(
    logprobs: torch.Tensor,
    old: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    *,
    clip: float,
    total: torch.Tensor | float | None = None,
) -> Clipped:
    """`1/total sum max(-A rho, -A clip(rho, 1 - c, 1 + c))` with `rho = pi / old`; (rows, tokens).

    PPO's clipped surrogate (1707.06347, eq. 7). `total` is the number of tokens of the whole
    minibatch, where only a part of it is given: then the parts' losses add up to its loss.
    """
    gap = (logprobs - old) * mask
    ratio = gap.exp()
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip, 1 + clip)
    total = mask.sum() if total is None else total
    return Clipped(
        loss=(torch.maximum(plain, clipped) * mask).sum() / total,
        clipped=((clipped > plain) * mask).sum().detach(),
        approx_kl=(0.5 * gap**2).sum().detach(),
        ratio=(ratio * mask).sum().detach(),
    )


def value_loss(
    values: torch.Tensor,
    old: torch.Tensor,
    returns: torch.Tensor,
    mask: torch.Tensor,
    *,
    clip: float,
    total: torch.Tensor | float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`1/(2 total) sum max((V - R)^2, (clip(V, V_old - c, V_old + c) - R)^2)`; (rows, tokens).

    The 2019 code of language models from human preferences; 0 for `clip` doesn't clip. Also
    returns how many tokens were clipped; `total` as in `policy_loss`.
    """
    plain = (values - returns) ** 2
    near = old + (values - old).clamp(-clip, clip) if clip else values
    clipped = (near - returns) ** 2
    total = mask.sum() if total is None else total
    loss = 0.5 * (torch.maximum(plain, clipped) * mask).sum() / total
    return loss, ((clipped > plain) * mask).sum().detach()


class KLController:
    """The weight of the KL penalty: fixed, or steered to where the KL is as large as wanted.

    Adaptive (1909.08593, section 2.2): `e = clip(KL / target - 1, -0.2, 0.2)`, then
    `beta <- beta (1 + e episodes / horizon)`, all counted in episodes, not in tokens. Without a
    target, `beta` stays.
    """

    def __init__(self, beta: float, *, target: float = 0.0, horizon: int = 10_000) -> None:
        self.beta = beta
        self._target = target
        self._horizon = horizon

    def update(self, kl: float, episodes: int) -> None:
        """Take note of the mean KL, in nats, of so many episodes."""
        if self._target:
            error = min(max(kl / self._target - 1, -0.2), 0.2)
            self.beta *= 1 + error * episodes / self._horizon


def explained_variance(
    values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """`1 - Var(R - V) / Var(R)` over the masked tokens: 1 is a perfect critic, 0 a constant one."""
    residual = returns - values
    left = masked_mean((residual - masked_mean(residual, mask)) ** 2, mask)
    spread = masked_mean((returns - masked_mean(returns, mask)) ** 2, mask)
    return 1 - left / (spread + 1e-8)
