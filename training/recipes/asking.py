"""Questions put to a policy: what it writes, and how likely each of a few answers is then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from training import rundir
from training.configs import JudgeConfig, SampleConfig
from training.recipes.data import Encoder, Ids
from training.recipes.generation import Sampler, pad_left


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The probabilities of the possible answers, summing to 1, and how likely any of them was."""

    probabilities: tuple[float, ...]
    mass: float


@torch.no_grad()
def answers_to(
    model: Any, questions: Sequence[Ids], choices: Sequence[int], *, pad: int, batch_size: int
) -> list[Answer]:
    """How likely each choice (a token's id) is to come next after each question."""
    order = sorted(range(len(questions)), key=lambda at: len(questions[at]))
    found: dict[int, Answer] = {}
    for start in range(0, len(order), batch_size):
        picked = order[start : start + batch_size]
        ids, mask = pad_left([questions[at] for at in picked], pad)
        ids, mask = ids.to(model.device), mask.to(model.device)
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            use_cache=False,
            logits_to_keep=1,
        ).logits[:, -1]
        logits = logits.float()
        chosen = logits[:, list(choices)]
        masses = (chosen.logsumexp(-1) - logits.logsumexp(-1)).exp().clamp(max=1)
        rows = chosen.softmax(-1)
        for at, row, mass in zip(picked, rows.tolist(), masses.tolist(), strict=True):
            found[at] = Answer(probabilities=tuple(row), mass=mass)
    return [found[at] for at in range(len(questions))]


def answer_ids(
    tokenizer: PreTrainedTokenizerBase, answers: Sequence[str]
) -> tuple[Ids, tuple[int, ...]]:
    """What all answers' ids begin with, if anything, and the first id in which they differ.

    Raises RunFolderError for a tokenizer that doesn't tell them apart.
    """
    written = [list(tokenizer(one, add_special_tokens=False)["input_ids"]) for one in answers]
    for place, ids in enumerate(zip(*written, strict=False)):
        if len(set(ids)) == len(ids):
            return written[0][:place], ids
        if len(set(ids)) > 1:
            break
    *others, last = answers
    raise rundir.RunFolderError(
        f"The judge's tokenizer doesn't tell the answers {', '.join(others)} and {last} apart."
    )


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question as text, and the seed of what is written on the way to its answer."""

    text: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Said:
    """What was written before the answer, the answer, and the ids that stood before it."""

    reasons: str
    answer: Answer
    ids: Ids


class Asker:
    """A policy that answers with one of a few words, after having written why where it is to."""

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        config: JudgeConfig,
        *,
        answers: Sequence[str],
        transition: str,
    ) -> None:
        self._model = model.train(False)
        self._tokenizer = tokenizer
        self._config = config
        self._pad = int(tokenizer.pad_token_id)
        lead, self._choices = answer_ids(tokenizer, answers)
        self._tail = [*(self.plain_ids(transition) if config.writes else []), *lead]
        positions = int(getattr(model.config, "max_position_embeddings", config.max_length))
        room = len(self._tail) + 2 + (config.max_new_tokens if config.writes else 0)
        self._encoder = Encoder(tokenizer, min(config.max_length, positions) - room)
        draw = SampleConfig(
            candidates_per_prompt=1,
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
            max_length=max(config.max_length, config.max_new_tokens + 1),
        )
        self._sampler = Sampler(model, tokenizer, draw)

    def plain_ids(self, text: str) -> Ids:
        """The ids of a text that is no turn of its own."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def ask(self, questions: Sequence[Question]) -> list[Said]:
        """An answer to each question. Raises Dropped where one can't be put to this policy."""
        asked = [self._encoder.prompt([_user(one.text)]) for one in questions]
        reasons = self._reasons(asked, [one.seed for one in questions])
        ids = [
            [*before, *self.plain_ids(why), *self._tail]
            for before, why in zip(asked, reasons, strict=True)
        ]
        answers = self.answers_to(ids, self._choices)
        return [
            Said(reasons=why, answer=answer, ids=before)
            for why, answer, before in zip(reasons, answers, ids, strict=True)
        ]

    def means_ten(self, said: Sequence[Said]) -> bool:
        """Whether a 1 that is the likeliest rating more likely than not goes on to a 10."""
        one, ten = self.plain_ids("1"), self.plain_ids("10")
        if ten[: len(one)] != one or len(ten) != len(one) + 1:
            return False  # a 10 is a token of its own, and no possible answer
        likeliest = [
            it for it in said if it.answer.probabilities[0] == max(it.answer.probabilities)
        ]
        after = self.answers_to([[*it.ids, one[-1]] for it in likeliest], ten[-1:])
        return any(answer.mass > 0.5 for answer in after)

    def close(self) -> None:
        """Nothing is open."""

    def answers_to(self, questions: Sequence[Ids], choices: Sequence[int]) -> list[Answer]:
        """How likely each of some tokens comes next."""
        size = self._config.batch_size
        return answers_to(self._model, questions, choices, pad=self._pad, batch_size=size)

    def _reasons(self, asked: Sequence[Ids], seeds: Sequence[int]) -> list[str]:
        if not self._config.writes:
            return [""] * len(asked)
        order = sorted(range(len(asked)), key=lambda at: len(asked[at]))
        found: dict[int, str] = {}
        for start in range(0, len(order), self._config.batch_size):
            picked = order[start : start + self._config.batch_size]
            drawn = self._sampler.draw([asked[at] for at in picked], [seeds[at] for at in picked])
            found.update((at, self._safe(one.text)) for at, one in zip(picked, drawn, strict=True))
        return [found[at] for at in range(len(asked))]

    def _safe(self, text: str) -> str:
        """What was written, without marks that it spelled out: they would end the turn."""
        for mark in self._tokenizer.all_special_tokens:
            text = text.replace(mark, "")
        return text.strip()


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
