"""Replies drawn while a policy learns: many at a time, with a cache, each from its own stream.

An episode's luck comes from its number alone, so the same weights draw the same replies whatever
the number of processes, and a run that goes on draws what the other one would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from transformers import PreTrainedTokenizerBase

from training.recipes.data import Ids
from training.recipes.generation import pad_left, stream


class Roller(Protocol):
    """What draws replies from the policy as it is now."""

    def roll(self, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[Ids]:
        """One reply per prompt and seed, its end mark included where it ended by itself."""
        ...


def stream_seed(*words: object) -> int:
    """A seed below 2**53 made of what is drawn for; equal words give equal seeds."""
    digest = hashlib.sha256(":".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8]) >> 11


def end_marks(model: Any) -> list[int]:
    """The tokens that end a reply of this model."""
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list) else [ends]


class CachedRoller:
    """Draws with the policy's own forward and a cache of keys and values.

    Prompts are sorted by length, so a batch holds little padding; once half of a batch has ended,
    its rows leave the cache, so that nobody computes for them any more.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        *,
        temperature: float,
        max_new_tokens: int,
        batch_size: int,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._model = model
        self._pad = int(tokenizer.pad_token_id)
        self._ends = torch.tensor(end_marks(model), device=model.device)
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._batch_size = batch_size
        self._autocast = autocast

    @torch.no_grad()
    def roll(self, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[Ids]:
        """One reply per prompt and seed, its end mark included where it ended by itself."""
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        replies: list[Ids] = [[] for _ in prompts]
        for start in range(0, len(order), self._batch_size):
            picked = order[start : start + self._batch_size]
            with self._autocast():
                # In here, as nothing is drawn before it is asked for.
                drawn = self._batch([prompts[at] for at in picked], [seeds[at] for at in picked])
                for row, token in drawn:
                    replies[picked[row]].append(token)
        return replies

    def _batch(self, prompts: list[Ids], seeds: list[int]) -> Iterator[tuple[int, int]]:
        """Pairs of a row and its next token, in the order in which they were drawn."""
        device = self._model.device
        ids, mask = (part.to(device) for part in pad_left(prompts, self._pad))
        luck = torch.stack([stream(seed, self._max_new_tokens) for seed in seeds]).to(device)
        rows = torch.arange(len(prompts), device=device)
        alive = torch.ones_like(rows, dtype=torch.bool)
        cache = None
        for step in range(self._max_new_tokens):
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            token = draw(out.logits[:, -1].float() / self._temperature, luck[:, step])
            yield from zip(rows[alive].tolist(), token[alive].tolist(), strict=True)
            alive = alive & ~torch.isin(token, self._ends)
            left = int(alive.sum())
            if not left:
                return
            if left <= len(alive) // 2:
                kept = alive.nonzero().squeeze(-1)
                cache.batch_select_indices(kept)
                rows, luck, mask, token = rows[kept], luck[kept], mask[kept], token[kept]
                alive = alive[kept]
            ids = token[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)


def draw(logits: torch.Tensor, luck: torch.Tensor) -> torch.Tensor:
    """One token per row of logits (rows, vocabulary), by inverting the cumulative distribution.

    `luck` holds a number in [0, 1) per row.
    """
    reached = logits.softmax(-1, dtype=torch.float64).cumsum(-1)
    goal = (luck * reached[:, -1])[:, None]
    token = torch.searchsorted(reached, goal, right=True).squeeze(-1)
    return token.clamp(max=logits.shape[-1] - 1)
