"""The reward model's own forward: scores where they are asked for, a prompt encoded once.

Any stock model for sequence classification with a linear head `score` becomes one. Its weights and
its files stay those of the stock class, so other programs load it too; only the shift that is kept
in config.json is ours.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutputWithPast

from training import rundir

SHIFT = "reward_shift"


class RewardForward:
    """Mixed in before a stock class: one score for each end, plus the model's own shift."""

    if TYPE_CHECKING:
        config: Any
        base_model: Any
        score: Any

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        ends: torch.Tensor | None = None,
        segments: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutputWithPast:
        """Scores of shape (ends, 1), or (rows, 1) at each row's last real token.

        `input_ids` and `attention_mask` have the shape (rows, tokens); `ends` is (ends, 2): row and
        token of each score. With `segments`, of the shape of `input_ids`, a row is one comparison:
        0 is the prompt, 1.. are the replies, -1 is padding, and no reply sees another.
        Padding may stand on either side: positions count real tokens alone.
        """
        if segments is not None:
            attention_mask = block_mask(segments)
        elif attention_mask is not None and position_ids is None:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
        hidden = self.base_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **kwargs,
        ).last_hidden_state
        if ends is None:
            ends = self._last_tokens(hidden, input_ids, attention_mask)
        logits = self.score(hidden[ends[:, 0], ends[:, 1]])
        return SequenceClassifierOutputWithPast(logits=logits + getattr(self.config, SHIFT, 0.0))

    def _last_tokens(
        self, hidden: torch.Tensor, ids: torch.Tensor | None, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Row and place of each row's last real token; without a mask, of the last that is no pad.

        The end mark is a real token, because pad and end are never the same token here.
        """
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        places = torch.arange(hidden.shape[1], device=hidden.device)
        if mask is None and ids is not None:
            mask = ids != self.config.get_text_config().pad_token_id
        real = torch.ones_like(hidden[..., 0]) if mask is None else mask
        return torch.stack([rows, (places * real.long()).argmax(-1)], dim=-1)


def block_mask(segments: torch.Tensor) -> torch.Tensor:
    """Who may look at whom, (rows, 1, tokens, tokens), true for yes.

    A token sees the prompt and its own segment, up to itself. Padding sees itself, since attention
    over nothing is not a number.
    """
    length = segments.shape[-1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    key, query = segments[:, None, :], segments[:, :, None]
    seen = earlier & ((key == query) | (key == 0)) & (key >= 0)
    itself = torch.eye(length, dtype=torch.bool, device=segments.device)
    return (seen | itself)[:, None]


@cache
def reward_class(stock: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """The stock class with our forward, under the stock name: that name goes into config.json."""
    return type(stock.__name__, (RewardForward, stock), {"__module__": stock.__module__})


def why_no_shared_prefix(model: PreTrainedModel) -> str | None:
    """Why this model can't encode a prompt once for several replies, or None if it can.

    Tried out on a few tokens: a model that looks both ways, or at neighbours in a row, or that
    counts positions by itself would score other than alone.
    """
    config = model.config.get_text_config()
    if config._attn_implementation != "sdpa":
        return f"its attention is {config._attn_implementation}, not sdpa"
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return "not all of its layers attend to the whole text"
    if getattr(config, "layer_types", None) is None and getattr(config, "sliding_window", None):
        return "its attention has a sliding window"
    if "position_ids" not in inspect.signature(model.base_model.forward).parameters:
        return "it takes no positions"
    return None if _agrees(model, config.vocab_size) else "its scores would differ"


@torch.no_grad()
def _agrees(model: Any, vocabulary: int) -> bool:
    """Whether both ways give the same scores of two replies to one prompt."""
    training = model.training
    model.eval()
    ids = [number * 7 % vocabulary for number in range(1, 12)]
    prompt, first, second = ids[:4], ids[4:9], ids[9:]
    pack: dict[str, Any] = {
        "input_ids": torch.tensor([prompt + first + second]),
        "segments": torch.tensor([[0] * 4 + [1] * 5 + [2] * 2]),
        "position_ids": torch.tensor([[*range(9), 4, 5]]),
        "ends": torch.tensor([[0, 8], [0, 10]]),
    }
    shared = model(**{name: value.to(model.device) for name, value in pack.items()}).logits
    alone = [
        model(input_ids=torch.tensor([prompt + reply], device=model.device)).logits
        for reply in (first, second)
    ]
    model.train(training)
    return bool(torch.allclose(shared, torch.cat(alone), rtol=1e-3, atol=1e-4))


def need_head(model: Any, path: object) -> None:
    """RunFolderError for a family whose head is no linear layer over the last token's state."""
    if not isinstance(getattr(model, "score", None), torch.nn.Linear):
        raise rundir.RunFolderError(
            f"The model in {path} is a {type(model).__name__}, whose head is no linear layer "
            "named score: take a decoder, such as Qwen or Llama."
        )


@torch.no_grad()
def set_scale(model: Any, *, mean: float, deviation: float | None) -> None:
    """Make scores with this mean have mean 0, and with this deviation, if given, deviation 1.

    The gain goes into the head's weights, the shift into config.json: both are saved with the
    model. Raises RunFolderError for a deviation of 0.
    """
    if deviation is not None and not deviation > 0:
        raise rundir.RunFolderError(
            "All reference texts have one score, so there is no scale: switch unit_variance off."
        )
    gain = 1.0 if deviation is None else 1.0 / deviation
    model.score.weight.mul_(gain)
    setattr(model.config, SHIFT, gain * (getattr(model.config, SHIFT, 0.0) - mean))
