"""Lineage over the API: a family as a graph, judgements in a model, models of a judgement."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.models import Judgement
from training.api.serializers import ModelRefSerializer
from training.lineage.graph import Kind, Relation
from training.lineage.picture import BEHIND, graph_of
from training.lineage.selectors import (
    Listed,
    Seen,
    Spread,
    ancestors_of,
    family_of,
    get_judgement,
    judgements_in,
    listed,
    model_key,
    snapshots_by_relation,
    spread_of,
)
from training.lineage.sight import Sight
from training.lineage.views import asked_relation
from training.selectors import get_model


class NodeSerializer(serializers.Serializer[Any]):
    """One thing of a family: `key` is what edges name; `kind` is policy, reward, snapshot or run.

    `url` is its page; empty for what belongs to another project. What the reader may not see there
    has neither its name nor any detail.
    """

    key = serializers.CharField()
    kind = serializers.CharField()
    title = serializers.CharField()
    detail = serializers.CharField()
    url = serializers.CharField(allow_blank=True)


class EdgeSerializer(serializers.Serializer[Any]):
    """What was made, of what, and how."""

    made = serializers.CharField()
    of = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])


class BehindSerializer(serializers.Serializer[Any]):
    """Judgements of one relation to a model, and the snapshots that hold them.

    Those of other projects are named where the reader may see them.
    """

    relation = serializers.ChoiceField(choices=[relation.value for relation in BEHIND])
    judgements = serializers.IntegerField()
    snapshots = serializers.ListField(child=serializers.CharField(), help_text="their sha256")


class ModelLineageSerializer(serializers.Serializer[Any]):
    """A model, everything that it was made of, and everything that was made of it."""

    model = ModelRefSerializer()
    key = serializers.CharField()
    nodes = NodeSerializer(many=True)
    edges = EdgeSerializer(many=True)
    judgements = BehindSerializer(many=True)


class PlaceSerializer(serializers.Serializer[Any]):
    """A snapshot that holds a judgement, and in which split."""

    snapshot = serializers.SerializerMethodField()
    sha256 = serializers.SerializerMethodField()
    split = serializers.SerializerMethodField()

    def get_snapshot(self, place: Any) -> int:
        """Return the snapshot's number in its project."""
        return int(place.snapshot.number)

    def get_sha256(self, place: Any) -> str:
        """Return the snapshot's hash."""
        return str(place.snapshot.sha256)

    def get_split(self, place: Any) -> str:
        """Return the split."""
        return str(place.split)


class JudgementInModelSerializer(serializers.Serializer[Listed]):
    """A judgement in a model, and where it stands."""

    uid = serializers.UUIDField(source="judgement.uid")
    verdict = serializers.ChoiceField(choices=Judgement.Verdict.choices, source="judgement.verdict")
    origin = serializers.ChoiceField(choices=Judgement.Origin.choices, source="judgement.origin")
    created_at = serializers.DateTimeField(source="judgement.created_at")
    held = PlaceSerializer(many=True, source="places")


class SeenSerializer(serializers.Serializer[Seen]):
    """A model that has seen a judgement: how near it is, and by what it came to it.

    `model` is null where it is another project's that the reader may not see.
    """

    model = serializers.SerializerMethodField()
    relation = serializers.ChoiceField(choices=[relation.value for relation in Relation])
    by = serializers.SerializerMethodField()

    @extend_schema_field(ModelRefSerializer(allow_null=True))
    def get_model(self, seen: Seen) -> Any:
        """Return the model as far as the reader may know it."""
        known = self.context["sight"].knows(seen.model)
        return ModelRefSerializer(seen.model).data if known else None

    @extend_schema_field(EdgeSerializer(many=True))
    def get_by(self, seen: Seen) -> Any:
        """Return the edges to the models and snapshots by which it came to it, by their names."""
        name: Callable[[Any], str] = self.context["sight"].name
        made = name(seen.model)
        return [{"made": made, "of": name(thing), "kind": kind.value} for kind, thing in seen.by]


class JudgementLineageSerializer(serializers.Serializer[Spread]):
    """A judgement, the snapshots that hold it, and the models that have seen it, nearest first."""

    judgement = serializers.UUIDField(source="judgement.uid")
    held = PlaceSerializer(many=True)
    models = SeenSerializer(many=True)


class ModelLineageView(ApiView):
    """A model's family."""

    @extend_schema(operation_id="models_lineage", responses=answers(ModelLineageSerializer))
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """Read what a model was made of and what was made of it, as a graph."""
        project = self.project(slug, "model.view")
        model = get_model(project, pk)
        family = family_of(model)
        sight = Sight(self.actor, project)
        graph = graph_of(family, sight, model)
        behind = snapshots_by_relation(model, family)
        told = {
            "model": model,
            "key": model_key(model.pk),
            "nodes": graph.nodes,
            "edges": graph.edges,
            "judgements": [
                {
                    "relation": relation.value,
                    "judgements": judgements_in(project, behind, relation).count(),
                    "snapshots": [one.sha256 for one in behind[relation] if sight.reads(one)],
                }
                for relation in BEHIND
            ],
        }
        return Response(ModelLineageSerializer(told).data)


class ModelJudgementsView(PagedView):
    """The judgements in a model."""

    @extend_schema(
        operation_id="models_judgements",
        parameters=[
            OpenApiParameter("of", str, enum=[relation.value for relation in BEHIND]),
        ],
        responses=answers(JudgementInModelSerializer(many=True)),
    )
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """List the judgements of one relation (`of`, direct by default), newest first."""
        project = self.project(slug, "model.view")
        model = get_model(project, pk)
        relation = asked_relation(request.query_params.get("of", ""))
        behind = snapshots_by_relation(model, ancestors_of(model))
        paginator = self.pagination_class()
        rows = paginator.paginate_queryset(
            judgements_in(project, behind, relation), request, view=self
        )
        found: Any = listed(list(rows or ()), behind[relation])
        return paginator.get_paginated_response(JudgementInModelSerializer(found, many=True).data)


class JudgementLineageView(ApiView):
    """The models that have seen a judgement."""

    @extend_schema(operation_id="judgements_lineage", responses=answers(JudgementLineageSerializer))
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """Read which snapshots hold a judgement and which models have seen it, and how."""
        project = self.project(slug, "model.view")
        spread = spread_of(get_judgement(project, uid))
        context = {"sight": Sight(self.actor, project)}
        return Response(JudgementLineageSerializer(spread, context=context).data)
