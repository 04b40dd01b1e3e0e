"""Experience: a step's episodes drawn, judged by the four models, and put into one table.

Each process draws and judges its share; then all processes know all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch.nn.utils.rnn import pad_sequence

from training.configs import PPOConfig
from training.recipes.actors import (
    Actors,
    Batch,
    collate,
    log_probabilities,
    values_of,
    with_entropies,
)
from training.recipes.data import Ids
from training.recipes.episodes import Episode, Material, Minibatch, begin, cut
from training.recipes.returns import gae, judged_without_end, kl_terms, token_rewards, whiten
from training.recipes.rollouts import Roller, end_marks, stream_seed


@dataclass(frozen=True, kw_only=True)
class Table:
    """A step's episodes as tensors: `scores` and `raw` (episodes,), the others (episodes, tokens).

    `raw` are the reward model's scores, `scores` those by the rule for replies without an end.
    """

    mask: torch.Tensor
    logprobs: torch.Tensor
    entropy: torch.Tensor
    values: torch.Tensor
    k1: torch.Tensor
    k3: torch.Tensor
    raw: torch.Tensor
    scores: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor


def mean_kl(table: Table) -> float:
    """The mean over episodes of k1 summed over tokens, in nats."""
    return float(table.k1.sum(1).mean())


class Collector:
    """Draws and judges the episodes of a step. `drawn` is a hash of what this process drew for."""

    def __init__(
        self,
        config: PPOConfig,
        *,
        seed: int,
        actors: Actors,
        roller: Roller,
        material: Material,
        accelerator: Accelerator,
        suffix: Ids,
    ) -> None:
        self.config = config
        self.actors = actors
        self.drawn = hashlib.sha256()
        self._seed = seed
        self._roller = roller
        self._material = material
        self._accelerator = accelerator
        self._suffix = suffix
        self._pad = int(actors.tokenizer.pad_token_id)
        self._ends = frozenset(end_marks(actors.policy))

    def collect(self, step: int) -> tuple[list[Episode], list[Minibatch]]:
        """A step's episodes, drawn and judged, and the first pass over them.

        The old log-probabilities are those of the training forward on the very batches of the
        first pass, so that its first ratios are 1 to the bit.
        """
        self.actors.rest()
        episodes = begin(self._material, step, self.config.batch_size, self._seed)
        self._roll(episodes)
        first = self.cut(episodes, step, 0)
        own = [part for minibatch in first for part in minibatch[self._accelerator.process_index]]
        self._judge(episodes, own)
        return episodes, first

    def _roll(self, episodes: list[Episode]) -> None:
        order = sorted(range(len(episodes)), key=lambda at: (len(episodes[at].prompt), at))
        own = order[self._accelerator.process_index :: self._accelerator.num_processes]
        prompts = [episodes[at].prompt for at in own]
        seeds = [stream_seed(self._seed, "episode", episodes[at].number) for at in own]
        replies = self._roller.roll(prompts, seeds)
        self.drawn.update(repr([(episodes[at].number, episodes[at].prompt) for at in own]).encode())
        for at, reply in gather_object(list(zip(own, replies, strict=True))):
            episodes[at].reply = reply
            episodes[at].ended = reply[-1] in self._ends

    def cut(self, episodes: Sequence[Episode], step: int, epoch: int) -> list[Minibatch]:
        """One pass over the episodes, in minibatches by process."""
        return cut(
            [episode.length for episode in episodes],
            minibatches=self.config.minibatches,
            processes=self._accelerator.num_processes,
            size=self.config.per_device_batch_size,
            words=(self._seed, "pass", step, epoch),
        )

    @torch.no_grad()
    def _judge(self, episodes: list[Episode], parts: Sequence[Sequence[int]]) -> None:
        """Let the four models speak of this process's parts, and share it with the others."""
        said: list[tuple[int, dict[str, torch.Tensor]]] = []
        temperature = self.config.temperature
        for part in parts:
            batch = self.batch(episodes, part)
            with self._accelerator.autocast():
                logprobs, entropy = with_entropies(self.actors.policy, batch, temperature)
                with self.actors.as_reference() as model:
                    reference = log_probabilities(model, batch, temperature)
                values = values_of(self.actors.critic, batch)
            found = {"logprobs": logprobs, "reference": reference}
            found |= {"values": values, "entropy": entropy}
            cpu = {name: tensor.cpu() for name, tensor in found.items()}
            for row, at in enumerate(part):
                length = len(episodes[at].reply)
                said.append((at, {name: value[row, :length] for name, value in cpu.items()}))
        places = [at for part in parts for at in part]
        with self._accelerator.autocast():
            scores = self.actors.score([self._whole(episodes[at]) for at in places])
        for at, tensors in gather_object(said):
            for name, tensor in tensors.items():
                setattr(episodes[at], name, tensor)
        for at, score in gather_object(list(zip(places, scores, strict=True))):
            episodes[at].score = score

    def _whole(self, episode: Episode) -> Ids:
        """What the reward model reads: a complete reply ends as the template ends one."""
        return episode.prompt + episode.reply + (self._suffix if episode.ended else [])

    def batch(self, episodes: Sequence[Episode], part: Sequence[int]) -> Batch:
        """What the models are given of some of the episodes."""
        prompts = [episodes[at].prompt for at in part]
        replies = [episodes[at].reply for at in part]
        return collate(prompts, replies, self._pad, self._accelerator.device)

    def table(self, episodes: Sequence[Episode], beta: float) -> Table:
        """All episodes as tensors, with rewards, advantages and returns."""
        config, device = self.config, self._accelerator.device

        def column(name: str) -> torch.Tensor:
            rows = [getattr(episode, name) for episode in episodes]
            return pad_sequence(rows, batch_first=True).to(device)

        ones = [torch.ones(len(episode.reply)) for episode in episodes]
        mask = pad_sequence(ones, batch_first=True).to(device)
        logprobs, values = column("logprobs"), column("values")
        k1, k3 = kl_terms(logprobs, column("reference"), mask)
        raw = torch.tensor([episode.score for episode in episodes], device=device)
        ended = torch.tensor([episode.ended for episode in episodes], device=device)
        scores = judged_without_end(
            raw,
            ended,
            rule=config.missing_eos,
            score=config.missing_eos_score,
            penalty=config.missing_eos_penalty,
        )
        rewards = token_rewards(scores, k1, mask, beta=beta)
        if config.whiten_rewards:
            rewards = whiten(rewards, mask, shift_mean=False)
        advantages, returns = gae(
            rewards, values, mask, discount=config.discount, lam=config.gae_lambda
        )
        return Table(
            mask=mask,
            logprobs=logprobs,
            entropy=column("entropy"),
            values=values,
            k1=k1,
            k3=k3,
            raw=raw,
            scores=scores,
            advantages=whiten(advantages, mask),
            returns=returns,
        )
