"""Freezing: a selection of labels becomes an immutable list with counts, splits and a hash."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.domain.pairs import contradictions
from labeling.domain.records import to_line
from labeling.domain.splits import split_of
from labeling.exceptions import InvalidInput, NothingToFreeze
from labeling.models import (
    Annotator,
    Comparison,
    Demonstration,
    Judgement,
    PreferencePair,
    Project,
    Snapshot,
    SnapshotItem,
    SnapshotRedaction,
    User,
)
from labeling.models.prompts import State
from labeling.selectors.snapshots import canonical_rows
from labeling.services import audit
from labeling.signals import snapshot_frozen

BATCH = 2000
MAX_WEIGHT = 100
_USABLE = (Judgement.Verdict.RANKED, Judgement.Verdict.TIE)


@dataclass(frozen=True, kw_only=True)
class _Selection:
    """Which labels are asked for: what freeze_snapshot is told of them."""

    tags: Collection[str]
    exclude_tags: Collection[str]
    annotator_kinds: Collection[str]
    ai_annotator_ids: Collection[int] | None
    include_gold: bool
    since: datetime | None
    weights: Mapping[str, float] | None

    def recorded(self, project: Project) -> dict[str, Any]:
        """Return the selection as the snapshot keeps it. Raises InvalidInput."""
        chosen = self.ai_annotator_ids
        named = Annotator.objects.filter(project=project, pk__in=list(chosen or ()))
        return {
            "tags": sorted(self.tags),
            "annotator_kinds": sorted(self.annotator_kinds),
            "include_gold": self.include_gold,
            **({} if chosen is None else {"ai_annotators": sorted(map(str, named))}),
            **({"since": self.since.isoformat()} if self.since else {}),
            **({"exclude_tags": sorted(self.exclude_tags)} if self.exclude_tags else {}),
            **({"weights": _checked_weights(self.weights)} if self.weights else {}),
        }

    @property
    def whose(self) -> Q:
        """The annotators whose labels are asked for."""
        kinds, by_ai = list(self.annotator_kinds), Q(annotator__kind=Annotator.Kind.AI)
        of_kinds = Q(annotator__kind__in=kinds) if kinds else ~by_ai
        if self.ai_annotator_ids is None:
            return of_kinds
        return of_kinds & (~by_ai | Q(annotator__in=list(self.ai_annotator_ids)))

    @property
    def leaves_out_ai(self) -> bool:
        """Whether what AI judges said may be left out without a word of its kind."""
        return not self.annotator_kinds or self.ai_annotator_ids is not None


@transaction.atomic
def freeze_snapshot(
    *,
    actor: User | None,
    project: Project,
    kind: str = Snapshot.Kind.PREFERENCES,
    note: str = "",
    tags: Collection[str] = (),
    exclude_tags: Collection[str] = (),
    annotator_kinds: Collection[str] = (),
    ai_annotator_ids: Collection[int] | None = None,
    include_gold: bool = False,
    since: datetime | None = None,
    weights: Mapping[str, float] | None = None,
) -> Snapshot:
    """Freeze the project's labels of a kind, optionally only those of some tags or annotators.

    Where no kinds of annotators are named, AI judges' rankings and what AI revised are left out:
    they are taken where they are asked for, of all AI annotators or of `ai_annotator_ids`. Labels
    of prompts with one of `exclude_tags` are left out. `weights` says, by kind of annotator, how
    often a judgement counts when it is learned from; 1 where it says nothing. With `since` only
    judgements made from then on are taken.

    Judgements on gold items are left out unless they are asked for: the answers by which people
    are measured stay apart from what models learn. Judgements by which models are measured are
    always left out, or what they learned would be what they are measured by.
    Raises NothingToFreeze where the selection holds no usable label.
    """
    selection = _Selection(
        tags=tags,
        exclude_tags=exclude_tags,
        annotator_kinds=annotator_kinds,
        ai_annotator_ids=ai_annotator_ids,
        include_gold=include_gold,
        since=since,
        weights=weights,
    )
    return _freeze(actor, project, kind, note, selection)


def _freeze(
    actor: User | None, project: Project, kind: str, note: str, selection: _Selection
) -> Snapshot:
    if kind not in Snapshot.Kind.values:
        raise InvalidInput(_("There is no such kind."), errors={"kind": [kind]})
    snapshot = Snapshot.objects.create(
        project=project,
        number=_next_number(project),
        kind=kind,
        note=note,
        selection=selection.recorded(project),
        created_by=actor,
    )
    if kind == Snapshot.Kind.PREFERENCES:
        _take_judgements(snapshot, selection)
    else:
        _take_demonstrations(snapshot, selection)
    snapshot.sha256 = hash_of(snapshot)
    snapshot.save()
    audit.record(
        actor=actor,
        project=project,
        verb="snapshot.freeze",
        obj=snapshot,
        data={"sha256": snapshot.sha256, "labels": snapshot.counts["labels"]},
    )
    snapshot_frozen.send(sender=Snapshot, snapshot=snapshot)
    return snapshot


def _checked_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights by kind; those of 1, which say nothing, left out. Raises InvalidInput."""
    for kind, weight in weights.items():
        if kind not in Annotator.Kind.values or not 0 < weight <= MAX_WEIGHT:
            text = _("{kind}: give a kind of annotators a weight above 0, and at most {most}.")
            raise InvalidInput(
                _("The weights can't be taken."),
                errors={"weights": [text.format(kind=kind, most=MAX_WEIGHT)]},
            )
    return {kind: float(weight) for kind, weight in sorted(weights.items()) if weight != 1}


def _next_number(project: Project) -> int:
    """Return the number of the project's next snapshot; nobody else takes it meanwhile."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    latest = Snapshot.objects.filter(project=project).aggregate(Max("number"))["number__max"]
    return (latest or 0) + 1


def hash_of(snapshot: Snapshot) -> str:
    """Return the sha256 over the snapshot's canonical lines."""
    digest = hashlib.sha256()
    for row in canonical_rows(snapshot):
        digest.update(to_line(row).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _take_judgements(snapshot: Snapshot, selection: _Selection) -> None:
    everybodys = _in_scope(snapshot.project, selection)
    rows = everybodys.filter(selection.whose)
    current = rows.filter(superseded_by=None)
    active = current.filter(comparison__prompt__state=State.ACTIVE)
    apart = active.filter(comparison__for_evaluation=False)
    kept = (
        apart if selection.include_gold else apart.exclude(comparison__state=Comparison.State.GOLD)
    )
    usable = kept.filter(verdict__in=_USABLE)
    snapshot.drops = {
        gettext_noop("superseded by a revision"): rows.count() - current.count(),
        gettext_noop("prompt withdrawn"): current.count() - active.count(),
        gettext_noop("measures models: kept apart"): active.count() - apart.count(),
        gettext_noop("gold item: kept apart"): apart.count() - kept.count(),
        gettext_noop("all bad: no order"): kept.filter(verdict=Judgement.Verdict.BOTH_BAD).count(),
        gettext_noop("can't be ranked"): kept.filter(verdict=Judgement.Verdict.UNRANKABLE).count(),
    }
    by_ai = Q(annotator__kind=Annotator.Kind.AI, superseded_by=None)
    others = everybodys.filter(by_ai).count() - rows.filter(by_ai).count()
    if selection.leaves_out_ai and others:
        snapshot.drops[gettext_noop("by an AI judge: not asked for")] = others
    found = usable.order_by("id").values_list(
        "id", "comparison__prompt_id", "comparison__prompt__group__key", "annotator_id"
    )
    labels = [(pk, prompt, group) for pk, prompt, group, _ in found]
    _write_items(snapshot, "judgement_id", labels)
    _count_pairs(snapshot)
    snapshot.counts["annotators"] = len({annotator for *_, annotator in found})


def _in_scope(project: Project, selection: _Selection) -> QuerySet[Judgement]:
    """Return the judgements of the selection's time and tags, whoever made them."""
    rows = Judgement.objects.filter(comparison__project=project)
    if selection.since:
        rows = rows.filter(created_at__gte=selection.since)
    if selection.tags:
        rows = rows.filter(comparison__prompt__tags__name__in=list(selection.tags))
    if selection.exclude_tags:
        rows = rows.exclude(comparison__prompt__tags__name__in=list(selection.exclude_tags))
    return rows.distinct()


def _take_demonstrations(snapshot: Snapshot, selection: _Selection) -> None:
    rows = Demonstration.objects.filter(prompt__project=snapshot.project)
    if selection.tags:
        rows = rows.filter(prompt__tags__name__in=list(selection.tags)).distinct()
    if selection.exclude_tags:
        rows = rows.exclude(prompt__tags__name__in=list(selection.exclude_tags))
    chosen = selection.whose
    if Annotator.Kind.IMPORTED in selection.annotator_kinds:
        chosen |= Q(annotator=None)  # a file's demonstrations tell nobody who wrote them
    rows = rows.filter(chosen)
    current = rows.filter(superseded_by=None)
    active = current.filter(state=State.ACTIVE, prompt__state=State.ACTIVE)
    snapshot.drops = {
        gettext_noop("superseded by a correction"): rows.count() - current.count(),
        gettext_noop("withdrawn"): current.count() - active.count(),
    }
    labels = list(active.order_by("id").values_list("id", "prompt_id", "prompt__group__key"))
    _write_items(snapshot, "demonstration_id", labels)


def _write_items(snapshot: Snapshot, column: str, labels: list[tuple[int, int, str]]) -> None:
    """Write (label id, prompt id, group key) rows as items, and count labels and prompts."""
    if not labels:
        raise NothingToFreeze(_("There is no label to freeze yet. Judge some comparisons first."))
    shares = {
        "validation_share": snapshot.project.validation_share,
        "test_share": snapshot.project.test_share,
    }
    splits = [split_of(group, **shares) for _, _, group in labels]
    SnapshotItem.objects.bulk_create(
        [
            SnapshotItem(snapshot=snapshot, position=n, split=split, **{column: label[0]})
            for n, (label, split) in enumerate(zip(labels, splits, strict=True))
        ],
        batch_size=BATCH,
    )
    prompts: dict[str, set[int]] = defaultdict(set)
    for (_pk, prompt, _group), split in zip(labels, splits, strict=True):
        prompts[split].add(prompt)
    by_split = {
        split: {"labels": count, "prompts": len(prompts[split])}
        for split, count in Counter(splits).items()
    }
    snapshot.counts = {
        "labels": len(labels),
        "prompts": len({prompt for _, prompt, _ in labels}),
        "splits": by_split,
    }


def _count_pairs(snapshot: Snapshot) -> None:
    """Add the numbers of pairs, ties and contradictory pairs to the snapshot's counts."""
    splits = dict(snapshot.items.values_list("judgement_id", "split"))
    split_counts: dict[str, Counter[str]] = defaultdict(Counter)
    ordered = set()
    rows = PreferencePair.objects.filter(judgement__snapshot_items__snapshot=snapshot)
    for judgement, chosen, rejected, tie in rows.values_list(
        "judgement_id", "chosen_id", "rejected_id", "is_tie"
    ):
        split_counts[splits[judgement]]["ties" if tie else "pairs"] += 1
        if not tie:
            ordered.add((chosen, rejected))
    for split, counted in split_counts.items():
        snapshot.counts["splits"][split].update(pairs=counted["pairs"], ties=counted["ties"])
    snapshot.counts["pairs"] = sum(c["pairs"] for c in split_counts.values())
    snapshot.counts["ties"] = sum(c["ties"] for c in split_counts.values())
    snapshot.counts["contradictory_pairs"] = len(contradictions(ordered))


def redact_snapshots(*, snapshots: Collection[Snapshot]) -> list[SnapshotRedaction]:
    """Give snapshots whose text was erased their new hash, and keep the old one beside it."""
    redactions = []
    for snapshot in snapshots:
        new = hash_of(snapshot)
        if new == snapshot.sha256:
            continue
        redactions.append(
            SnapshotRedaction.objects.create(
                snapshot=snapshot, old_sha256=snapshot.sha256, new_sha256=new
            )
        )
        Snapshot.objects.filter(pk=snapshot.pk).update(sha256=new, redacted_at=timezone.now())
    return redactions
