"""Questions put to an outside model: the same as to one of our own, over its server.

Its answer is read by a schema: the last line must be `Answer: X` with one of the possible answers
and nothing else, so that a 10 is never taken for a 1. Where the server tells the probabilities of
the answer's place, those are the answer; else the answer is sure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp
from pathlib import Path

from training import rundir
from training.configs import JudgeConfig
from training.endpoints.client import Client
from training.endpoints.errors import RequestRefused, TooLong
from training.endpoints.protocol import Ask, Reply, Token
from training.recipes.asking import Answer, Question, Said
from training.recipes.data import Dropped
from training.recipes.outside import fails_alone, once, server_in

SCHEMA = "\n\nEnd with a line of this form, and nothing after it:\nAnswer: {choices}"
ALTERNATIVES = 5
"""As many of the likeliest tokens are asked for: every server that tells any tells so many."""
LINE_TOKENS = 16


class OutsideAsker:
    """A server's model that answers with one of a few words."""

    def __init__(self, folder: Path, config: JudgeConfig, *, answers: Sequence[str]) -> None:
        self._config = config
        self._answers = tuple(answers)
        server = server_in(folder)
        self._client = Client(server)
        self._once = once(server)
        choices = "|".join(map(re.escape, answers))
        self._line = re.compile(rf"(?:^|\n)[ \t]*Answer:[ \t]*({choices})[ \t]*\.?\s*\Z")

    def ask(self, questions: Sequence[Question]) -> list[Said]:
        """An answer to each question.

        Raises Dropped where the server refuses one of them or fails on it alone, EndpointError
        where it can't be asked.
        """
        found: dict[int, Said] = {}
        asks = [self._ask(one) for one in questions]
        for place, came in self._client.replies(asks):
            if isinstance(came, RequestRefused | TooLong):
                raise Dropped(came.code)
            if not isinstance(came, Reply):
                if fails_alone(self._once, asks[place], came):
                    raise Dropped(came.code)
                raise came
            found[place] = self.read(came)
        return [found[place] for place in range(len(questions))]

    def _ask(self, question: Question) -> Ask:
        text = question.text + SCHEMA.format(choices=" or ".join(self._answers))
        reasons = self._config.max_new_tokens if self._config.writes else 0
        return Ask(
            messages=[{"role": "user", "content": text}],
            max_new_tokens=reasons + LINE_TOKENS,
            temperature=self._config.temperature,
            seed=question.seed % 2**31,
            logprobs=True,
            top_logprobs=ALTERNATIVES,
        )

    def read(self, reply: Reply) -> Said:
        """What a reply says; an answer of no mass where it does not keep to the schema."""
        match = self._line.search(reply.text)
        if match is None:
            return Said(reasons=reply.text, answer=self._none(), ids=[])
        reasons = reply.text[: match.start()].strip()
        place = _token_of(match, reply.tokens)
        return Said(reasons=reasons, answer=self._answer(match[1], place), ids=[])

    def _answer(self, word: str, place: Token | None) -> Answer:
        """The probabilities in the answer's place, where they are told.

        A token that holds more than the answer ("A.") tells nothing of the other answers.
        """
        if place is not None and place.text.strip() != word:
            place = None
        told = {word: 0.0} if place is None else {place.text: place.logprob, **place.alternatives}
        chances = [
            sum(exp(logprob) for text, logprob in told.items() if text.strip() == answer)
            for answer in self._answers
        ]
        mass = sum(chances)
        if mass == 0:  # told to be impossible, or too unlikely for a number
            return self._none()
        return Answer(probabilities=tuple(one / mass for one in chances), mass=min(mass, 1.0))

    def _none(self) -> Answer:
        """No answer: it leans to none, and has no mass."""
        even = (1 / len(self._answers),) * len(self._answers)
        return Answer(probabilities=even, mass=0.0)

    def means_ten(self, said: Sequence[Said]) -> bool:
        """Never: the schema takes no 10."""
        return False

    def close(self) -> None:
        """End the connections."""
        self._client.close()
        self._once.close()


def _token_of(match: re.Match[str], tokens: Sequence[Token]) -> Token | None:
    """The token in which the answer of a matched line begins; None where the tokens lack the line.

    The line is looked for in the tokens' own text, from their end: a server may strip a reply, or
    add a mark of its end, and half a character's token is written as something else.
    """
    line = "".join(token.text for token in tokens).rfind(match[0])
    left = line + match.start(1) - match.start()
    for token in tokens if line >= 0 else ():
        left -= len(token.text)
        if left < 0:
            return token
    return None


def is_outside(folder: Path) -> bool:
    """Whether a run's folder names a server in place of weights."""
    return (folder / rundir.ENDPOINT).exists()
