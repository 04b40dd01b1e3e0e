"""Reads of lineage: a model's family, the judgements in a model, the models that saw a judgement.

What is read grows with the number of models, never with the number of judgements: recursive
queries walk over models, runs and the few rows that say what a snapshot rests on.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from labeling.exceptions import NotFound
from labeling.models import Judgement, Project, Snapshot, SnapshotItem
from labeling.signals import Holding
from training.inputs import INPUTS
from training.lineage.graph import WEIGHTS, Edge, Kind, Relation, reached, relations
from training.lineage.models import SnapshotSource
from training.models import ModelVersion

_REWARDED: Final = [recipe for recipe, inputs in INPUTS.items() if inputs.rewarded]
"""Recipes whose reward model teaches; in the others it measures."""

_ANCESTORS: Final = """
WITH RECURSIVE family(id) AS (
    SELECT unnest(%(start)s::bigint[])
    UNION
    SELECT source.id
      FROM family
      JOIN training_modelversion model ON model.id = family.id
      LEFT JOIN training_trainingrun run ON run.id = model.run_id
      CROSS JOIN LATERAL (
          SELECT model.parent_id
          UNION ALL SELECT run.base_model_id
          UNION ALL SELECT run.reward_model_id WHERE run.recipe = ANY(%(rewarded)s)
          UNION ALL SELECT rests.model_id FROM training_snapshotsource rests
                     WHERE rests.snapshot_id = run.snapshot_id
      ) AS source(id)
     WHERE source.id IS NOT NULL
)
SELECT id FROM family
"""
_DESCENDANTS: Final = """
WITH RECURSIVE family(id) AS (
    SELECT unnest(%(start)s::bigint[])
    UNION
    SELECT made.id
      FROM family
      CROSS JOIN LATERAL (
          SELECT model.id FROM training_modelversion model WHERE model.parent_id = family.id
          UNION ALL
          SELECT model.id FROM training_trainingrun run
            JOIN training_modelversion model ON model.run_id = run.id
           WHERE run.base_model_id = family.id
          UNION ALL
          SELECT model.id FROM training_trainingrun run
            JOIN training_modelversion model ON model.run_id = run.id
           WHERE run.reward_model_id = family.id AND run.recipe = ANY(%(rewarded)s)
          UNION ALL
          SELECT model.id FROM training_snapshotsource rests
            JOIN training_trainingrun run ON run.snapshot_id = rests.snapshot_id
            JOIN training_modelversion model ON model.run_id = run.id
           WHERE rests.model_id = family.id
      ) AS made(id)
)
SELECT id FROM family
"""


_BEHIND: Final = (Relation.DIRECT, Relation.INHERITED, Relation.DISTANT)


def model_key(pk: int) -> str:
    """Return by what a model is known in a graph."""
    return f"model-{pk}"


def snapshot_key(pk: int) -> str:
    """Return by what a snapshot is known in a graph."""
    return f"snapshot-{pk}"


def run_key(pk: int) -> str:
    """Return by what a run is known in a graph."""
    return f"run-{pk}"


@dataclass(frozen=True)
class Family:
    """Models with all that leads from one to another of them; by id, newest first."""

    models: Mapping[int, ModelVersion]
    snapshots: Mapping[int, Snapshot]
    sources: Sequence[SnapshotSource]
    edges: Sequence[Edge]


def _walk(query: str, start: Iterable[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"start": list(start), "rewarded": _REWARDED})
        return [pk for (pk,) in cursor.fetchall()]


def ancestors_of(model: ModelVersion) -> Family:
    """Return the model with everything that it was made of; three reads."""
    return _family(_walk(_ANCESTORS, [model.pk]))


def family_of(model: ModelVersion) -> Family:
    """Return the model with everything that it was made of and that was made of it; four reads."""
    ids = {*_walk(_ANCESTORS, [model.pk]), *_walk(_DESCENDANTS, [model.pk])}
    return _family(ids)


def _family(ids: Collection[int]) -> Family:
    rows = ModelVersion.objects.select_related(
        "project", "run__snapshot__project", "run__round_step__round"
    ).filter(pk__in=ids)
    models = {model.pk: model for model in rows.order_by("-pk")}
    runs = [model.run for model in models.values() if model.run]
    snapshots = {run.snapshot.pk: run.snapshot for run in runs if run.snapshot}
    sources = list(
        SnapshotSource.objects.filter(snapshot__in=snapshots, model__in=models)
        .select_related("run__round_step__round", "run__sampling", "run__project")
        .order_by("-run_id", "-snapshot_id")
    )
    return Family(models, snapshots, sources, _edges(models, snapshots, sources))


def _edges(
    models: Mapping[int, ModelVersion],
    snapshots: Collection[int],
    sources: Sequence[SnapshotSource],
) -> list[Edge]:
    found: dict[Edge, None] = {}
    for model in models.values():
        for of in _made_of(model):
            found[of] = None
    for source in sources:
        run = run_key(source.run_id)
        found[Edge(snapshot_key(source.snapshot_id), run, Kind.HOLDS)] = None
        found[Edge(run, model_key(source.model_id), Kind.MADE_BY)] = None
    known = {*map(model_key, models), *map(snapshot_key, snapshots)}
    known |= {run_key(source.run_id) for source in sources}
    return [edge for edge in found if edge.of in known]


def _made_of(model: ModelVersion) -> Iterable[Edge]:
    """Yield the edges from a model; what it started from is its parent's and its run's alike."""
    key, run = model_key(model.pk), model.run
    base = run.base_model_id if run and run.base_model_id else model.parent_id
    if base:
        yield Edge(key, model_key(base), Kind.STARTED)
    if run and run.reward_model_id and run.recipe in _REWARDED:
        yield Edge(key, model_key(run.reward_model_id), Kind.SCORED)
    if run and run.snapshot_id:
        yield Edge(key, snapshot_key(run.snapshot_id), Kind.LEARNED)


# --- from a model to every judgement in it --------------------------------------------------------


def snapshots_by_relation(model: ModelVersion, family: Family) -> dict[Relation, list[Snapshot]]:
    """Return the snapshots behind a model, by how near the model is to what stands in them."""
    key = model_key(model.pk)
    learned = [edge for edge in family.edges if edge.kind in WEIGHTS | {Kind.LEARNED}]
    near = reached([key], learned, back=True)
    far = reached([key], family.edges, back=True)
    own = model.run.snapshot_id if model.run else None
    found: dict[Relation, list[Snapshot]] = {relation: [] for relation in _BEHIND}
    for pk, snapshot in sorted(family.snapshots.items(), reverse=True):
        if pk == own:
            found[Relation.DIRECT].append(snapshot)
        elif snapshot_key(pk) in near:
            found[Relation.INHERITED].append(snapshot)
        elif snapshot_key(pk) in far:
            found[Relation.DISTANT].append(snapshot)
    return found


def judgements_in(
    project: Project, behind: Mapping[Relation, Sequence[Snapshot]], relation: Relation
) -> QuerySet[Judgement]:
    """Return the project's judgements of one relation, newest first.

    One that stands in a nearer snapshot too is left to that one.
    """
    nearer = _BEHIND[: _BEHIND.index(relation)]
    rows = Judgement.objects.filter(_stands_in(behind[relation]))
    rows = rows.filter(~_stands_in([row for other in nearer for row in behind[other]]))
    return rows.filter(project=project).order_by("-uid")


def _stands_in(snapshots: Sequence[Snapshot]) -> Exists:
    held = SnapshotItem.objects.filter(judgement=OuterRef("pk"), snapshot__in=snapshots)
    return Exists(held)


@dataclass(frozen=True)
class Held:
    """A snapshot that holds a judgement, and in which split."""

    snapshot: Snapshot
    split: str

    @property
    def split_label(self) -> str:
        """Return the split in words."""
        return str(SnapshotItem.Split(self.split).label)


@dataclass(frozen=True)
class Listed:
    """A judgement in a list, and where it stands."""

    judgement: Judgement
    places: list[Held]


def listed(rows: Sequence[Judgement], snapshots: Sequence[Snapshot]) -> list[Listed]:
    """Return a page of judgements with those of the snapshots that hold them; one read."""
    known = {snapshot.pk: snapshot for snapshot in snapshots}
    places: dict[int, list[Held]] = {row.pk: [] for row in rows}
    items = SnapshotItem.objects.filter(judgement__in=places, snapshot__in=known)
    for item in items.order_by("-snapshot_id"):
        if item.judgement_id is not None:
            places[item.judgement_id].append(Held(known[item.snapshot_id], item.split))
    return [Listed(row, places[row.pk]) for row in rows]


# --- from a judgement to every model that saw it --------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A model that saw a judgement, how, and by which edges within what saw it."""

    model: ModelVersion
    relation: Relation
    by: list[tuple[Kind, ModelVersion | Snapshot]]


@dataclass(frozen=True)
class Spread:
    """Everything that a judgement went into, nearest models first."""

    judgement: Judgement
    held: list[Held]
    models: list[Seen]

    def of(self, relation: Relation) -> list[Seen]:
        """Return the models of one relation."""
        return [seen for seen in self.models if seen.relation == relation]


def get_judgement(project: Project, uid: UUID) -> Judgement:
    """Return one judgement of the project. Raises NotFound."""
    rows = Judgement.objects.filter(project=project, uid=uid)
    found = rows.select_related("annotator__user", "comparison__prompt").first()
    if found is None:
        raise NotFound(_("There is no such judgement in this project."))
    return found


def spread_of(judgement: Judgement) -> Spread:
    """Return which models have seen a judgement; five reads, however many they are."""
    items = SnapshotItem.objects.filter(judgement=judgement).select_related("snapshot__project")
    held = [Held(item.snapshot, item.split) for item in items.order_by("-snapshot_id")]
    train = [row.snapshot.pk for row in held if row.split == SnapshotItem.Split.TRAIN]
    first = ModelVersion.objects.filter(run__snapshot__in=[row.snapshot.pk for row in held])
    learned_from = dict(first.values_list("pk", "run__snapshot_id"))
    family = _family(_walk(_DESCENDANTS, learned_from))
    keys = {model_key(pk): model for pk, model in family.models.items()}
    learned = [model_key(pk) for pk, snapshot in learned_from.items() if snapshot in train]
    near = relations(keys, family.edges, learned=learned)
    order = list(Relation)
    models = [
        Seen(model, near[key], _by(key, family, {row.snapshot.pk for row in held}))
        for key, model in keys.items()
    ]
    models.sort(key=lambda seen: (order.index(seen.relation), -seen.model.pk))
    return Spread(judgement, held, models)


def _by(
    key: str, family: Family, holding: Collection[int]
) -> list[tuple[Kind, ModelVersion | Snapshot]]:
    """Return the edges of a model that lead to what saw the judgement, or to what holds it."""
    resting = {source.snapshot_id for source in family.sources}
    told: dict[str, ModelVersion | Snapshot] = {
        **{model_key(pk): model for pk, model in family.models.items()},
        **{
            snapshot_key(pk): snapshot
            for pk, snapshot in family.snapshots.items()
            if pk in holding or pk in resting
        },
    }
    own = [edge for edge in family.edges if edge.made == key and edge.of in told]
    return [(edge.kind, told[edge.of]) for edge in own]


# --- what holds snapshots, for whoever is to be erased --------------------------------------------


def models_from(snapshots: Iterable[int]) -> list[tuple[ModelVersion, bool]]:
    """Return the models behind which the snapshots stand, and whether each learned from them."""
    first = ModelVersion.objects.filter(run__snapshot__in=list(snapshots))
    direct = set(first.values_list("pk", flat=True))
    found = _walk(_DESCENDANTS, direct)
    rows = ModelVersion.objects.filter(pk__in=found).select_related("project").order_by("-pk")
    return [(model, model.pk in direct) for model in rows]


def holders_of(sender: type[Snapshot], *, snapshots: Sequence[int], **_said: Any) -> list[Holding]:
    """Answer `holders_of_snapshots` with the models that learned from them, or from such models."""
    return [
        Holding(
            name=str(model),
            url=reverse("training:model_lineage", args=[model.project.slug, model.pk]),
            project=model.project.name,
            is_direct=is_direct,
        )
        for model, is_direct in models_from(snapshots)
    ]


def split_counts(snapshots: Sequence[Snapshot]) -> dict[str, int]:
    """Return how many labels stand in each split, as the snapshots count them; no read."""
    counts: dict[str, int] = {}
    for snapshot in snapshots:
        for split, told in snapshot.counts.get("splits", {}).items():
            counts[split] = counts.get(split, 0) + told["labels"]
    return counts
