"""The models of an evaluation, and what they say of replies: draws, log-probabilities, rewards."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from training import rundir
from training.configs import EvaluateConfig
from training.recipes.actors import collate, freeze, log_probabilities, with_entropies
from training.recipes.ai_judge import AIJudge, load_ai_judge
from training.recipes.data import Encoder, Ids
from training.recipes.loading import device_of, load_policy, load_tokenizer, need_template
from training.recipes.returns import kl_terms
from training.recipes.rollouts import CachedRoller, end_marks
from training.recipes.running import Run, needed_input, needed_model, needed_reward
from training.recipes.scoring import Scorer, load_judge, longest_text, suffix_of


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One reply and what is said of it; sums over its tokens, in nats, its end mark included.

    `rewards` are those of the members of an ensemble, of which `reward` is the mean.
    """

    text: str
    tokens: int
    ended: bool
    logprob: float
    reference_logprob: float
    kl_k3: float
    entropy: float
    reward: float
    rewards: list[float]


class Panel:
    """Policy, reference, reward model and, where they are asked for, baseline and AI judge.

    A model that plays several parts is loaded once.
    """

    def __init__(self, run: Run, config: EvaluateConfig) -> None:
        self._config = config
        self._device = device_of(config)
        self._dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
        self._loaded: dict[Path, Any] = {}
        path = needed_model(run)
        self.tokenizer = load_tokenizer(path)
        need_template(self.tokenizer, path)
        self.policy = self._policy(path)
        self._reference = self._policy(needed_input(run, "reference", "a reference"))
        self.baseline: Any = None
        if "baseline" in run.inputs:
            need_same_template(self.tokenizer, run.inputs["baseline"])
            self.baseline = self._policy(run.inputs["baseline"])
        self._scorer = self._load_scorer(needed_reward(run))
        self.judge = self._load_judge(run.inputs.get("judge"))
        self._ends = {id(model): frozenset(end_marks(model)) for model in self._loaded.values()}
        self._suffix = suffix_of(self._scorer.encoder, self._ends[id(self.policy)])
        self.encoder = Encoder(self.tokenizer, self._longest_prompt())

    def _policy(self, path: Path) -> Any:
        need_same_tokens(self.tokenizer, path)
        place = path.resolve()
        if place not in self._loaded:
            model = load_policy(path, self.tokenizer, self._dtype)
            self._loaded[place] = freeze(model).to(self._device)
        return self._loaded[place]

    def _load_scorer(self, path: Path) -> Scorer:
        return load_judge(
            path, self.tokenizer, device=self._device, batch_size=self._config.batch_size
        )

    def _load_judge(self, path: Path | None) -> AIJudge | None:
        if path is None:
            return None
        if self.baseline is None:
            raise rundir.RunFolderError(
                "The AI judge has nothing to compare with: name a baseline in inputs.baseline.path."
            )
        size = self._config.batch_size
        if path.resolve() in self._loaded:
            return AIJudge(self._loaded[path.resolve()], load_tokenizer(path), batch_size=size)
        return load_ai_judge(path, device=self._device, dtype=self._dtype, batch_size=size)

    def _longest_prompt(self) -> int:
        """The longest prompt, in tokens, that leaves every model room for the longest reply."""
        longest = longest_text(
            self._scorer,
            self._suffix,
            max_length=self._config.max_length,
            models=self._loaded.values(),
            new_tokens=self._config.max_new_tokens,
        )
        return longest - self._config.max_new_tokens

    def reply(self, model: Any, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[Measured]:
        """One reply of the model to each prompt, each from the stream of its own seed."""
        roller = CachedRoller(
            model,
            self.tokenizer,
            temperature=self._config.temperature,
            max_new_tokens=self._config.max_new_tokens,
            batch_size=self._config.batch_size,
            autocast=nullcontext,
        )
        return self.measure(model, prompts, roller.roll(prompts, seeds))

    def measure(self, model: Any, prompts: Sequence[Ids], replies: Sequence[Ids]) -> list[Measured]:
        """What is said of replies that the model drew."""
        ends = self._ends[id(model)]
        ended = [reply[-1] in ends for reply in replies]
        whole = [
            prompt + reply + (self._suffix if complete else [])
            for prompt, reply, complete in zip(prompts, replies, ended, strict=True)
        ]
        rewards = list(zip(*self._scorer.score_each(whole), strict=True))
        sums = self._sums(model, prompts, replies)
        return [
            Measured(
                text=self._text(reply),
                tokens=len(reply),
                ended=complete,
                reward=fmean(said),
                rewards=list(said),
                **added,
            )
            for reply, complete, said, added in zip(replies, ended, rewards, sums, strict=True)
        ]

    def _text(self, reply: Ids) -> str:
        text = str(self.tokenizer.decode(reply, skip_special_tokens=True))
        return text.replace("\x00", "\ufffd")  # no database takes a NUL in a text

    def _sums(
        self, model: Any, prompts: Sequence[Ids], replies: Sequence[Ids]
    ) -> list[dict[str, float]]:
        """Log-probabilities, k3 and entropy of each reply, summed over its tokens."""
        found: list[dict[str, float]] = [{}] * len(replies)
        order = sorted(range(len(replies)), key=lambda at: len(prompts[at]) + len(replies[at]))
        for start in range(0, len(order), self._config.batch_size):
            part = order[start : start + self._config.batch_size]
            sums = self._sums_of([prompts[at] for at in part], [replies[at] for at in part], model)
            for at, *values in zip(part, *sums.values(), strict=True):
                found[at] = dict(zip(sums, values, strict=True))
        return found

    @torch.no_grad()
    def _sums_of(
        self, prompts: Sequence[Ids], replies: Sequence[Ids], model: Any
    ) -> dict[str, list[float]]:
        batch = collate(prompts, replies, int(self.tokenizer.pad_token_id), self._device)
        own, entropy = with_entropies(model, batch, self._config.temperature)
        if self._reference is model:
            base = own
        else:
            base = log_probabilities(self._reference, batch, self._config.temperature)
        _, k3 = kl_terms(own, base, batch.real)
        columns = {"logprob": own, "reference_logprob": base, "kl_k3": k3, "entropy": entropy}
        return {name: values.double().sum(1).tolist() for name, values in columns.items()}


def need_same_tokens(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """RunFolderError for a model that reads other tokens: no KL to it could be told."""
    if load_tokenizer(path).get_vocab() != tokenizer.get_vocab():
        raise rundir.RunFolderError(
            f"The model in {path} reads other tokens than the policy: take the policy's own "
            "parent, or another of its ancestors."
        )


def need_same_template(tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """RunFolderError for a baseline that is prompted in another way than the policy."""
    if load_tokenizer(path).chat_template != tokenizer.chat_template:
        raise rundir.RunFolderError(
            f"The baseline in {path} has another chat template than the policy: take one of its "
            "relatives."
        )
