"""Replies of a policy: drawn token by token in batches, each from a random stream of its own.

A candidate's numbers come from its own seed, not from its place in a batch, so it can be drawn
again; in another batch it is the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from training.configs import SampleConfig
from training.recipes.data import Encoder, Ids, Messages
from training.recipes.loading import device_of, load_policy, load_tokenizer, need_template

Choice = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Tokens with their log-probabilities as drawn and under the plain model, each of shape (rows,)."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One reply. `tokens` and both log-probabilities (sums, in nats) count the end mark too.

    `logprob` is under the distribution drawn from, after temperature, top-k and top-p;
    `model_logprob` is under the model itself.
    """

    text: str
    finish_reason: str
    tokens: int
    logprob: float
    model_logprob: float
    seed: int


class Sampler:
    """Draws replies to prompts that are already ids."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: SampleConfig
    ) -> None:
        self._model: Any = model
        self._model.train(False)
        self._tokenizer = tokenizer
        self._config = config
        ends = model.generation_config.eos_token_id
        marks = ends if isinstance(ends, list) else [ends]
        self._ends = torch.tensor(marks, device=model.device)
        limit = int(getattr(model.config, "max_position_embeddings", config.max_length))
        self.max_prompt = min(config.max_length, limit) - config.max_new_tokens

    def draw(self, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[Drawn]:
        """One reply per prompt and seed."""
        steps, device = self._config.max_new_tokens, self._model.device
        luck = torch.stack([stream(seed, steps) for seed in seeds]).to(device)
        alive = torch.ones(len(prompts), dtype=torch.bool, device=device)
        taken, drawn, plain = [], [], []
        for token, logprob, model_logprob in self._walk(prompts, luck):
            taken.append(torch.where(alive, token, -1))
            drawn.append(logprob * alive)
            plain.append(model_logprob * alive)
            alive = alive & ~torch.isin(token, self._ends)
            if not alive.any():
                break
        sums = (torch.stack(drawn).sum(0).tolist(), torch.stack(plain).sum(0).tolist())
        rows = torch.stack(taken, dim=1).tolist()
        return list(map(self._drawn, rows, *sums, seeds))

    def tokens(self, prompt: Ids, seed: int) -> Iterator[int]:
        """The ids of one reply as they are drawn, its end mark too: what `draw` takes."""
        luck = stream(seed, self._config.max_new_tokens)[None].to(self._model.device)
        for token, _logprob, _model_logprob in self._walk([prompt], luck):
            yield int(token)
            if self.ends(int(token)):
                return

    @torch.no_grad()
    def _walk(self, prompts: Sequence[Ids], luck: torch.Tensor) -> Iterator[Choice]:
        """What is taken for each prompt at each step; `luck` has the shape (prompts, steps)."""
        ids, mask = pad_left(prompts, int(self._tokenizer.pad_token_id))
        ids, mask = ids.to(self._model.device), mask.to(self._model.device)
        cache = None
        for column in luck.unbind(dim=1):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            chosen = choose(out.logits[:, -1].float(), column, self._config)
            yield chosen
            ids = chosen[0][:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)

    def ends(self, token: int) -> bool:
        """Whether a token ends a reply."""
        return token in self._ends.tolist()

    def text(self, ids: Ids) -> str:
        """What the ids of a reply say, marks left out."""
        text = str(self._tokenizer.decode(ids, skip_special_tokens=True))
        return text.replace("\x00", "\ufffd")  # no database takes a NUL in a text

    def _drawn(self, row: Ids, logprob: float, model_logprob: float, seed: int) -> Drawn:
        ids = [token for token in row if token >= 0]
        return Drawn(
            text=self.text(ids),
            finish_reason="stop" if self.ends(ids[-1]) else "length",
            tokens=len(ids),
            logprob=logprob,
            model_logprob=model_logprob,
            seed=seed,
        )


def choose(logits: torch.Tensor, luck: torch.Tensor, config: SampleConfig) -> Choice:
    """One token per row of logits (rows, vocabulary), by inverting the cumulative distribution.

    `luck` holds a number in [0, 1) per row. Returns the tokens, their log-probability under the
    distribution drawn from and under the plain model, each of shape (rows,).
    """
    plain = torch.log_softmax(logits, dim=-1)
    if config.temperature == 0:
        token = logits.argmax(-1)
        return token, torch.zeros_like(plain[:, 0]), _at(plain, token)
    scaled = torch.log_softmax(_cut(logits / config.temperature, config), dim=-1)
    reached = scaled.double().exp().cumsum(-1)
    goal = (luck * reached[:, -1])[:, None]
    token = torch.searchsorted(reached, goal, right=True).squeeze(-1)
    token = token.clamp(max=logits.shape[-1] - 1)
    return token, _at(scaled, token), _at(plain, token)


def _cut(logits: torch.Tensor, config: SampleConfig) -> torch.Tensor:
    """Logits with those outside top-k, then outside top-p, at minus infinity."""
    if config.top_k:
        kept = logits.topk(min(config.top_k, logits.shape[-1]), dim=-1).values
        logits = logits.masked_fill(logits < kept[:, -1:], -torch.inf)
    if config.top_p < 1:
        values, order = logits.sort(dim=-1, descending=True)
        before = values.softmax(-1).cumsum(-1) - values.softmax(-1)
        outside = torch.zeros_like(logits, dtype=torch.bool)
        outside.scatter_(-1, order, before >= config.top_p)
        logits = logits.masked_fill(outside, -torch.inf)
    return logits


def _at(values: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    return values.gather(-1, token[:, None]).squeeze(-1)


def stream(seed: int, count: int) -> torch.Tensor:
    """Numbers in [0, 1) of one reply, drawn on the CPU so that every device has the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def pad_left(sequences: Sequence[Ids], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask of shape (sequences, longest), the texts at the right edge."""
    longest = max(len(sequence) for sequence in sequences)
    ids = [[*[pad] * (longest - len(sequence)), *sequence] for sequence in sequences]
    mask = [[0] * (longest - len(sequence)) + [1] * len(sequence) for sequence in sequences]
    return torch.tensor(ids), torch.tensor(mask)


def load_sampler(model: Path, config: SampleConfig) -> tuple[Sampler, Encoder]:
    """A sampler and the encoder for its prompts from a policy's folder."""
    tokenizer = load_tokenizer(model)
    need_template(tokenizer, model)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    network: Any = load_policy(model, tokenizer, dtype)
    sampler = Sampler(network.to(device_of(config)), tokenizer, config)
    return sampler, Encoder(tokenizer, sampler.max_prompt)


def generate(
    model: Path, prompts: Sequence[Messages | str], config: SampleConfig, *, seed: int
) -> list[Drawn]:
    """One reply to each prompt from the policy in a folder, with seeds counted up from `seed`.

    A prompt is a text or a list of messages. Raises Dropped for one that is too long.
    """
    sampler, encoder = load_sampler(model, config)
    lists = [
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        for prompt in prompts
    ]
    encoded = [encoder.prompt(messages) for messages in lists]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    found: dict[int, Drawn] = {}
    for start in range(0, len(order), config.batch_size):
        picked = order[start : start + config.batch_size]
        drawn = sampler.draw([encoded[at] for at in picked], [seed + at for at in picked])
        found.update(zip(picked, drawn, strict=True))
    return [found[index] for index in range(len(encoded))]
