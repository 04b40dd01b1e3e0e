"""Reads of gold: a prompt's comparisons with their answers, known and given."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from labeling.models import Comparison, GoldItem, Judgement, Prompt
from labeling.models.prompts import State

ANSWERS = 200  # newest judgements of a prompt that are shown


@dataclass(frozen=True)
class Answer:
    """One judgement's ranking, as the numbers of candidates: "2 > 1 = 3"; empty without one."""

    judgement: Judgement
    who: str
    ranking: str


@dataclass(frozen=True)
class Answers:
    """A comparison, its candidates as (slot, number) by number, its gold item, its judgements."""

    comparison: Comparison
    numbers: list[tuple[int, int]]
    gold: GoldItem | None
    known: str
    given: list[Answer]


def ranking_text(tiers: Sequence[Sequence[int]], numbers: Mapping[int, int]) -> str:
    """Write a ranking of slots as numbers of candidates; a written reply has none, and is "+"."""
    return " > ".join(
        " = ".join(str(numbers.get(slot, "+")) for slot in tier) for tier in tiers if tier
    )


def answers_of(prompt: Prompt) -> list[Answers]:
    """Return the answers to each comparison of a prompt; five reads, whatever their number.

    Candidates are numbered from 1 in the order of their ids, as the prompt's page lists them.
    """
    ids = prompt.candidates.order_by("id").values_list("id", flat=True)
    numbers = {pk: number for number, pk in enumerate(ids, start=1)}
    comparisons = list(prompt.comparisons.prefetch_related("slots").order_by("id"))
    items = GoldItem.objects.filter(comparison__prompt=prompt, state=State.ACTIVE)
    gold = {item.comparison_id: item for item in items}
    given: dict[int, list[Judgement]] = defaultdict(list)
    rows = Judgement.objects.filter(comparison__prompt=prompt, superseded_by=None)
    for judgement in rows.select_related("annotator__user").order_by("-id")[:ANSWERS]:
        given[judgement.comparison_id].append(judgement)
    return [_answers(c, numbers, gold.get(c.pk), given[c.pk]) for c in comparisons]


def _answers(
    comparison: Comparison,
    numbers: Mapping[int, int],
    gold: GoldItem | None,
    judgements: Sequence[Judgement],
) -> Answers:
    by_slot = {slot.slot: numbers[slot.candidate_id] for slot in comparison.slots.all()}
    return Answers(
        comparison=comparison,
        numbers=sorted(by_slot.items(), key=itemgetter(1)),
        gold=gold,
        known=ranking_text(gold.tiers, by_slot) if gold else "",
        given=[Answer(j, j.annotator.known_as, ranking_text(j.tiers, by_slot)) for j in judgements],
    )
