"""A family of models in words: what stands in each box, where it leads, and what lines mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling.models import Snapshot
from training.lineage.graph import Edge, Graph, Kind, Node, Relation, in_order
from training.lineage.models import SnapshotSource
from training.lineage.selectors import Family, model_key, run_key, snapshot_key
from training.lineage.sight import Sight, Thing
from training.models import ModelVersion, TrainingRun

MADE: Final = {
    Kind.STARTED: gettext_lazy("started from {name}"),
    Kind.SCORED: gettext_lazy("was scored by {name}"),
    Kind.LEARNED: gettext_lazy("learned from {name}"),
    Kind.HOLDS: gettext_lazy("holds the work of {name}"),
    Kind.MADE_BY: gettext_lazy("is the work of {name}"),
}
"""What an edge says of what was made, `name` being what it was made of."""

LEGEND: Final = {
    Kind.STARTED: gettext_lazy("started from"),
    Kind.SCORED: gettext_lazy("scored by"),
    Kind.LEARNED: gettext_lazy("learned from"),
    Kind.HOLDS: gettext_lazy("holds the work of"),
    Kind.MADE_BY: gettext_lazy("is the work of"),
}

RELATIONS: Final = {
    Relation.DIRECT: gettext_lazy("learned from it"),
    Relation.INHERITED: gettext_lazy("built on a model that learned from it"),
    Relation.DISTANT: gettext_lazy("learned from what such a model wrote or judged"),
    Relation.HELD_OUT: gettext_lazy("only measured by it: it was held out"),
}
"""How a model relates to a judgement."""

BEHIND: Final = {
    Relation.DIRECT: gettext_lazy("Learned from"),
    Relation.INHERITED: gettext_lazy("Inherited"),
    Relation.DISTANT: gettext_lazy("Distant"),
}
"""How judgements relate to a model."""


@dataclass(frozen=True)
class Told:
    """One node of the list beside the drawing, with what is said of it."""

    node: Node
    sentences: list[tuple[str, Node]]


def graph_of(family: Family, sight: Sight, focus: ModelVersion) -> Graph:
    """Return a family as a graph in order; what belongs to another project has no link.

    What the reader may not see there has no name and no detail either.
    """
    nodes = {model_key(m.pk): _model(m, sight, focus) for m in family.models.values()}
    for source in family.sources:
        nodes.setdefault(run_key(source.run_id), _run(source, sight))
    for snapshot in family.snapshots.values():
        nodes[snapshot_key(snapshot.pk)] = _snapshot(snapshot, sight)
    return in_order(nodes, family.edges)


def told(graph: Graph) -> list[Told]:
    """Return the graph as a list: each node with the sentences that its edges say."""
    nodes: Mapping[str, Node] = {node.key: node for node in graph.nodes}
    of: dict[str, list[Edge]] = {}
    for edge in graph.edges:
        of.setdefault(edge.made, []).append(edge)
    return [
        Told(node, [(str(LEGEND[e.kind]), nodes[e.of]) for e in of.get(node.key, ())])
        for node in graph.nodes
    ]


def _model(model: ModelVersion, sight: Sight, focus: ModelVersion) -> Node:
    said = [str(model.get_kind_display())]
    if not sight.reads(model):
        pass  # that it is there, and at most the name by which it is shared
    elif model.run:
        said.append(_run_words(model.run))
    elif model.provenance.get("from"):
        said.append(_("brought from outside"))
    own = model.project_id == sight.project.pk
    return Node(
        key=model_key(model.pk),
        kind=model.kind,
        title=str(model) if sight.knows(model) else capfirst(sight.name(model)),
        detail=" · ".join([*said, *_whose(model, sight)]),
        url=reverse("training:model_lineage", args=[sight.project.slug, model.pk]) if own else "",
        is_focus=model.pk == focus.pk,
    )


def _hidden(key: str, kind: str, thing: Thing, sight: Sight) -> Node:
    return Node(key=key, kind=kind, title=capfirst(sight.name(thing)), detail="")


def _run(source: SnapshotSource, sight: Sight) -> Node:
    run = source.run
    if not sight.reads(run):
        return _hidden(run_key(run.pk), "run", run, sight)
    sampling = getattr(run, "sampling", None)
    if sampling is not None:
        made = _("{replies} replies in {comparisons} comparisons").format(
            replies=sampling.candidates_made, comparisons=sampling.comparisons_made
        )
        if not sampling.comparisons_made:
            count = sampling.candidates_made
            made = ngettext("{count} reply", "{count} replies", count).format(count=count)
    else:
        count = source.labels
        made = ngettext("{count} label", "{count} labels", count).format(count=count)
    own = run.project_id == sight.project.pk
    return Node(
        key=run_key(run.pk),
        kind="run",
        title=_run_words(run),
        detail=" · ".join([made, *_whose(run, sight)]),
        url=reverse("training:run_detail", args=[sight.project.slug, run.uid]) if own else "",
    )


def _snapshot(snapshot: Snapshot, sight: Sight) -> Node:
    if not sight.reads(snapshot):
        return _hidden(snapshot_key(snapshot.pk), "snapshot", snapshot, sight)
    count = snapshot.counts.get("labels", 0)
    if snapshot.kind == Snapshot.Kind.DEMONSTRATIONS:
        text = ngettext("{count} demonstration", "{count} demonstrations", count)
    else:
        text = ngettext("{count} judgement", "{count} judgements", count)
    own = snapshot.project_id == sight.project.pk
    number, slug = snapshot.number, sight.project.slug
    return Node(
        key=snapshot_key(snapshot.pk),
        kind="snapshot",
        title=_("Snapshot {number}").format(number=number),
        detail=" · ".join([text.format(count=count), *_whose(snapshot, sight)]),
        url=reverse("labeling:snapshot_detail", args=[slug, number]) if own else "",
    )


def _run_words(run: TrainingRun) -> str:
    said = _("Run {number} · {recipe}").format(number=run.pk, recipe=run.recipe)
    step = getattr(run, "round_step", None)
    if step is None:
        return said
    return said + " · " + _("round {number}").format(number=step.round.number)


def _whose(thing: Thing, sight: Sight) -> list[str]:
    """Return the name of the other project that a thing is of, where the reader may read it."""
    other = thing.project_id != sight.project.pk and sight.reads(thing)
    return [thing.project.name] if other else []
