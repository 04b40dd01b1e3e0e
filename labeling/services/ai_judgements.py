"""What AI judges say, in the same tables as what people say, and which comparisons wait for them.

A comparison waits either for people or for AI judges. What an AI judge says of one that waits for
people is kept as surplus: it counts for no overlap, and closes nothing.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.pairs import pairs_of
from labeling.domain.rankings import RankingError, Tiers, check_tiers
from labeling.domain.records import to_line
from labeling.exceptions import InvalidInput, InvalidRanking
from labeling.models import (
    Annotator,
    Assignment,
    Comparison,
    ComparisonCandidate,
    Judgement,
    PreferencePair,
    Project,
    User,
)
from labeling.services import audit

BATCH = 1000
State = Comparison.State


@dataclass(frozen=True, kw_only=True)
class AIJudgement:
    """What an AI judge says of one comparison: its slots in tiers, and how it came to that."""

    comparison_id: int
    tiers: Tiers
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Return a hash of all that is said."""
        said = {
            "comparison": self.comparison_id,
            "tiers": self.tiers,
            "provenance": dict(self.provenance),
        }
        return hashlib.sha256(to_line(said).encode()).hexdigest()


@transaction.atomic
def record_ai_judgements(
    *, actor: User | None, annotator: Annotator, said: Sequence[AIJudgement]
) -> list[Judgement]:
    """Write what an AI judge says, with its pairs; return what was not there before.

    It judges a comparison once: what it said of one before stays, whatever is said now, so that
    the same answers may come twice. A comparison that waits for AI judges closes with the judgement
    that meets its overlap. Raises InvalidInput for an annotator of another kind and for
    comparisons of another project, InvalidRanking for tiers that don't place each slot once.
    """
    if annotator.kind != Annotator.Kind.AI:
        raise InvalidInput(_("Only an AI judge's word is taken in like this."))
    by_id = {one.comparison_id: one for one in said}
    # Whoever records for the same judge at the same time waits here, and then finds it recorded.
    Annotator.objects.select_for_update().only("id").get(pk=annotator.pk)
    rows = Comparison.objects.select_for_update().filter(project_id=annotator.project_id)
    comparisons = {row.pk: row for row in rows.filter(pk__any=by_id).order_by("pk")}
    if len(comparisons) < len(by_id):
        raise InvalidInput(_("There is no such comparison in this project."))
    known = Judgement.objects.filter(annotator=annotator, comparison__any=comparisons)
    judged = set(known.values_list("comparison_id", flat=True))
    new = [pk for pk in comparisons if pk not in judged]
    slots = _slots(new)
    made = Judgement.objects.bulk_create(
        [_judgement(annotator, by_id[pk], comparisons[pk], len(slots[pk])) for pk in new],
        batch_size=BATCH,
    )
    PreferencePair.objects.bulk_create(
        [pair for one in made for pair in _pairs(one, slots[one.comparison_id])], batch_size=BATCH
    )
    _count([one.comparison_id for one in made if not one.surplus])
    if made:
        audit.record(
            actor=actor,
            project=annotator.project,
            verb="ai_judgements.record",
            obj=annotator,
            data={"judgements": len(made), "surplus": sum(one.surplus for one in made)},
        )
    return made


def _slots(comparison_ids: Collection[int]) -> dict[int, list[int]]:
    """Return each comparison's candidates in the order of slots."""
    found: dict[int, list[int]] = {pk: [] for pk in comparison_ids}
    rows = ComparisonCandidate.objects.filter(comparison__any=comparison_ids)
    for pk, candidate in rows.order_by("comparison", "slot").values_list(
        "comparison_id", "candidate_id"
    ):
        found[pk].append(candidate)
    return found


def _judgement(
    annotator: Annotator, said: AIJudgement, comparison: Comparison, count: int
) -> Judgement:
    try:
        tiers = check_tiers(said.tiers, count)
    except RankingError as error:
        raise InvalidRanking(
            _("This is no ranking of the comparison's candidates."),
            errors={"tiers": [error.reason]},
        ) from None
    return Judgement(
        project_id=annotator.project_id,
        comparison=comparison,
        annotator=annotator,
        verdict=Judgement.Verdict.TIE if len(tiers) == 1 else Judgement.Verdict.RANKED,
        tiers=tiers,
        origin=Judgement.Origin.AI,
        surplus=not comparison.for_ai or comparison.state != State.OPEN,
        provenance=dict(said.provenance),
        idempotency_key=str(comparison.uid),
        request_hash=said.fingerprint,
        created_at=timezone.now(),
    )


def _pairs(judgement: Judgement, candidates: Sequence[int]) -> list[PreferencePair]:
    return [
        PreferencePair(
            judgement=judgement,
            chosen_id=candidates[pair.chosen],
            rejected_id=candidates[pair.rejected],
            rank_gap=pair.rank_gap,
            is_tie=pair.is_tie,
        )
        for pair in pairs_of(judgement.tiers)
    ]


def _count(comparison_ids: Collection[int]) -> None:
    """Count a judgement on each of the locked comparisons; close those whose overlap is met."""
    rows = Comparison.objects.filter(pk__any=comparison_ids)
    rows.update(judgement_count=F("judgement_count") + 1)
    rows.filter(state=State.OPEN, judgement_count__gte=F("overlap")).update(state=State.CLOSED)


@transaction.atomic
def give_to_ai(
    *, actor: User | None, project: Project, comparison_ids: Collection[int], overlap: int = 1
) -> list[int]:
    """Let comparisons wait for that many AI judges in place of people; return which do now.

    Those that somebody judged or holds, or that are closed, stay as they are.
    """
    if not 1 <= overlap <= 50:
        text = _("Use a whole number from {least} to {most}.").format(least=1, most=50)
        raise InvalidInput(_("Some settings can't be taken."), errors={"overlap": [text]})
    held = Assignment.objects.filter(comparison=OuterRef("pk"), state=Assignment.State.LEASED)
    rows = Comparison.objects.select_for_update(skip_locked=True, of=("self",))
    free = rows.filter(
        ~Exists(held), project=project, pk__any=comparison_ids, state=State.OPEN, judgement_count=0
    )
    taken = list(free.order_by("pk").values_list("pk", flat=True))
    Comparison.objects.filter(pk__any=taken).update(for_ai=True, open_slots=0, overlap=overlap)
    _record_turn(actor, project, "comparisons.give_to_ai", len(taken))
    return taken


@transaction.atomic
def give_to_people(
    *, actor: User | None, project: Project, comparison_ids: Collection[int], overlap: int = 1
) -> list[int]:
    """Put comparisons that wait for AI judges, or were judged by them, into the people's queue.

    That many people are to judge each. What AI judges said of them stays, as surplus does, without
    being counted. Returns which comparisons wait for people now.
    """
    if not 1 <= overlap <= 50:
        text = _("Use a whole number from {least} to {most}.").format(least=1, most=50)
        raise InvalidInput(_("Some settings can't be taken."), errors={"overlap": [text]})
    rows = Comparison.objects.select_for_update().filter(
        project=project, pk__any=comparison_ids, for_ai=True, state__in=[State.OPEN, State.CLOSED]
    )
    given = list(rows.order_by("pk").values_list("pk", flat=True))
    Comparison.objects.filter(pk__any=given).update(
        for_ai=False, state=State.OPEN, judgement_count=0, overlap=overlap, open_slots=overlap
    )
    _record_turn(actor, project, "comparisons.give_to_people", len(given))
    return given


def _record_turn(actor: User | None, project: Project, verb: str, count: int) -> None:
    if count:
        audit.record(
            actor=actor, project=project, verb=verb, obj=project, data={"comparisons": count}
        )
