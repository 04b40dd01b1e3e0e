"""A judge that is asked of each pair of replies which is the better one, in both orders.

As in RLAIF (2309.00267, 3.1) the answers' probabilities are the label and both orders are averaged;
as in Constitutional AI (2212.08073, 4.1 and 4.3) a comparison may have a principle of its own, and
labels after written reasons are clamped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from training.configs import JudgeConfig
from training.judges.labels import PairLabel, mean_wins, pair_label, tiers_by_score
from training.recipes.ai_judge import ANSWERS, Pair
from training.recipes.asking import Asker, Question, Said
from training.recipes.asking_outside import OutsideAsker
from training.recipes.cases import Case, LeftOut, Row
from training.recipes.replying import candidate_seed

TRANSITION = "\n\nSo the better reply is reply "
ALONE = "Answer with the letter A or B alone."
WITH_REASONS = "Say first, in a few sentences, what speaks for each. Then answer with A or B."


class Comparer:
    """Judges comparisons by their pairs."""

    answers = ANSWERS
    transition = TRANSITION

    def __init__(self, asker: Asker | OutsideAsker, config: JudgeConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._asker = asker

    @staticmethod
    def questions_of(case: Case) -> int:
        """How many questions a comparison takes."""
        return len(case.replies) * (len(case.replies) - 1)

    def judge(self, case: Case) -> Row:
        """The ranking of a comparison. Raises LeftOut, or Dropped, where there is none."""
        places = list(combinations(range(len(case.replies)), 2))
        said = self._asker.ask(
            [
                self._question(case, first, second, turned=turned)
                for first, second in places
                for turned in (False, True)
            ]
        )
        masses = [one.answer.mass for one in said]
        if min(masses) < self._config.least_mass:
            raise LeftOut("no_answer")
        pairs = self._labels(places, said)
        scores = mean_wins(len(case.replies), pairs)
        reasons = [
            {
                "first": first,
                "second": second,
                "texts": [said[2 * n].reasons, said[2 * n + 1].reasons],
            }
            for n, (first, second) in enumerate(places)
        ]
        return {
            "tiers": tiers_by_score(scores, self._config.tie_margin),
            "pairs": [pair.row() for pair in pairs],
            "mass": sum(masses) / len(masses),
            **({"reasons": reasons} if self._config.writes else {}),
        }

    def _question(self, case: Case, first: int, second: int, *, turned: bool) -> Question:
        pair = Pair(
            messages=case.messages,
            one=case.replies[first],
            other=case.replies[second],
            criteria=case.criteria,
        )
        text = pair.question(turned=turned)
        if self._config.writes:
            text = text.removesuffix(ALONE) + WITH_REASONS
        key = f"{case.comparison_id}:{first}:{second}"
        return Question(text=text, seed=candidate_seed(self._seed, key, int(turned)))

    def _labels(self, places: Sequence[tuple[int, int]], said: Sequence[Said]) -> list[PairLabel]:
        """Both orders of each pair as one label; in the second order the other reply is A."""
        return [
            pair_label(
                first,
                second,
                shown_first=said[2 * n].answer.probabilities[0],
                shown_second=said[2 * n + 1].answer.probabilities[1],
                clamp=self._config.clamp if self._config.writes else 0.0,
            )
            for n, (first, second) in enumerate(places)
        ]
