"""How far rankings say the same, pair by pair.

A ranking of K slots is read as its K(K-1)/2 labels, one for each pair of slots: 1 where the lower
slot is better, -1 where the higher one is, 0 for a tie. Two rankings agree on a pair where their
labels are equal, so a tie agrees with a tie and with nothing else: the pairwise accuracy of
Deutsch, Foster and Freitag, "Ties Matter" (2023), where the older customs (leave ties out, or
count them half) reward whoever ties more, or never.

All that is said of many rankings comes from counts, one pass over the labels: the cost grows with
the number of labels, not with the square of the number of annotators.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations
from math import comb, sqrt
from operator import eq
from typing import Any, Final

from labeling.domain.rankings import ranks_from_tiers

Labels = tuple[int, ...]

Z95: Final = 1.959963984540054  # the standard normal's 97.5 % point


def pair_labels(tiers: Sequence[Sequence[int]], count: int) -> Labels:
    """Return the K(K-1)/2 labels of slots 0..count-1, in the order of `combinations(slots, 2)`.

    Slots from `count` on are left out: a written reply stands in one ranking alone.
    Raises KeyError where one of the slots is not placed.

    >>> pair_labels([[2], [0, 1]], 3)
    (0, -1, -1)
    """
    ranks = ranks_from_tiers(tiers)
    placed = [ranks[slot] for slot in range(count)]
    return tuple((a < b) - (a > b) for a, b in combinations(placed, 2))


def agreed_pairs(first: Labels, second: Labels) -> int:
    """Return on how many pairs two rankings of the same slots say the same."""
    return sum(map(eq, first, second))


def kendall_tau_b(first: Labels, second: Labels) -> float | None:
    """Return Kendall's tau-b (1945): (C - D) / sqrt((n0 - n1)(n0 - n2)), from -1 to 1.

    C and D count the pairs that both order, alike and contrarily; n0 is the number of pairs, n1
    and n2 are those that the first and the second tie. None where one of them ties all: it then
    orders nothing that could be correlated, and the formula divides by zero.
    """
    ordered = sum(map(bool, first)), sum(map(bool, second))
    if not all(ordered):
        return None
    return sum(a * b for a, b in zip(first, second, strict=True)) / sqrt(ordered[0] * ordered[1])


# --- shares with an interval ----------------------------------------------------------------------


def wilson(share: float, size: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval (1927) of a share seen in `size` draws.

    (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n), within 0 to 1 for any n above 0.
    """
    z2 = Z95 * Z95
    middle = share + z2 / (2 * size)
    spread = Z95 * sqrt(share * (1 - share) / size + z2 / (4 * size * size))
    scale = 1 + z2 / size
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of pairs with its 95 % interval, and what it rests on."""

    value: float
    low: float
    high: float
    pairs: int
    clusters: int


@dataclass(slots=True)
class Tally:
    """Sums from which a share over clusters comes, a cluster being one comparison.

    The pairs of one comparison stand or fall together: six of them are not six draws. The
    variance of the share p = sum(a) / sum(m), `a` of `m` pairs agreeing in each of n clusters, is
    n/(n - 1) sum((a - p m)²) / sum(m)² (the ratio estimator; Cochran, "Sampling Techniques", 6.3).
    Kish's effective size, p(1 - p) / variance, then goes into Wilson's interval in place of the
    number of pairs (as Korn and Graubard do for surveys, 1998).
    """

    agreed: float = 0
    pairs: int = 0
    clusters: int = 0
    _aa: float = 0
    _am: float = 0
    _mm: int = 0

    def add(self, agreed: float, pairs: int) -> None:
        """Count one comparison in which `agreed` of `pairs` agree; none at all is no comparison.

        A pair may agree by half, where a score can't tell the two apart.
        """
        if not pairs:
            return
        self.agreed += agreed
        self.pairs += pairs
        self.clusters += 1
        self._aa += agreed * agreed
        self._am += agreed * pairs
        self._mm += pairs * pairs

    def share(self, *, least: int = 1) -> Share | None:
        """Return the share and its interval; None where it would rest on fewer pairs than that."""
        if self.pairs < max(least, 1):
            return None
        value = self.agreed / self.pairs
        low, high = wilson(value, self._effective_size(value))
        return Share(value, low, high, self.pairs, self.clusters)

    def _effective_size(self, p: float) -> float:
        """Return how many independent pairs would tell as much, from 1 to the number of pairs.

        Where nothing varies between clusters (all agree, none does, or there is but one) the
        variance is no guide, and each cluster counts once.
        """
        squares = self._aa - 2 * p * self._am + p * p * self._mm
        if self.clusters < 2 or p in {0.0, 1.0} or squares <= 1e-9:
            return float(self.clusters)
        variance = self.clusters / (self.clusters - 1) * squares / self.pairs**2
        return min(max(p * (1 - p) / variance, 1.0), float(self.pairs))


# --- Krippendorff's alpha -------------------------------------------------------------------------


class Undefined(Enum):
    """Why there is no alpha: a number would mislead."""

    NOTHING_SHARED = "nothing_shared"  # no pair was labelled twice: there is nothing to compare
    ALL_TIED = "all_tied"  # every label is a tie: chance alone would agree as often


@dataclass(slots=True)
class AlphaTally:
    """Counts from which Krippendorff's alpha comes (nominal; "Content Analysis", chapter 11).

    A unit is a pair of candidates of one comparison, its values are the annotators' labels. With
    n_c of a unit's m values in category c, and n = sum(m) over the units with m > 1,

        D_o = 1/n sum_units 1/(m - 1) sum_{c != k} n_c n_k
        D_e = 1/(N(N - 1)) sum_{c != k} N_c N_k,    alpha = 1 - D_o / D_e.

    Which candidate of a pair is named first means nothing, so every unit enters D_e in both
    directions (N = 2n, N_better = N_worse): slots that follow some order of the models must not
    make agreement look like chance.
    """

    _values: int = 0
    _ties: int = 0
    _disagreement: float = 0.0

    def add(self, better: int, tied: int, worse: int) -> None:
        """Count a unit's labels."""
        values = better + tied + worse
        if values < 2:
            return
        self._values += values
        self._ties += tied
        alike = better * better + tied * tied + worse * worse
        self._disagreement += (values * values - alike) / (values - 1)

    def alpha(self) -> float | Undefined:
        """Return alpha: 1 for perfect agreement, 0 for chance, below 0 for less than that."""
        if not self._values:
            return Undefined.NOTHING_SHARED
        ordered, ties, total = self._values - self._ties, 2 * self._ties, 2 * self._values
        if not ordered:
            return Undefined.ALL_TIED
        expected = (total * total - 2 * ordered * ordered - ties * ties) / (total * (total - 1))
        return 1 - self._disagreement / self._values / expected


# --- many annotators, many comparisons ------------------------------------------------------------


@dataclass(slots=True)
class Agreement:
    """The agreement of many annotators over many comparisons, built one comparison at a time.

    `judges` are those whom others are held against; whoever is none (an AI judge, an imported
    source) is held against them and changes nobody's figures but their own.
    """

    mean: Tally = field(default_factory=Tally)
    alpha: AlphaTally = field(default_factory=AlphaTally)
    by_annotator: dict[Hashable, Tally] = field(default_factory=dict)

    def add(self, labels: Mapping[Any, Labels], judges: AbstractSet[Any]) -> None:
        """Count one comparison: each annotator's labels, all of the same slots.

        The mean is taken over all pairs of judges and all pairs of candidates; an annotator's own
        share over all judges but themselves.
        """
        judging = [name for name in labels if name in judges]
        columns = [Counter(column) for column in zip(*(labels[n] for n in judging), strict=True)]
        for counts in columns:
            self.alpha.add(counts[1], counts[0], counts[-1])
        alike = sum(n * (n - 1) // 2 for counts in columns for n in counts.values())
        self.mean.add(alike, len(columns) * len(judging) * (len(judging) - 1) // 2)
        for name, said in labels.items():
            self._add_annotator(name, said, columns, len(judging), name in judges)

    def _add_annotator(
        self,
        name: Hashable,
        said: Labels,
        columns: Sequence[Counter[int]],
        judging: int,
        is_judge: bool,
    ) -> None:
        """Count one annotator against the judges, a judge against the others of them."""
        alike = sum(counts[label] for counts, label in zip(columns, said, strict=False))
        own = len(said) if is_judge else 0
        tally = self.by_annotator.setdefault(name, Tally())
        tally.add(alike - own, len(columns) * (judging - is_judge))


def agreement_of(
    comparisons: Iterable[Mapping[Any, Labels]], judges: AbstractSet[Any]
) -> Agreement:
    """Return the agreement of all annotators over all comparisons, in one pass."""
    found = Agreement()
    for labels in comparisons:
        found.add(labels, judges)
    return found


def strict_agreement(rankings: Sequence[Labels]) -> tuple[int, int]:
    """Return how many of the pairs that two rankings both order they order alike, and how many.

    Counted over all twos of the rankings of one comparison; a pair that either of them ties is
    left out.

    >>> strict_agreement([(1, 1, 0), (1, -1, 1)])
    (1, 2)
    """
    alike = both = 0
    for column in zip(*rankings, strict=True):
        better, worse = column.count(1), column.count(-1)
        alike += comb(better, 2) + comb(worse, 2)
        both += comb(better + worse, 2)
    return alike, both
