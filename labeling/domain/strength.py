"""How strong models are, from pairs of their replies: Bradley-Terry (1952), with intervals.

Model i is preferred to model j with probability sigma(s_i - s_j), a tie being half a win for each.
The strengths maximize

    sum_pairs [ w log sigma(d) + (1 - w) log sigma(-d) ] - sum_i s_i² / (2 PRIOR_SD²),
    d = s_i - s_j + g x,

where x, asked for or 0, is by what part the first reply is longer, so that g takes up what length
alone wins and the strengths are those at equal length (the idea of 2404.04475). The prior is weak:
it keeps a model that won all its pairs at a finite strength.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import Final

from labeling.domain.agreement import Z95

PRIOR_SD: Final = 3.0  # in logits: 95 % against an average model is still likely
_TOLERANCE: Final = 1e-8
_MOST_STEPS: Final = 50

Matrix = list[list[float]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One pair: how far the first model won it (1, 0.5 or 0), and in which comparison.

    `longer` is (a - b) / (a + b) of the replies' lengths: from -1 to 1, 0 where they are alike.
    """

    first: int
    second: int
    won: float
    comparison: Hashable
    longer: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Strength:
    """A model's strength in logits from its group's mean, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def win_rate(self) -> tuple[float, float, float]:
        """Return the expected win rate against an average model, and its interval."""
        return sigma(self.value), sigma(self.low), sigma(self.high)


def sigma(value: float) -> float:
    """Return 1 / (1 + exp(-value)), without overflow."""
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))


def groups_of(outcomes: Iterable[Outcome]) -> list[list[int]]:
    """Return the models that some chain of pairs joins, largest group first.

    Strengths of two groups can't be told from each other: nothing compares them.
    """
    parent: dict[int, int] = {}

    def root(model: int) -> int:
        parent.setdefault(model, model)
        while parent[model] != model:
            parent[model] = model = parent[parent[model]]
        return model

    for outcome in outcomes:
        parent[root(outcome.first)] = root(outcome.second)
    groups: dict[int, list[int]] = defaultdict(list)
    for model in parent:
        groups[root(model)].append(model)
    return sorted((sorted(group) for group in groups.values()), key=lambda g: (-len(g), g))


def strengths(outcomes: Sequence[Outcome], *, at_equal_length: bool = False) -> dict[int, Strength]:
    """Return each model's strength within its group of models (`groups_of`).

    The interval knows that the pairs of one comparison go together: the covariance is the sandwich
    H⁻¹ (n/(n - 1) sum_c u_c u_cᵀ) H⁻¹ over comparisons c with score u_c (Liang and Zeger, 1986),
    and never less than H⁻¹, which few comparisons would make it.
    """
    found: dict[int, Strength] = {}
    for group in groups_of(outcomes):
        members = set(group)
        own = [outcome for outcome in outcomes if outcome.first in members]
        found |= _Fit(group, own, at_equal_length).strengths()
    return found


class _Fit:
    """Newton's method on one group; the last parameter is the weight of length, if it is asked."""

    def __init__(self, group: Sequence[int], outcomes: Sequence[Outcome], by_length: bool) -> None:
        self.group = group
        self.place = {model: number for number, model in enumerate(group)}
        self.outcomes = outcomes
        self.size = len(group) + by_length
        self.by_length = by_length
        self.point = [0.0] * self.size
        # Equal terms are added up once; the length is cut to steps of 0.02 for it.
        self.terms: dict[tuple[int, int, float], list[float]] = {}
        for one in outcomes:
            key = (self.place[one.first], self.place[one.second], self._longer(one))
            term = self.terms.setdefault(key, [0.0, 0.0])
            term[0] += one.weight * one.won
            term[1] += one.weight

    def _longer(self, outcome: Outcome) -> float:
        return round(outcome.longer * 50) / 50 if self.by_length else 0.0

    def strengths(self) -> dict[int, Strength]:
        """Climb to the top, then tell each strength from the group's mean."""
        for _ in range(_MOST_STEPS):
            step = solve(*self._slope())
            self.point = [value + change for value, change in zip(self.point, step, strict=True)]
            if max(map(abs, step)) < _TOLERANCE:
                break
        inverse, sandwich = self._covariances()
        count = len(self.group)
        mean = sum(self.point[:count]) / count
        found = {}
        for model, at in self.place.items():
            contrast = [(number == at) - 1 / count for number in range(count)]
            contrast += [0.0] * (self.size - count)
            variance = max(_form(contrast, inverse), _form(contrast, sandwich), 0.0)
            value, reach = self.point[at] - mean, Z95 * sqrt(variance)
            found[model] = Strength(value, value - reach, value + reach)
        return found

    def _difference(self, first: int, second: int, longer: float) -> float:
        extra = self.point[-1] * longer if self.by_length else 0.0
        return self.point[first] - self.point[second] + extra

    def _slope(self) -> tuple[Matrix, list[float]]:
        """Return minus the Hessian, and the gradient."""
        precision = 1 / PRIOR_SD**2
        hessian = [[precision * (a == b) for b in range(self.size)] for a in range(self.size)]
        gradient = [-precision * value for value in self.point]
        for (first, second, longer), (won, total) in self.terms.items():
            chance = sigma(self._difference(first, second, longer))
            features = self._features(first, second, longer)
            for a, value in features.items():
                gradient[a] += value * (won - total * chance)
                for b, other in features.items():
                    hessian[a][b] += value * other * total * chance * (1 - chance)
        return hessian, gradient

    def _features(self, first: int, second: int, longer: float) -> dict[int, float]:
        found = {first: 1.0, second: -1.0}
        if self.by_length:
            found[self.size - 1] = longer
        return found

    def _covariances(self) -> tuple[Matrix, Matrix]:
        """Return H⁻¹ and the sandwich."""
        hessian, _ = self._slope()
        inverse = inverted(hessian)
        scores: dict[Hashable, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for one in self.outcomes:
            first, second, longer = (
                self.place[one.first],
                self.place[one.second],
                self._longer(one),
            )
            miss = one.weight * (one.won - sigma(self._difference(first, second, longer)))
            for at, value in self._features(first, second, longer).items():
                scores[one.comparison][at] += value * miss
        return inverse, _sandwich(inverse, scores)


def _sandwich(inverse: Matrix, scores: Mapping[Hashable, Mapping[int, float]]) -> Matrix:
    size, count = len(inverse), len(scores)
    scale = count / (count - 1) if count > 1 else 1.0
    meat = [[0.0] * size for _ in range(size)]
    for score in scores.values():
        for a, value in score.items():
            for b, other in score.items():
                meat[a][b] += scale * value * other
    return _product(_product(inverse, meat), inverse)


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = list(zip(*right, strict=True))
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left
    ]


def _form(vector: Sequence[float], matrix: Matrix) -> float:
    """Return vᵀ M v."""
    return sum(
        a * sum(m * b for m, b in zip(row, vector, strict=True))
        for a, row in zip(vector, matrix, strict=True)
    )


def inverted(matrix: Matrix) -> Matrix:
    """Return the inverse of a symmetric positive matrix."""
    size = len(matrix)
    columns = [solve(matrix, [float(a == b) for b in range(size)]) for a in range(size)]
    return [list(row) for row in zip(*columns, strict=True)]


def solve(matrix: Matrix, right: Sequence[float]) -> list[float]:
    """Return x of `matrix` x = `right`, the matrix being symmetric and positive.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0])
    [1.0, 0.5]
    """
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for pivot in range(size):
        for below in range(pivot + 1, size):
            factor = rows[below][pivot] / rows[pivot][pivot]
            if factor:
                rows[below] = [
                    b - factor * a for a, b in zip(rows[pivot], rows[below], strict=True)
                ]
    found = [0.0] * size
    for at in reversed(range(size)):
        known = sum(rows[at][k] * found[k] for k in range(at + 1, size))
        found[at] = (rows[at][-1] - known) / rows[at][at]
    return found
