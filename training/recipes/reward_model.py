"""The reward model's own forward: scores where they are asked for, a prompt encoded once.

Any stock model for sequence classification whose head is one linear layer becomes one: a decoder
with its `score`, or an encoder of BERT's family with its `classifier`. Its weights and its files
stay those of the stock class, so other programs load it too; only the shift that is kept in
config.json is ours.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import (
    SequenceClassifierOutput,
    SequenceClassifierOutputWithPast,
)

from training import rundir
from training.recipes.shared_prefix import block_mask

SHIFT = "reward_shift"
HEADS = ("score", "classifier")


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


class EncoderForward:
    """Mixed in before a stock encoder's class: its own score of each row, plus the model's shift.

    An encoder looks both ways and has one score for a text, read at its first token. So a row is a
    candidate, padded at its right, and no prompt is shared.
    """

    looks_both_ways = True

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        ends: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Scores of shape (rows, 1), in the order of `ends`, which has one for each row."""
        stock: Any = super()
        found = stock.forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        config: Any = self.config  # type: ignore[attr-defined]
        return SequenceClassifierOutput(logits=found.logits + getattr(config, SHIFT, 0.0))


@cache
def reward_class(stock: type[PreTrainedModel], head: str = "score") -> type[PreTrainedModel]:
    """The stock class with our forward, under the stock name: that name goes into config.json."""
    forward = RewardForward if head == "score" else EncoderForward
    return type(stock.__name__, (forward, stock), {"__module__": stock.__module__})


def needed_head(stock: type[PreTrainedModel], config: Any, path: object) -> str:
    """The name of a stock class's head; RunFolderError if it is no single linear layer."""
    with torch.device("meta"):
        model = stock(copy.deepcopy(config))
    for name in HEADS:
        if isinstance(getattr(model, name, None), torch.nn.Linear):
            return name
    raise rundir.RunFolderError(
        f"The model in {path} is a {stock.__name__}, whose head is no single linear layer: take a "
        "decoder, such as Qwen or Llama, or an encoder of BERT's family."
    )


def head_of(model: Any) -> str:
    """The name of the layer that makes a reward model's scores."""
    return next(name for name in HEADS if isinstance(getattr(model, name, None), torch.nn.Linear))


def need_states(model: Any, path: object) -> None:
    """RunFolderError for a model that has one score for a whole text, none for each token of it."""
    if head_of(model) != "score":
        raise rundir.RunFolderError(
            f"The reward model in {path} is an encoder, which can't say at each token what the "
            "reply will be worth: take a decoder, or the recipe rloo or grpo."
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
    for weight in getattr(model, head_of(model)).parameters():
        weight.mul_(gain)
    setattr(model.config, SHIFT, gain * (getattr(model.config, SHIFT, 0.0) - mean))
