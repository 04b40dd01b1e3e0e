"""Reads of calibration: a judge held against people, its samples, and what was sent on to people.

Everything is read from the judge's newest judgements alone, as quality is, so that a page costs the
same whatever the size of the project.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from labeling.models import Annotator, Comparison, Judgement, Project
from labeling.models.prompts import State as PromptState
from labeling.selectors.quality import JUDGES, LEAST_PAIRS
from training.calibration.figures import Figures, Item, Ranking, Soft, figures, ranking
from training.calibration.models import RoutedComparison, SharedSample
from training.calibration.routing import weak_topics
from training.judges.labels import checked_pairs
from training.rounds.models import Round

RECENT = 5_000  # judgements of the judge that its figures are read from
SHOWN_SAMPLES = 10
_RANKED = (Judgement.Verdict.RANKED, Judgement.Verdict.TIE)


@dataclass(frozen=True)
class Calibration:
    """A judge held against people.

    `on_shared` says whether people's own agreement is that on the very comparisons which the judge
    judged too; where too few of them had two people, it is that on all that two people judged.
    """

    figures: Figures
    on_shared: bool
    is_all: bool
    weak: frozenset[str]


def calibration_of(annotator: Annotator) -> Calibration:
    """Return how far an AI judge says what people say; three reads, or five."""
    judged = _judged(annotator)
    shared = _items(judged)
    found = figures(shared, least=LEAST_PAIRS)
    on_shared = found.overall.people is not None
    if not on_shared:
        found = figures([*shared, *_of_people(annotator, judged)], least=LEAST_PAIRS)
    return Calibration(
        figures=found,
        on_shared=on_shared,
        is_all=len(judged) < RECENT,
        weak=weak_topics(found.topics, found.overall),
    )


@dataclass(frozen=True)
class _Judged:
    tiers: list[list[int]]
    softs: list[Soft]
    is_routed: bool

    @property
    def size(self) -> int:
        return sum(map(len, self.tiers))


def softs_of(pairs: Any, size: int) -> list[Soft]:
    """Return the soft labels that a judgement came with; none where it has none that hold.

    `pairs` are those of its provenance, which alone is read: reasons may be long.
    """
    try:
        labels = checked_pairs(pairs or [], size)
    except (ValueError, KeyError, TypeError):
        return []
    return [Soft(one.first, one.second, one.soft, one.lean, one.consistent) for one in labels]


def standing(**of: Any) -> QuerySet[Judgement]:
    """Return judgements that rank something and that nothing supersedes."""
    return Judgement.objects.filter(superseded_by=None, verdict__in=_RANKED, **of)


def _judged(annotator: Annotator) -> dict[int, _Judged]:
    """Return what the judge said last of comparisons that people judged too, by comparison.

    What was left to people counts as drawn by chance where a shared sample drew it too.
    """
    people = standing(comparison=OuterRef("comparison"), annotator__kind__in=JUDGES)
    rows = standing(annotator=annotator).filter(Exists(people)).order_by("-created_at", "-pk")
    routed = RoutedComparison.objects.filter(comparison=OuterRef("comparison"), annotator=annotator)
    drawn = SharedSample.objects.filter(comparisons=OuterRef("comparison"), annotator=annotator)
    columns = ("comparison_id", "tiers", "provenance__pairs", "is_routed")
    told = rows.annotate(is_routed=Exists(routed) & ~Exists(drawn)).values_list(*columns)[:RECENT]
    return {
        pk: _Judged(tiers, softs_of(pairs, sum(map(len, tiers))), is_routed)
        for pk, tiers, pairs, is_routed in told
    }


def _items(judged: dict[int, _Judged]) -> list[Item]:
    rows = standing(comparison__in=judged, annotator__kind__in=JUDGES)
    people: dict[int, dict[int, Ranking]] = {pk: {} for pk in judged}
    for pk, person, tiers in rows.values_list("comparison_id", "annotator_id", "tiers"):
        people[pk][person] = ranking(tiers, judged[pk].size)
    topics = topics_of(judged)
    return [
        Item(
            key=pk,
            size=one.size,
            judge=ranking(one.tiers, one.size),
            people=people[pk],
            topics=topics.get(pk, ()),
            softs=one.softs,
            is_routed=one.is_routed,
        )
        for pk, one in judged.items()
    ]


def _of_people(annotator: Annotator, but: Iterable[int]) -> list[Item]:
    """Return the newest comparisons that two people or more judged, and the judge did not."""
    rows = standing(project=annotator.project_id, annotator__kind__in=JUDGES).order_by("-uid")
    said: dict[int, dict[int, tuple[list[list[int]], int]]] = {}
    columns = ("comparison_id", "annotator_id", "tiers", "shown_order")
    for pk, person, tiers, shown in rows.values_list(*columns)[:RECENT]:
        said.setdefault(pk, {})[person] = tiers, len(shown) or sum(map(len, tiers))
    known = set(but)
    kept = {pk: people for pk, people in said.items() if len(people) > 1 and pk not in known}
    topics = topics_of(kept)
    items = []
    for pk, people in kept.items():
        size = min(size for _, size in people.values())
        rankings = {person: ranking(tiers, size) for person, (tiers, _) in people.items()}
        items.append(Item(pk, size, None, rankings, topics.get(pk, ())))
    return items


def topics_of(comparison_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the tags of comparisons' prompts, in order; one read."""
    rows = Comparison.objects.filter(pk__any=comparison_ids, prompt__tags__isnull=False)
    found: dict[int, list[str]] = {}
    for pk, name in rows.order_by("prompt__tags__name").values_list("pk", "prompt__tags__name"):
        found.setdefault(pk, []).append(name)
    return found


def strata_of(annotator: Annotator) -> dict[str, list[int]]:
    """Return the comparisons that may yet be shared with a judge, by their first tag.

    They are open or closed, measure no models, and stand in none of the judge's samples.
    """
    rows = Comparison.objects.filter(
        project=annotator.project_id,
        state__in=[Comparison.State.OPEN, Comparison.State.CLOSED],
        for_evaluation=False,
        prompt__state=PromptState.ACTIVE,
    ).exclude(shared_samples__annotator=annotator)
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    topics = topics_of(ids)
    strata: dict[str, list[int]] = {}
    for pk in ids:
        strata.setdefault(topics.get(pk, [""])[0], []).append(pk)
    return strata


def samples_of(annotator: Annotator) -> QuerySet[SharedSample]:
    """Return the judge's newest samples with how far the judge and people are."""
    by_judge = Q(comparisons__judgements__annotator=F("annotator"))
    done = Q(comparisons__state=Comparison.State.CLOSED)
    return SharedSample.objects.filter(annotator=annotator).annotate(
        size=Count("comparisons", distinct=True),
        judged=Count("comparisons", filter=by_judge, distinct=True),
        closed=Count("comparisons", filter=done, distinct=True),
    )[:SHOWN_SAMPLES]


@dataclass(frozen=True)
class Routed:
    """How many comparisons went to people for one reason; `topic` where that is why."""

    reason: str
    topic: str
    comparisons: int
    judged: int

    @property
    def label(self) -> str:
        """Return the reason in words."""
        return str(RoutedComparison.Reason(self.reason).label)


def routed_in(round: Round) -> list[Routed]:
    """Return what a round sent on to people, by reason; one read."""
    return _routed(RoutedComparison.objects.filter(round=round))


def routed_by(annotator: Annotator) -> list[Routed]:
    """Return what a judge left to people, by reason; one read."""
    return _routed(RoutedComparison.objects.filter(annotator=annotator))


def _routed(rows: QuerySet[RoutedComparison]) -> list[Routed]:
    people = standing(comparison=OuterRef("comparison"), annotator__kind__in=JUDGES)
    counted: Counter[tuple[str, str]] = Counter()
    done: Counter[tuple[str, str]] = Counter()
    for reason, tag, is_judged in rows.annotate(judged=Exists(people)).values_list(
        "reason", "tag", "judged"
    ):
        counted[reason, tag] += 1
        done[reason, tag] += is_judged
    return [Routed(*key, counted[key], done[key]) for key in sorted(counted)]


def to_route(
    annotator: Annotator, comparison_ids: Sequence[int] | None = None
) -> list[tuple[int, list[Soft]]]:
    """Return what the judge said of comparisons that no person was asked about yet.

    Of all, or of some; each with its soft labels. Those sent on before are left out.
    """
    routed = RoutedComparison.objects.filter(comparison=OuterRef("comparison"), annotator=annotator)
    rows = standing(annotator=annotator, comparison__for_ai=True).filter(~Exists(routed))
    if comparison_ids is not None:
        rows = rows.filter(comparison__any=comparison_ids)
    told = rows.order_by("pk").values_list("comparison_id", "tiers", "provenance__pairs")
    return [(pk, softs_of(pairs, sum(map(len, tiers)))) for pk, tiers, pairs in told.iterator()]


def unanswered(annotator: Annotator, comparison_ids: Sequence[int]) -> list[int]:
    """Return those of some comparisons that wait for AI judges and that nobody has judged.

    What the judge left to people before is not among them.
    """
    rows = Comparison.objects.filter(
        ~Exists(standing(comparison=OuterRef("pk"))),
        ~Exists(RoutedComparison.objects.filter(comparison=OuterRef("pk"), annotator=annotator)),
        project=annotator.project_id,
        pk__any=comparison_ids,
        for_ai=True,
        state=Comparison.State.OPEN,
    )
    return list(rows.order_by("pk").values_list("pk", flat=True))


def ai_judges_in(project: Project, comparison_ids: Sequence[int]) -> list[Annotator]:
    """Return the AI judges that judged some of these comparisons."""
    said = standing(annotator=OuterRef("pk"), comparison__any=comparison_ids)
    rows = Annotator.objects.filter(project=project, kind=Annotator.Kind.AI)
    return list(rows.filter(Exists(said)).order_by("pk"))
