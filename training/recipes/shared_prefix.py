"""One prompt for several replies: it is encoded once, and no reply sees another.

A row holds the prompt and behind it its replies. A block mask keeps these apart, and positions
begin anew at each, so every token gets the state it would have had alone with its prompt.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from training import rundir
from training.recipes.data import Ids
from training.recipes.running import logger

MOST_MASK = 2**28
"""Entries of the largest block mask that is made: 256 MB of booleans for the mask itself; what is
made on the way to it, and what attention makes of it, takes several times that.
"""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What encoding a row of n tokens takes, in multiply-adds: `linear n + attention n^2`."""

    linear: float
    attention: float

    def of(self, rows: int, length: int) -> float:
        """The cost of that many rows, padded to that length."""
        return rows * length * (self.linear + self.attention * length)


def costs_of(model: PreTrainedModel) -> Costs:
    """From a model's shape: weights without the embedding, and scores and values of attention."""
    config = model.config.get_text_config()
    embedded = sum(weight.numel() for weight in model.get_input_embeddings().parameters())
    return Costs(
        linear=float(model.num_parameters() - embedded),
        attention=2.0 * config.num_hidden_layers * config.hidden_size,
    )


def shares(
    asked: str, costs: Costs | None, prompts: Sequence[int], replies: Sequence[Sequence[int]]
) -> bool:
    """Whether a batch encodes its prompts once, by the lengths of its prompts and their replies.

    `asked` is "never", "always", or "auto" for whichever is less work by `costs`. Raises
    RunFolderError where it is asked for always and the batch's mask would be too large.
    """
    whole = max(p + sum(r) for p, r in zip(prompts, replies, strict=True))
    fits = len(prompts) * whole**2 <= MOST_MASK
    if asked == "always" and not fits:
        raise rundir.RunFolderError(
            f"A batch of {len(prompts)} prompts with all their replies, up to {whole} tokens in a "
            f"row, takes a mask of {len(prompts) * whole**2} entries; {MOST_MASK} is the most: "
            "make per_device_batch_size smaller, or set shared_prefix to auto."
        )
    if asked != "auto" or costs is None:
        return asked == "always"
    longest = max(p + max(r) for p, r in zip(prompts, replies, strict=True))
    return fits and costs.of(len(prompts), whole) < costs.of(sum(map(len, replies)), longest)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A row of one prompt and its replies.

    Segment 0 is the prompt, 1.. are the replies; `starts` is each reply's first place.
    """

    ids: Ids
    segments: list[int]
    positions: list[int]
    starts: list[int]


def pack(prompt: Ids, replies: Sequence[Ids]) -> Pack:
    """Prompt, then replies, whose positions begin anew where the prompt ends."""
    made = Pack(
        ids=list(prompt),
        segments=[0] * len(prompt),
        positions=list(range(len(prompt))),
        starts=[],
    )
    for number, reply in enumerate(replies, start=1):
        made.starts.append(len(made.ids))
        made.ids.extend(reply)
        made.segments.extend([number] * len(reply))
        made.positions.extend(range(len(prompt), len(prompt) + len(reply)))
    return made


def packed(packs: Sequence[Pack], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, segments and positions of shape (packs, tokens), padded on the right."""
    return (
        padded([one.ids for one in packs], pad),
        padded([one.segments for one in packs], -1),
        padded([one.positions for one in packs], 0),
    )


def padded(rows: Sequence[Ids], filler: int) -> torch.Tensor:
    """The rows as one tensor, filled up on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])


def block_mask(segments: torch.Tensor) -> torch.Tensor:
    """Who may look at whom, (rows, 1, tokens, tokens), true for yes.

    A token sees the prompt and its own segment, up to itself. Padding, segment -1, sees itself,
    since attention over nothing is not a number.
    """
    length = segments.shape[-1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    key, query = segments[:, None, :], segments[:, :, None]
    seen = earlier & ((key == query) | (key == 0)) & (key >= 0)
    itself = torch.eye(length, dtype=torch.bool, device=segments.device)
    return (seen | itself)[:, None]


def teach_trunk(model: PreTrainedModel) -> None:
    """Let a model's trunk take packed rows and give back states as if each reply stood alone.

    Beside its own arguments the trunk then takes `shared_ids` and `segments` of shape (packs,
    tokens) in the place of ids and mask, and `places` of shape (texts, length): where in its pack
    each token of a text stands. Text number i belongs to pack i modulo packs. The last hidden
    state comes back in the shape (texts, length, width).
    """
    trunk: Any = model.base_model
    plain = trunk.forward

    @functools.wraps(type(trunk).forward)
    def forward(
        *args: Any,
        shared_ids: torch.Tensor | None = None,
        segments: torch.Tensor | None = None,
        places: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if segments is None or places is None:
            return plain(*args, **kwargs)
        mask = block_mask(segments)
        outputs = plain(**{**kwargs, "input_ids": shared_ids, "attention_mask": mask})
        rows = torch.arange(len(places), device=places.device) % len(segments)
        outputs.last_hidden_state = outputs.last_hidden_state[rows[:, None], places]
        return outputs

    trunk.forward = forward


def sharing(asked: str, model: PreTrainedModel) -> str:
    """Whether prompts are encoded once, as asked for and as the model can.

    Raises RunFolderError where it is asked for always and the model can't.
    """
    if asked == "never":
        return "never"
    reason = why_no_shared_prefix(model)
    if reason is None:
        return asked
    if asked == "always":
        raise rundir.RunFolderError(
            f"This model can't encode a prompt once for all its replies, because {reason}: "
            "set shared_prefix to auto."
        )
    logger.info("each reply is encoded with its prompt: %s", reason)
    return "never"


def why_no_shared_prefix(model: PreTrainedModel) -> str | None:
    """Why this model can't encode a prompt once for several replies, or None if it can.

    Tried out on a few tokens: a model that looks both ways, or at neighbours in a row, or that
    counts positions by itself would compute other states than alone.
    """
    if getattr(model, "looks_both_ways", False):
        return "it looks both ways"
    config = model.config.get_text_config()
    if config._attn_implementation != "sdpa":
        return f"its attention is {config._attn_implementation}, not sdpa"
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return "not all of its layers attend to the whole text"
    if getattr(config, "layer_types", None) is None and getattr(config, "sliding_window", None):
        return "its attention has a sliding window"
    if "position_ids" not in inspect.signature(model.base_model.forward).parameters:
        return "it takes no positions"
    return None if _agrees(model, config.vocab_size) else "its results would differ"


@torch.no_grad()
def _agrees(model: Any, vocabulary: int) -> bool:
    """Whether both ways give the same last states of two replies to one prompt."""
    training = model.training
    model.eval()
    ids = [number * 7 % vocabulary for number in range(1, 12)]
    prompt, first, second = ids[:4], ids[4:9], ids[9:]
    row = pack(prompt, [first, second])
    shared, segments, positions = (part.to(model.device) for part in packed([row], 0))
    states = model.base_model(
        input_ids=shared,
        attention_mask=block_mask(segments),
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state[0, [8, 10]]
    texts = [torch.tensor([prompt + reply], device=model.device) for reply in (first, second)]
    alone = [model.base_model(input_ids=text).last_hidden_state[0, -1] for text in texts]
    model.train(training)
    # Four-bit weights are multiplied in bf16, whose rounding is that much coarser.
    loose = 1e-3 if states.dtype == torch.float32 else 5e-2
    return bool(torch.allclose(states, torch.stack(alone), rtol=loose, atol=loose))
