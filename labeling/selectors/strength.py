"""Reads of strength: which models' replies are preferred, as the project's judgements say."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from django.db import connection

from labeling.domain.pairs import pairs_of
from labeling.domain.strength import Outcome, Strength, groups_of, strengths
from labeling.models import Annotator, Judgement, Project

RECENT = 10_000  # judgements that the table is made from
MOST_MODELS = 40  # the most judged; the cost of a fit grows with their cube
JUDGES = {
    "people": (Annotator.Kind.PERSON, Annotator.Kind.SIMULATED),
    "ai": (Annotator.Kind.AI,),
    "imported": (Annotator.Kind.IMPORTED,),  # nobody here knows who, or what, judged
}


@dataclass(frozen=True)
class ModelStrength:
    """One model: its pairs with other models, a tie half won, and what they say of it."""

    name: str
    comparisons: int
    pairs: int
    won: float
    plain: Strength
    at_equal_length: Strength

    @property
    def share_won(self) -> float:
        """Return the share of its pairs that it won."""
        return self.won / self.pairs


@dataclass(frozen=True)
class ModelTable:
    """The models of a project in groups that were compared with each other, the best first.

    `left_out` counts models with too few pairs to be among the MOST_MODELS.
    """

    judgements: int
    is_all: bool
    groups: list[list[ModelStrength]]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Reply:
    """Who wrote a reply, and how long its messages are as stored, in characters."""

    models: tuple[str, ...]
    length: int


@dataclass(frozen=True, slots=True)
class _Named:
    """One pair of two models' replies."""

    first: str
    second: str
    won: float
    comparison: int
    longer: float
    weight: float


def model_table(project: Project, *, judges: str) -> ModelTable:
    """Return how strong the project's models are by its newest judgements; two reads.

    `judges` is a key of JUDGES: judgements of people, AI judges and
    imported sources are never mixed. A reply that
    several models wrote counts for each of them, its pairs in equal parts.
    """
    rows = _newest(project, judges)
    replies = _replies({comparison for comparison, _ in rows})
    named = [pair for row in rows for pair in _named_pairs(*row, replies[row[0]])]
    kept, left_out = _most_judged(named)
    place = {name: at for at, name in enumerate(kept)}
    outcomes = [
        Outcome(place[p.first], place[p.second], p.won, p.comparison, p.longer, p.weight)
        for p in named
        if p.first in place and p.second in place
    ]
    return ModelTable(
        judgements=len(rows),
        is_all=len(rows) < RECENT,
        groups=[
            sorted(group, key=lambda row: (-row.plain.value, row.name))
            for group in _groups(kept, outcomes)
        ],
        left_out=left_out,
    )


def _newest(project: Project, judges: str) -> list[tuple[int, list[list[int]]]]:
    rows = Judgement.objects.filter(
        project=project,
        superseded_by=None,
        verdict__in=(Judgement.Verdict.RANKED, Judgement.Verdict.TIE),
        annotator__kind__in=JUDGES[judges],
    )
    return list(rows.order_by("-uid").values_list("comparison_id", "tiers")[:RECENT])


_LENGTHS = """
SELECT s.comparison_id, s.slot, array_agg(DISTINCT o.model_name), length(k.messages::text)
  FROM labeling_comparisoncandidate s
  JOIN labeling_candidate k ON k.id = s.candidate_id
  JOIN labeling_candidatesource o ON o.candidate_id = k.id AND o.model_name <> ''
 WHERE s.comparison_id = ANY(%s)
 GROUP BY s.id, k.id
"""


def _replies(comparisons: Collection[int]) -> dict[int, dict[int, _Reply]]:
    """Return the replies of known models by comparison and slot, with the length of their text."""
    found: dict[int, dict[int, _Reply]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_LENGTHS, [list(comparisons)])
        for comparison, slot, models, length in cursor:
            found[comparison][slot] = _Reply(tuple(models), length)
    return found


def _named_pairs(
    comparison: int, tiers: list[list[int]], replies: Mapping[int, _Reply]
) -> Iterator[_Named]:
    """Yield a judgement's pairs between replies of different models."""
    for pair in pairs_of(tiers):
        if pair.chosen not in replies or pair.rejected not in replies:
            continue
        one, other = replies[pair.chosen], replies[pair.rejected]
        longer = (one.length - other.length) / (one.length + other.length)
        weight = 1 / (len(one.models) * len(other.models))
        for first, second in product(one.models, other.models):
            if first != second:
                won = 0.5 if pair.is_tie else 1.0
                yield _Named(first, second, won, comparison, longer, weight)


def _most_judged(pairs: Iterable[_Named]) -> tuple[list[str], int]:
    """Return the names of the models with most pairs, and how many others there are."""
    counts = Counter(name for pair in pairs for name in (pair.first, pair.second))
    kept = [name for name, _ in counts.most_common(MOST_MODELS)]
    return sorted(kept), len(counts) - len(kept)


def _groups(names: list[str], outcomes: list[Outcome]) -> Iterator[list[ModelStrength]]:
    plain, equal = strengths(outcomes), strengths(outcomes, at_equal_length=True)
    pairs: Counter[int] = Counter()
    won: defaultdict[int, float] = defaultdict(float)
    comparisons: defaultdict[int, set[object]] = defaultdict(set)
    for outcome in outcomes:
        for model, part in ((outcome.first, outcome.won), (outcome.second, 1 - outcome.won)):
            pairs[model] += 1
            won[model] += part
            comparisons[model].add(outcome.comparison)
    for group in groups_of(outcomes):
        yield [
            ModelStrength(
                name=names[model],
                comparisons=len(comparisons[model]),
                pairs=pairs[model],
                won=won[model],
                plain=plain[model],
                at_equal_length=equal[model],
            )
            for model in group
        ]
