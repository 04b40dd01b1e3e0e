"""Reads of quality: how far annotators agree with each other and with gold, and how they work.

Everything is read from the newest judgements alone, so that a page costs the same whatever the
size of the project. People and simulated annotators are who others are held against; AI judges
and imported sources are held against them, and change nobody's figures but their own.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Any

from django.db.models import Count
from django.utils import timezone

from labeling.domain.agreement import (
    Agreement,
    Labels,
    Share,
    Tally,
    Undefined,
    agreed_pairs,
    agreement_of,
    kendall_tau_b,
    pair_labels,
)
from labeling.models import Annotator, Assignment, GoldItem, Judgement, Project, User
from labeling.models.prompts import State
from labeling.selectors.queue import start_of_today

RECENT = 10_000  # judgements that a project's figures are read from
OWN_RECENT = 1_000  # judgements that a person's own figures are read from
NOTHING_JUDGED = timedelta(days=28)  # so far back skips are read where nobody has judged
LEAST_PAIRS = 10  # a share of fewer pairs is not shown
JUDGES = (Annotator.Kind.PERSON, Annotator.Kind.SIMULATED)
_RANKED = (Judgement.Verdict.RANKED, Judgement.Verdict.TIE)


@dataclass(frozen=True)
class OwnAgreement:
    """A person's agreement with others and with gold; None where it rests on too few pairs."""

    others: Share | None
    gold: Share | None


@dataclass(frozen=True)
class FirstShown:
    """How often the reply shown first was ranked best, where one alone was; `chance` is 1/K."""

    share: Share
    chance: float

    @property
    def leans(self) -> bool:
        """Whether chance alone would rarely do this."""
        return not self.share.low <= self.chance <= self.share.high


@dataclass(frozen=True)
class AnnotatorQuality:
    """How one annotator works; what rests on too little is None.

    `tie_share` is the share of pairs called equal, `gold_tau_b` the mean rank correlation.
    """

    name: str
    kind: str
    judgements: int
    median_s: float | None
    tie_share: float | None
    skips: int
    agreement: Share | None
    gold: Share | None
    gold_tau_b: float | None
    first_shown: FirstShown | None

    @property
    def kind_label(self) -> str:
        """Return the kind in words."""
        return str(Annotator.Kind(self.kind).label)


@dataclass(frozen=True)
class ProjectQuality:
    """How a project's annotators work, from its newest judgements; `since` is the oldest of them.

    `alpha` is Krippendorff's, or why there is none.
    """

    judgements: int
    since: datetime | None
    is_all: bool
    agreement: Share | None
    alpha: float | Undefined
    annotators: list[AnnotatorQuality]


@dataclass(frozen=True)
class _Gold:
    """A known answer, and the annotator whose judgement it was taken from."""

    tiers: list[list[int]]
    source_annotator: int | None


@dataclass
class _Work:
    """What is counted of one annotator on the way through the judgements."""

    judgements: int = 0
    times_ms: list[int] = field(default_factory=list)
    pairs: int = 0
    ties: int = 0
    first: Tally = field(default_factory=Tally)
    chances: list[float] = field(default_factory=list)
    gold: Tally = field(default_factory=Tally)
    taus: list[float] = field(default_factory=list)

    def count(self, row: "_Row") -> None:
        """Count one judgement; what ranks nothing counts as work alone."""
        self.judgements += 1
        if row.active_ms is not None:
            self.times_ms.append(row.active_ms)
        if row.labels is None:
            return
        self.pairs += len(row.labels)
        self.ties += row.labels.count(0)
        best = row.tiers[0]
        if row.shown_order and len(best) == 1 and best[0] in row.shown_order:
            self.first.add(int(best[0] == row.shown_order[0]), 1)
            self.chances.append(1 / len(row.shown_order))

    def check(self, said: Labels, known: Labels) -> None:
        """Hold one ranking against the known answer."""
        self.gold.add(agreed_pairs(said, known), len(known))
        tau = kendall_tau_b(said, known)
        if tau is not None:
            self.taus.append(tau)


@dataclass(slots=True)
class _Row:
    """One judgement that nothing supersedes.

    `size` is K, a written reply not counted; labels are None where nothing is ranked.
    """

    comparison_id: int
    annotator_id: int
    tiers: list[list[int]]
    shown_order: list[int]
    active_ms: int | None
    created_at: datetime
    size: int = field(init=False)
    labels: Labels | None = field(init=False)

    def __post_init__(self) -> None:
        """Work out the labels, which are asked for more than once."""
        self.size = len(self.shown_order) or sum(map(len, self.tiers))
        self.labels = pair_labels(self.tiers, self.size) if self.tiers else None


_COLUMNS = ("comparison_id", "annotator_id", "tiers", "shown_order", "active_ms", "created_at")


def own_agreement(user: User, project: Project) -> OwnAgreement:
    """Return how far the account agrees with others and with gold, from its newest judgements."""
    return OwnAgreement(_own_with_others(user, project), _own_with_gold(user, project))


def _own(user: User, project: Project) -> Any:
    return Judgement.objects.filter(
        annotator__user=user,
        annotator__project=project,
        superseded_by=None,
        verdict__in=_RANKED,
    ).order_by("-created_at")


def _own_with_others(user: User, project: Project) -> Share | None:
    newest = _own(user, project)[:OWN_RECENT].values("comparison_id")
    rows = Judgement.objects.filter(
        comparison__in=newest,
        superseded_by=None,
        verdict__in=_RANKED,
        annotator__kind__in=JUDGES,
    ).values_list(*_COLUMNS, "annotator__user_id")
    found = [(_Row(*row), user_id) for *row, user_id in rows]
    own = next((row.annotator_id for row, user_id in found if user_id == user.pk), None)
    by_comparison = _by_comparison(row for row, _ in found)
    judges = {row.annotator_id for row, _ in found}
    tally = agreement_of(by_comparison, judges).by_annotator.get(own, Tally())
    return tally.share(least=LEAST_PAIRS)


def _own_with_gold(user: User, project: Project) -> Share | None:
    """Count up to last midnight: a figure that moved with a card would say that it was gold."""
    rows = _own(user, project).filter(
        created_at__lt=start_of_today(), comparison__gold__state=State.ACTIVE
    )
    told = rows.values_list(
        *_COLUMNS, "comparison__gold__tiers", "comparison__gold__source__annotator_id"
    )
    work = _Work()
    for *columns, tiers, source in told[:OWN_RECENT]:
        _check(work, _Row(*columns), _Gold(tiers, source))
    return work.gold.share(least=LEAST_PAIRS)


def _check(work: _Work, row: _Row, gold: _Gold | None) -> None:
    """Hold a judgement against gold, unless there is none, or it is its own source."""
    if gold is None or row.labels is None or gold.source_annotator == row.annotator_id:
        return
    work.check(row.labels, pair_labels(gold.tiers, row.size))


def _by_comparison(rows: Iterable[_Row]) -> Collection[dict[int, Labels]]:
    found: dict[int, dict[int, Labels]] = {}
    for row in rows:
        if row.labels is not None:
            found.setdefault(row.comparison_id, {})[row.annotator_id] = row.labels
    return found.values()


def project_quality(project: Project, *, names: bool) -> ProjectQuality:
    """Return how the project's annotators work; four reads of the newest RECENT judgements.

    With `names` annotators are named as in the project, else by their pseudonyms.
    """
    rows = list(_newest(project))
    gold = _gold_of(project)
    works: dict[int, _Work] = {}
    for row in rows:
        work = works.setdefault(row.annotator_id, _Work())
        work.count(row)
        _check(work, row, gold.get(row.comparison_id))
    annotators = list(Annotator.objects.filter(project=project).select_related("user"))
    judges = {a.pk for a in annotators if a.kind in JUDGES}
    agreement = agreement_of(_by_comparison(rows), judges)
    since = rows[-1].created_at if rows else None
    skips = _skips(annotators, since)
    found = [
        _quality_of(a, works.get(a.pk, _Work()), skips[a.pk], agreement, names)
        for a in annotators
        if a.pk in works or skips[a.pk]
    ]
    return ProjectQuality(
        judgements=len(rows),
        since=since,
        is_all=len(rows) < RECENT,
        agreement=agreement.mean.share(least=LEAST_PAIRS),
        alpha=agreement.alpha.alpha(),
        annotators=sorted(found, key=lambda row: (-row.judgements, row.name)),
    )


def _newest(project: Project) -> Iterator[_Row]:
    """Yield the newest judgements: their uids sort by time, and stand in an index."""
    rows = Judgement.objects.filter(project=project, superseded_by=None).order_by("-uid")
    for row in rows.values_list(*_COLUMNS)[:RECENT]:
        yield _Row(*row)


def _gold_of(project: Project) -> dict[int, _Gold]:
    rows = GoldItem.objects.filter(project=project, state=State.ACTIVE)
    told = rows.values_list("comparison_id", "tiers", "source__annotator_id")
    return {comparison: _Gold(tiers, source) for comparison, tiers, source in told}


def _skips(annotators: Collection[Annotator], since: datetime | None) -> Counter[int]:
    rows = Assignment.objects.filter(
        annotator__in=annotators,
        state=Assignment.State.SKIPPED,
        ended_at__gte=since or timezone.now() - NOTHING_JUDGED,
    )
    return Counter(dict(rows.values_list("annotator_id").annotate(n=Count("id")).order_by()))


def _quality_of(
    annotator: Annotator, work: _Work, skips: int, agreement: Agreement, names: bool
) -> AnnotatorQuality:
    first = work.first.share(least=LEAST_PAIRS)
    enough = work.gold.pairs >= LEAST_PAIRS and work.taus
    return AnnotatorQuality(
        name=annotator.known_as if names else annotator.pseudonym,
        kind=annotator.kind,
        judgements=work.judgements,
        median_s=median(work.times_ms) / 1000 if work.times_ms else None,
        tie_share=work.ties / work.pairs if work.pairs else None,
        skips=skips,
        agreement=agreement.by_annotator.get(annotator.pk, Tally()).share(least=LEAST_PAIRS),
        gold=work.gold.share(least=LEAST_PAIRS),
        gold_tau_b=fmean(work.taus) if enough else None,
        first_shown=FirstShown(first, fmean(work.chances)) if first else None,
    )
