"""An AI judge: a policy that is asked which of two replies is the better one.

As in RLAIF (2309.00267, 3.1): the question ends where the answer begins, the probabilities of the
two answers' tokens are normalized to a soft label, and since models lean to a place, each pair is
asked in both orders and the two labels are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from training.recipes.asking import answer_ids, answers_to
from training.recipes.data import Dropped, Encoder, Ids, Messages
from training.recipes.loading import load_policy, load_tokenizer, need_template

ANSWERS = ("A", "B")
CRITERIA = "The better reply helps more with what was asked, is honest, and does no harm."
QUESTION = """Two assistants replied to the same conversation. Say which reply is the better one.
{criteria} The order of the replies and their length mean nothing.

Conversation:
{conversation}

Reply A:
{first}

Reply B:
{second}

Which reply is the better one? Answer with the letter A or B alone."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two replies to one conversation, and by what they are to be judged."""

    messages: Messages
    one: str
    other: str
    criteria: str = CRITERIA

    def question(self, *, turned: bool = False) -> str:
        """What the judge is asked; `turned`, the other reply stands first."""
        first, second = (self.other, self.one) if turned else (self.one, self.other)
        said = [f"{message['role']}: {message['content']}" for message in self.messages]
        return QUESTION.format(
            criteria=self.criteria, conversation="\n\n".join(said), first=first, second=second
        )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How likely it is that `one` is the better reply: asked with it first, and with it second."""

    first: float
    second: float

    @property
    def soft(self) -> float:
        """The soft label: the mean of both orders."""
        return (self.first + self.second) / 2

    @property
    def lean(self) -> float:
        """How much likelier a reply is to win by standing first, from -1 to 1; 0 is no bias."""
        return self.first - self.second


class AIJudge:
    """A policy that answers one question a pair and order, in batches."""

    def __init__(
        self, model: Any, tokenizer: PreTrainedTokenizerBase, *, batch_size: int = 32
    ) -> None:
        self._model = model.train(False)
        self._pad = int(tokenizer.pad_token_id)
        self._batch_size = batch_size
        self._lead, self._answers = answer_ids(tokenizer, ANSWERS)
        limit = int(model.config.max_position_embeddings)
        self._encoder = Encoder(tokenizer, limit - len(self._lead) - 1)

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict | None]:
        """A verdict on each pair, both orders asked; None where it can't be put to this judge.

        That is so where it is too long for the model, or has one of its marks written in it.
        """
        asked: list[tuple[int, Ids]] = []
        for number, pair in enumerate(pairs):
            try:
                both = [self._ids(pair.question(turned=turned)) for turned in (False, True)]
            except Dropped:
                continue
            asked += [(number, ids) for ids in both]
        said = self._probabilities([ids for _, ids in asked])
        found: list[Verdict | None] = [None] * len(pairs)
        for place in range(0, len(asked), 2):
            first, turned = said[place], said[place + 1]
            found[asked[place][0]] = Verdict(first=first, second=1 - turned)
        return found

    def _ids(self, question: str) -> Ids:
        return self._encoder.prompt([{"role": "user", "content": question}]) + self._lead

    def _probabilities(self, questions: Sequence[Ids]) -> list[float]:
        """How likely the answer to each question is A and not B."""
        said = answers_to(
            self._model, questions, self._answers, pad=self._pad, batch_size=self._batch_size
        )
        return [answer.probabilities[0] for answer in said]


def load_ai_judge(
    path: Path, *, device: torch.device, dtype: torch.dtype = torch.float32, batch_size: int = 32
) -> AIJudge:
    """The judge in a policy's folder; RunFolderError if it can't hold a conversation."""
    tokenizer = load_tokenizer(path)
    need_template(tokenizer, path)
    model: Any = load_policy(path, tokenizer, dtype)
    return AIJudge(model.to(device), tokenizer, batch_size=batch_size)
