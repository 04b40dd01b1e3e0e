"""A judge that rates each reply by four aspects from 1 to 5, with its reasons (UltraFeedback).

UltraFeedback (2310.01377) has a model write ratings, and reads them from its text; 2,628 of its
overall scores were a 10 that had meant a 1. Here nothing is read from text: after the reasons the
rating is the expectation over the five digits' probabilities. What goes on to a 0 after a 1 means a
10 and is no rating, and an overall rating far from the aspects' mean was not given in earnest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from training.configs import JudgeConfig
from training.judges.labels import (
    ASPECTS,
    HIGHEST,
    LOWEST,
    OVERALL,
    expected_rating,
    inconsistent,
    mean_rating,
    tiers_by_score,
)
from training.recipes.asking import Asker, Question
from training.recipes.asking_outside import OutsideAsker
from training.recipes.cases import Case, LeftOut, Row
from training.recipes.replying import candidate_seed

MEANINGS: Final[Mapping[str, str]] = {
    "instruction_following": "Does the reply do what was asked, all of it, and keep to its limits?",
    "truthfulness": "Is what the reply says true, free of inventions and of contradictions?",
    "honesty": "Does the reply say how sure it is, and admit what it does not know?",
    "helpfulness": "Is the reply of use to whoever asked: correct, clear and complete?",
    OVERALL: "All in all, how good is the reply?",
}
NAMES: Final = (*ASPECTS, OVERALL)
MARKS: Final = tuple(str(mark) for mark in range(LOWEST, HIGHEST + 1))
TRANSITION = "\n\nRating: "
QUESTION = """Rate the last reply of a conversation from 1 (very bad) to 5 (very good).
{meaning} {criteria} Its length means nothing.

Conversation:
{conversation}

Reply:
{reply}

Say first, in a sentence or two, why. Then give the rating: a whole number from 1 to 5."""


class Rater:
    """Judges comparisons by rating each reply alone."""

    answers = MARKS
    transition = TRANSITION

    def __init__(self, asker: Asker | OutsideAsker, config: JudgeConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._asker = asker

    @staticmethod
    def questions_of(case: Case) -> int:
        """How many questions a comparison takes."""
        return len(case.replies) * len(NAMES)

    def judge(self, case: Case) -> Row:
        """The ranking of a comparison. Raises LeftOut, or Dropped, where there is none."""
        said = self._asker.ask(
            [
                self._question(case, slot, name)
                for slot in range(len(case.replies))
                for name in NAMES
            ]
        )
        masses = [one.answer.mass for one in said]
        if min(masses) < self._config.least_mass:
            raise LeftOut("no_answer")
        if self._asker.means_ten(said):
            raise LeftOut("means_ten")
        by_slot = [said[at : at + len(NAMES)] for at in range(0, len(said), len(NAMES))]
        ratings = [
            {
                name: expected_rating(one.answer.probabilities)
                for name, one in zip(NAMES, own, strict=True)
            }
            for own in by_slot
        ]
        if any(inconsistent(own, self._config.most_apart) for own in ratings):
            raise LeftOut("inconsistent")
        scores = [mean_rating(own) for own in ratings]
        return {
            "tiers": tiers_by_score(scores, self._config.tie_margin),
            "pairs": [],
            "ratings": ratings,
            "mass": sum(masses) / len(masses),
            "reasons": [
                {name: one.reasons for name, one in zip(NAMES, own, strict=True)} for own in by_slot
            ],
        }

    def _question(self, case: Case, slot: int, name: str) -> Question:
        said = [f"{message['role']}: {message['content']}" for message in case.messages]
        text = QUESTION.format(
            meaning=MEANINGS[name],
            criteria=case.criteria,
            conversation="\n\n".join(said),
            reply=case.replies[slot],
        )
        seed = candidate_seed(self._seed, f"{case.comparison_id}:{name}", slot)
        return Question(text=text, seed=seed)
