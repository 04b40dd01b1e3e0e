"""One step of PPO: learn from episodes that were drawn and judged; and what a checkpoint keeps.

All processes know all episodes, and every draw of order comes from the run's seed and the step's
number alone. So any number of processes takes the same steps, and a run that goes on takes those
that the other one would have.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from accelerate import Accelerator

from training.configs import PPOConfig
from training.recipes.actors import Batch, collate, log_probabilities, trained, values_of
from training.recipes.callbacks import Diverged
from training.recipes.data import Ids
from training.recipes.episodes import Episode, Minibatch, endless
from training.recipes.experience import Collector, Table, mean_kl
from training.recipes.returns import KLController, explained_variance, policy_loss, value_loss

GAP = "val/first_ratio_gap"


class PPOTrainer:
    """PPO's state between two steps, and the step itself.

    `step` counts whole steps, `updates` steps of the optimizers, `texts_read` the texts that
    PPO-ptx has learned from.
    """

    def __init__(
        self,
        collector: Collector,
        *,
        seed: int,
        texts: Sequence[tuple[Ids, Ids]],
        accelerator: Accelerator,
    ) -> None:
        self.collector = collector
        self.config = config = collector.config
        self.actors = actors = collector.actors
        self.controller = KLController(
            config.beta, target=config.kl_target, horizon=config.kl_horizon
        )
        self.step = self.updates = self.texts_read = 0
        self._seed = seed
        self._texts = texts
        self._accelerator = accelerator
        self._pad = int(actors.tokenizer.pad_token_id)
        value_rate = config.value_learning_rate or config.learning_rate
        self.optimizers = {
            "policy": _optimizer(actors.policy, config, config.learning_rate),
            "critic": _optimizer(actors.critic, config, value_rate),
        }
        self._rates = {"policy": config.learning_rate, "critic": value_rate}
        self.average: dict[str, torch.Tensor] | None = None
        if config.ema_decay:
            weights = trained(actors.policy)
            self.average = {name: weight.detach().clone() for name, weight in weights.items()}

    def learn(
        self, episodes: Sequence[Episode], table: Table, first: list[Minibatch]
    ) -> dict[str, float]:
        """Take the step's passes over its episodes; returns what the losses said, on the mean."""
        rate = rate_factor(self.config, self.step)
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self._rates[name] * rate
        self.actors.learn(self.config.gradient_checkpointing)
        history: list[dict[str, float]] = []
        before = self.updates
        for epoch in range(self.config.inner_epochs):
            passes = self.collector.cut(episodes, self.step, epoch) if epoch else first
            if not all(self._update(episodes, table, one, history) for one in passes):
                break
        self._move_average()
        means = _means(history)
        ratios = [row["val/ratio"] for row in history]
        means["val/ratio_var"] = sum((r - means["val/ratio"]) ** 2 for r in ratios) / len(ratios)
        means[GAP] = history[0][GAP]
        return means | {"lr": self._rates["policy"] * rate, "val/updates": self.updates - before}

    def _update(
        self,
        episodes: Sequence[Episode],
        table: Table,
        minibatch: Minibatch,
        history: list[dict[str, float]],
    ) -> bool:
        """One step of both optimizers; False, without it, where the policy has moved too far."""
        config = self.config
        every = [at for share in minibatch for part in share for at in part]
        total = float(table.mask[every].sum())
        said: dict[str, torch.Tensor | float] = defaultdict(float)
        for part in minibatch[self._accelerator.process_index]:
            self._backward(self.collector.batch(episodes, part), table, part, total, said)
        if config.ptx_coefficient:
            said["loss/ptx_avg"] = self._remember(len(every) * config.ptx_ratio)
        values = self._joined(said)
        if not all(math.isfinite(value) for value in values.values()):
            raise Diverged(
                f"A loss is no number any more at step {self.step + 1}: lower learning_rate, "
                "or raise beta."
            )
        history.append(values)
        if config.update_kl_limit and values["policy/approxkl_avg"] > config.update_kl_limit:
            self._forget_gradients()
            return False
        for name, model in (("policy", self.actors.policy), ("critic", self.actors.critic)):
            self._reduce_gradients(model)
            limit = config.max_grad_norm or math.inf
            norm = torch.nn.utils.clip_grad_norm_(trained(model).values(), limit)
            values[f"{name}/grad_norm"] = float(norm)
            self.optimizers[name].step()
        self._forget_gradients()
        self.updates += 1
        return True

    def _backward(
        self,
        batch: Batch,
        table: Table,
        part: Sequence[int],
        total: float,
        said: dict[str, torch.Tensor | float],
    ) -> None:
        """Add the gradients of one part of a minibatch of `total` tokens, and what it says."""
        config, width = self.config, batch.real.shape[1]
        old, advantages, returns, old_values = (
            tensor[part, :width]
            for tensor in (table.logprobs, table.advantages, table.returns, table.values)
        )
        with self._accelerator.autocast():
            logprobs = log_probabilities(self.actors.policy, batch, config.temperature)
        policy = policy_loss(logprobs, old, advantages, batch.real, clip=config.clip, total=total)
        self._accelerator.backward(policy.loss)
        with self._accelerator.autocast():
            values = values_of(self.actors.critic, batch)
        worth, clipped = value_loss(
            values, old_values, returns, batch.real, clip=config.value_clip, total=total
        )
        self._accelerator.backward(config.value_coefficient * worth)
        said["loss/policy_avg"] += policy.loss.detach()
        said["loss/value_avg"] += worth.detach()
        said["policy/approxkl_avg"] += policy.approx_kl / total
        said["policy/clipfrac_avg"] += policy.clipped / total
        said["val/clipfrac_avg"] += clipped / total
        said["val/ratio"] += policy.ratio / total
        gap = ((logprobs.detach() - old).exp() - 1).abs().max()
        said[GAP] = torch.maximum(gap, torch.as_tensor(said[GAP]))

    def _remember(self, count: int) -> torch.Tensor:
        """Add the gradients of `-gamma` times the mean log-likelihood of the next texts' tokens.

        The mean is over the tokens of all processes' texts (InstructGPT, 2203.02155, eq. 2, which
        leaves open what its expectation counts). Returns this process's part of the loss.
        """
        config, world = self.config, self._accelerator.num_processes
        texts = self._texts
        picked = [
            texts[at] for at in endless(len(texts), self.texts_read, count, self._seed, "texts")
        ]
        self.texts_read += count
        total = sum(len(tail) for _, tail in picked)
        # A text of a plain corpus begins with its first token: there is nothing to say it from.
        total -= sum(not head for head, _ in picked)
        picked.sort(key=lambda text: len(text[0]) + len(text[1]))
        own, size = picked[self._accelerator.process_index :: world], config.per_device_batch_size
        lost = torch.zeros((), device=self._accelerator.device)
        for start in range(0, len(own), size):
            loss = self._text_loss(own[start : start + size]) / max(total, 1)
            self._accelerator.backward(config.ptx_coefficient * loss)
            lost += loss.detach()
        return lost

    def _text_loss(self, texts: Sequence[tuple[Ids, Ids]]) -> torch.Tensor:
        """The sum of the negative log-likelihood of the texts' second parts."""
        split = [(head or tail[:1], tail if head else tail[1:]) for head, tail in texts]
        heads, tails = zip(*split, strict=True)
        batch = collate(heads, tails, self._pad, self._accelerator.device)
        with self._accelerator.autocast():
            logprobs = log_probabilities(self.actors.policy, batch, 1.0)
        return -logprobs.sum()

    def _joined(self, said: dict[str, torch.Tensor | float]) -> dict[str, float]:
        """What all processes say together."""
        device = self._accelerator.device
        values = torch.stack([torch.as_tensor(v, device=device).float() for v in said.values()])
        return joined(said, self._accelerator.gather(values[None]))

    def _reduce_gradients(self, model: torch.nn.Module) -> None:
        """Add up the gradients of all processes, in one message.

        Every part's loss is already divided by the tokens of the whole minibatch.
        """
        if self._accelerator.num_processes == 1:
            return
        gradients = [
            weight.grad if weight.grad is not None else torch.zeros_like(weight)
            for weight in trained(model).values()
        ]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self._accelerator.reduce(flat, "sum")
        sizes = [gradient.numel() for gradient in gradients]
        for weight, part in zip(trained(model).values(), flat.split(sizes), strict=True):
            weight.grad = part.view_as(weight)

    def _forget_gradients(self) -> None:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _move_average(self) -> None:
        for name, mean in (self.average or {}).items():
            mean.lerp_(trained(self.actors.policy)[name], 1 - self.config.ema_decay)

    def finish(self, table: Table) -> None:
        """Count the step, and let the controller see its KL."""
        self.controller.update(mean_kl(table), self.config.batch_size)
        self.step += 1

    def measures(self, episodes: Sequence[Episode], table: Table) -> dict[str, float]:
        """What a step's episodes say, under the names that TRL's trainer made known."""
        without = sum(not episode.ended for episode in episodes)
        count, tokens = len(episodes), table.mask.sum()
        beta, kl = self.controller.beta, mean_kl(table)
        # Where complete replies score below the constant, it pays not to end.
        low = [one.score < self.config.missing_eos_score for one in episodes if one.ended]
        critic = explained_variance(table.values, table.returns, table.mask)
        return {
            "objective/kl": kl,
            "objective/kl_k3": float(table.k3.sum(1).mean()),
            "objective/entropy": float(-table.logprobs.sum(1).mean()),
            "objective/non_score_reward": -beta * kl,
            "objective/rlhf_reward": float(table.scores.mean()) - beta * kl,
            "objective/scores": float(table.scores.mean()),
            "objective/raw_scores": float(table.raw.mean()),
            "objective/raw_scores_std": float(table.raw.std(correction=0)),
            "objective/kl_coefficient": beta,
            "policy/entropy_avg": float(table.entropy.sum() / tokens),
            "val/num_eos_tokens": count - without,
            "val/share_without_eos": without / count,
            "val/share_below_missing_eos": sum(low) / max(len(low), 1),
            "val/length": float(tokens) / count,
            "val/explained_variance": float(critic),
            "episode": (self.step + 1) * self.config.batch_size,
        }


def joined(names: Iterable[str], said: torch.Tensor) -> dict[str, float]:
    """Of (processes, names) the sum by name, but the largest of the GAPs."""
    sums = dict(zip(names, said.sum(0).tolist(), strict=True))
    if GAP in sums:
        sums[GAP] = float(said[:, list(sums).index(GAP)].max())
    return sums


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each name over the rows that have it."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            found[name].append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def rate_factor(config: PPOConfig, step: int) -> float:
    """The learning rate of a step (from 0), as a part of the highest one.

    It rises evenly over the warmup, its first step already above 0, then falls by the schedule.
    """
    warmup = round(config.warmup_ratio * config.steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(config.steps - warmup, 1)
    if config.lr_schedule == "constant":
        return 1.0
    if config.lr_schedule == "linear":
        return 1 - done
    low = config.min_lr_ratio if config.lr_schedule == "cosine_with_min_lr" else 0.0
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))


def _optimizer(model: torch.nn.Module, config: PPOConfig, rate: float) -> torch.optim.Optimizer:
    """AdamW whose weight decay leaves biases and norms alone."""
    weights = list(trained(model).values())
    groups = [
        {"params": [w for w in weights if w.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [w for w in weights if w.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=rate,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=True,
    )


class Clock:
    """Seconds since the last question."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        """Seconds since the last question."""
        now = time.monotonic()
        spent, self._last = now - self._last, now
        return spent
