"""PPO's four models: policy, reference, reward model and critic, and what they say of a batch.

Dropout is off in all of them, in training too: else the ratio of a policy to itself would not be
1 (2403.17031, detail 7).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.nn.functional import cross_entropy

from training.configs import PPOConfig
from training.recipes.data import Ids
from training.recipes.loading import load_members, load_policy, load_tokenizer, lora
from training.recipes.reward_model import SHIFT, need_states
from training.recipes.scoring import Scorer, need_one_tokenizer, pad_right

AT_ONCE = 4096
"""States that the head is given at a time where nothing is kept for a backward pass."""


class Critic(nn.Module):
    """A reward model that says at every token what the reply will be worth."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Values (rows, tokens), in fp32, by the reward model's own head and shift."""
        adapted = isinstance(self.model, PeftModel)
        inner: Any = self.model.get_base_model() if adapted else self.model
        hidden = inner.base_model(input_ids=input_ids).last_hidden_state
        values: torch.Tensor = inner.score(hidden).squeeze(-1).float()
        return values + getattr(inner.config, SHIFT, 0.0)


@dataclass(frozen=True)
class Batch:
    """Prompts with their replies, each row padded at its right.

    There no token sees padding, since none sees what follows it: no mask is needed, and attention
    does half the work. `ids` is (rows, tokens), `real` (rows, reply) and true on a reply's tokens.
    `states` (real tokens,) are the places, in `ids` laid out flat, from which the replies' tokens
    were chosen, and `chosen` those tokens, both row by row.
    """

    ids: torch.Tensor
    real: torch.Tensor
    states: torch.Tensor
    chosen: torch.Tensor

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """What a model's forward takes."""
        return {"input_ids": self.ids}

    def of_states(self, hidden: torch.Tensor) -> torch.Tensor:
        """Of (rows, tokens, ...) what stands at the states, (real tokens, ...)."""
        return hidden.flatten(0, 1).index_select(0, self.states)

    def by_reply(self, values: torch.Tensor) -> torch.Tensor:
        """Values (real tokens,) laid out as (rows, reply), 0 under padding."""
        return values.new_zeros(self.real.shape).masked_scatter(self.real, values)


def collate(
    prompts: Sequence[Ids], replies: Sequence[Ids], pad: int, device: torch.device
) -> Batch:
    """A batch of prompts with their replies. No prompt is empty: its last token is a state."""
    whole = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    ids, _ = pad_right(whole, pad)
    _, real = pad_right(replies, pad)
    width = ids.shape[1]
    states = [
        row * width + len(prompt) - 1 + place
        for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
        for place in range(len(reply))
    ]
    chosen = [token for reply in replies for token in reply]
    return Batch(
        ids=ids.to(device),
        real=real.bool().to(device),
        states=torch.tensor(states, device=device),
        chosen=torch.tensor(chosen, device=device),
    )


def log_probabilities(model: Any, batch: Batch, temperature: float) -> torch.Tensor:
    """Log-probabilities of the replies' tokens, (rows, reply), in fp32, 0 under padding.

    Under the softmax of logits divided by the temperature.
    """
    return batch.by_reply(_said(model, batch, temperature, _of_chosen))


def with_entropies(
    model: Any, batch: Batch, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """`log_probabilities`, to the bit, and the entropies of what was chosen from, laid out alike.

    The entropies have no gradient.
    """
    logprobs, entropy = _said(model, batch, temperature, _with_entropy).unbind(-1)
    return batch.by_reply(logprobs), batch.by_reply(entropy)


def _of_chosen(logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return -cross_entropy(logits, chosen, reduction="none")


def _with_entropy(logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """(tokens, 2): the log-probability of what was chosen, and the entropy."""
    with torch.no_grad():
        every = logits.log_softmax(-1)
        entropy = -(every.exp() * every).sum(-1)
    return torch.stack((_of_chosen(logits, chosen), entropy), -1)


def _said(
    model: Any,
    batch: Batch,
    temperature: float,
    say: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """What is said of the replies' tokens, by their logits and what was chosen, (real tokens, ...).

    Where nothing is kept for a backward pass the head is given AT_ONCE states at a time: logits of
    a whole batch, with their softmax, would be most of an evaluation's memory.
    """
    if torch.is_grad_enabled() or len(batch.chosen) <= AT_ONCE:
        return say(logits_of(model, batch, temperature), batch.chosen)
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    found = inner.base_model(**batch.inputs, use_cache=False)
    states = batch.of_states(found.last_hidden_state)
    parts = []
    slices = zip(torch.split(states, AT_ONCE), torch.split(batch.chosen, AT_ONCE), strict=True)
    for some, chosen in slices:
        found.last_hidden_state = some[None]
        with _in_place_of(inner.base_model, found):
            logits = inner(**batch.inputs, use_cache=False).logits[0].float()
        parts.append(say(logits if temperature == 1 else logits / temperature, chosen))
        del logits  # before the next slice's are made
    return torch.cat(parts)


@contextmanager
def _in_place_of(trunk: Any, found: Any) -> Iterator[None]:
    """Let the trunk answer with what was found already.

    The model is still asked as a whole, since some scale or cap what their head says.
    """
    own = vars(trunk).get("forward")
    trunk.forward = lambda *_, **__: found
    try:
        yield
    finally:
        del trunk.forward
        if own is not None:
            trunk.forward = own


def logits_of(model: Any, batch: Batch, temperature: float) -> torch.Tensor:
    """The logits from which the replies' tokens were chosen, (real tokens, vocabulary), in fp32.

    The model's head is given those states alone, not those of prompts and padding: with a small
    model it is a good part of all work, with a large vocabulary most of the memory.
    """

    def keep_states(_: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (batch.of_states(given[0])[None],)

    hook = model.get_output_embeddings().register_forward_pre_hook(keep_states)
    try:
        logits: torch.Tensor = model(**batch.inputs, use_cache=False).logits[0].float()
    finally:
        hook.remove()
    return logits if temperature == 1 else logits / temperature


def values_of(critic: Any, batch: Batch) -> torch.Tensor:
    """The critic's values (rows, reply) of the states in which the replies' tokens were chosen."""
    return batch.by_reply(batch.of_states(critic(**batch.inputs)))


class Actors:
    """The four models. With LoRA the reference is the policy with its adapter off, and the reward
    model may be the critic with its adapter off. Of an ensemble all members judge, by their mean
    score (2310.02743), and the critic begins as the first of them.
    """

    def __init__(
        self, config: PPOConfig, base: Path, reward: Path, device: torch.device, seed: int
    ) -> None:
        self.tokenizer = load_tokenizer(base)
        need_one_tokenizer(self.tokenizer, reward)
        policy: Any = load_policy(base, self.tokenizer)
        members: list[Any] = load_members(reward, self.tokenizer)
        judge, *others = members
        need_states(judge, reward)
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
        self.scorer = Scorer(
            self._judge,
            self.tokenizer,
            config.per_device_batch_size,
            others=[freeze(other).to(device) for other in others],
        )
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
            return self.scorer.score_ids(sequences)


def _adapters(config: PPOConfig, head: str | None = None) -> LoraConfig:
    found = lora(cast(Any, config), head=head)
    if found is None:
        raise ValueError("lora_r is 0")
    return found


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


def kept(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights as a file takes them."""
    return {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}


@torch.no_grad()
def put_back(weights: dict[str, torch.Tensor], saved: dict[str, torch.Tensor]) -> None:
    """Give weights the values that were kept."""
    for name, weight in weights.items():
        weight.copy_(saved[name])
