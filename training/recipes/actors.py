"""PPO's four models: policy, reference, reward model and critic, and what they say of a batch.

Dropout is off in all of them, in training too: else the ratio of a policy to itself would not be
1 (2403.17031, detail 7).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedTokenizerBase

from training import rundir
from training.configs import PPOConfig
from training.recipes.data import Ids
from training.recipes.generation import pad_left
from training.recipes.loading import load_policy, load_reward_model, load_tokenizer, lora
from training.recipes.reward_model import SHIFT
from training.recipes.scoring import Scorer, pad_right


class Critic(nn.Module):
    """A reward model that says at every token what the reply will be worth."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, position_ids: torch.Tensor
    ) -> torch.Tensor:
        """Values (rows, tokens), in fp32, by the reward model's own head and shift."""
        adapted = isinstance(self.model, PeftModel)
        inner: Any = self.model.get_base_model() if adapted else self.model
        hidden = inner.base_model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids
        ).last_hidden_state
        values: torch.Tensor = inner.score(hidden).squeeze(-1).float()
        return values + getattr(inner.config, SHIFT, 0.0)


@dataclass(frozen=True)
class Batch:
    """Prompts at the left and replies at the right of one column, where all replies begin.

    `ids`, `mask` and `positions` are (rows, prompt + reply), `replies` and `real` (rows, reply);
    `real` is 1.0 on a reply's tokens.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    replies: torch.Tensor
    real: torch.Tensor

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """What a model's forward takes."""
        return {
            "input_ids": self.ids,
            "attention_mask": self.mask,
            "position_ids": self.positions,
        }


def collate(
    prompts: Sequence[Ids], replies: Sequence[Ids], pad: int, device: torch.device
) -> Batch:
    """A batch of prompts padded at their left and replies padded at their right."""
    left, left_mask = pad_left(prompts, pad)
    right, right_mask = pad_right(replies, pad)
    mask = torch.cat([left_mask, right_mask], dim=1)
    return Batch(
        ids=torch.cat([left, right], dim=1).to(device),
        mask=mask.to(device),
        positions=(mask.cumsum(-1) - 1).clamp(min=0).to(device),
        replies=right.to(device),
        real=right_mask.float().to(device),
    )


def log_probabilities(
    model: Any, batch: Batch, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of the replies' tokens and, without gradient, entropies: (rows, reply).

    Both under the softmax of logits divided by the temperature, in fp32. 0 under padding.
    """
    width = batch.replies.shape[1]
    logits = model(**batch.inputs, use_cache=False, logits_to_keep=width + 1).logits
    logits = logits[:, :-1].float() / temperature
    chosen = logits.gather(-1, batch.replies[..., None]).squeeze(-1)
    total = logits.logsumexp(-1)
    with torch.no_grad():
        entropy = total - (logits.softmax(-1) * logits).sum(-1)
    return (chosen - total) * batch.real, entropy * batch.real


def values_of(critic: Any, batch: Batch) -> torch.Tensor:
    """The critic's values (rows, reply) of the states in which the replies' tokens were chosen."""
    width = batch.replies.shape[1]
    values: torch.Tensor = critic(**batch.inputs)[:, -width - 1 : -1]
    return values * batch.real


class Actors:
    """The four models. With LoRA the reference is the policy with its adapter off, and the reward
    model may be the critic with its adapter off.
    """

    def __init__(
        self, config: PPOConfig, base: Path, reward: Path, device: torch.device, seed: int
    ) -> None:
        self.tokenizer = load_tokenizer(base)
        _need_one_tokenizer(self.tokenizer, base, reward)
        policy: Any = load_policy(base, self.tokenizer)
        judge: Any = load_reward_model(reward, self.tokenizer)
        critic: Any = judge if config.share_value_trunk else copy.deepcopy(judge)
        self.reference: Any = None
        if config.lora_r:
            torch.manual_seed(seed)
            policy = get_peft_model(policy, _adapters(config))
            critic = get_peft_model(critic, _adapters(config, head="score"))
        else:
            self.reference = freeze(copy.deepcopy(policy)).to(device)
        if config.share_value_trunk:
            judge = critic
        else:
            freeze(judge)
        self.policy: Any = without_dropout(policy).to(device)
        self.critic = Critic(without_dropout(critic)).to(device)
        if config.gradient_checkpointing:
            for model in (policy, critic):
                model.activation_checkpointing_enable({"use_reentrant": False})
                model.enable_input_require_grads()
        self._judge: Any = judge.to(device)
        self._scorer = Scorer(self._judge, self.tokenizer, config.per_device_batch_size)
        self._shared = config.share_value_trunk
        self.rest()

    def rest(self) -> None:
        """Let nothing be kept for a backward pass."""
        self.policy.train(False)
        self.critic.train(False)

    def learn(self, checkpointing: bool) -> None:
        """Be ready for a backward pass; only checkpointing asks whether a model is in training."""
        self.policy.train(checkpointing)
        self.critic.train(checkpointing)

    @contextmanager
    def as_reference(self) -> Iterator[Any]:
        """The policy as it was in the beginning."""
        if self.reference is not None:
            yield self.reference
            return
        with self.policy.disable_adapter():
            yield self.policy

    def score(self, sequences: Sequence[Ids]) -> list[float]:
        """The reward model's scores of prompts with their replies, each up to the last token."""
        with self._judge.disable_adapter() if self._shared else nullcontext():
            return self._scorer.score_ids(sequences)


def _adapters(config: PPOConfig, head: str | None = None) -> LoraConfig:
    found = lora(cast(Any, config), head=head)
    if found is None:
        raise ValueError("lora_r is 0")
    return found


def _need_one_tokenizer(tokenizer: PreTrainedTokenizerBase, base: Path, reward: Path) -> None:
    """RunFolderError where policy and reward model don't read the same tokens."""
    other = load_tokenizer(reward)
    same = tokenizer.get_vocab() == other.get_vocab()
    if not same or tokenizer.chat_template != other.chat_template:
        raise rundir.RunFolderError(
            f"The reward model in {reward} reads other tokens than the policy in {base}: train a "
            "reward model from this policy, or from one of its ancestors."
        )


def freeze(model: Any) -> Any:
    """The model with every weight fixed and in the mode of inference."""
    model.requires_grad_(False)
    return without_dropout(model).train(False)


def without_dropout(model: Any) -> Any:
    """The model with every rate of dropout at 0, those that are mere numbers included."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    return model


def trained(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights that learn, by name; shared ones once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
