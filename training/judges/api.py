"""AI judges over the API: made, asked, retired, and how they lean."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.serializers import InputSerializer
from training import tasks
from training.api.runs import model_named
from training.api.serializers import ModelRefSerializer
from training.configs import PRESETS
from training.judges.models import Judge, Judging
from training.judges.selectors import CHOICES, bias_of, get_judge, judges_of, judgings_of
from training.judges.services import (
    MAX_CRITERIA,
    MAX_NAME,
    ask_judge,
    create_judge,
    retire_judge,
)
from training.services.runs import MAX_SEED


class JudgeSerializer(serializers.ModelSerializer[Judge]):
    """An AI judge in a list."""

    model = ModelRefSerializer(allow_null=True)
    judgements = serializers.IntegerField(source="judgement_count")
    annotator = serializers.CharField(source="annotator.pseudonym")

    class Meta:
        """`annotator` is the pseudonym under which its judgements stand in exports."""

        model = Judge
        fields: tuple[str, ...] = (
            *("uid", "name", "version", "source", "style", "model", "annotator"),
            *("judgements", "is_archived", "created_at"),
        )


class BiasSerializer(serializers.Serializer[Any]):
    """Pairs by how much likelier a reply wins by standing first, in equal bins from -1 to 1."""

    bins = serializers.ListField(child=serializers.IntegerField())
    mean = serializers.FloatField()
    pairs = serializers.IntegerField()


class JudgingSerializer(serializers.ModelSerializer[Judging]):
    """What a judge was asked, and what came of it."""

    run = serializers.UUIDField(source="run.uid")
    state = serializers.CharField(source="run.state")
    comparisons = serializers.SerializerMethodField()

    class Meta:
        """`surplus_made` are those of the judgements that count for no overlap."""

        model = Judging
        fields = (*("run", "state", "comparisons", "judgements_made", "surplus_made", "left_out"),)

    def get_comparisons(self, judging: Judging) -> int:
        """Return about how many comparisons the judge was asked."""
        return len(judging.comparison_ids)


class JudgeDetailSerializer(JudgeSerializer):
    """A judge with what it is asked, how it leans, and its latest runs."""

    bias = serializers.SerializerMethodField()
    judgings = serializers.SerializerMethodField()

    class Meta(JudgeSerializer.Meta):
        """`bias` is null where no pair was asked in both orders."""

        fields = (
            *JudgeSerializer.Meta.fields,
            *("criteria", "config", "provenance", "bias", "judgings"),
        )

    @extend_schema_field(BiasSerializer(allow_null=True))
    def get_bias(self, judge: Judge) -> Any:
        """Return the position bias over all that was judged."""
        bias = bias_of(judge)
        return BiasSerializer(bias).data if bias else None

    @extend_schema_field(JudgingSerializer(many=True))
    def get_judgings(self, judge: Judge) -> Any:
        """Return the latest twenty runs."""
        return JudgingSerializer(judgings_of(judge)[:20], many=True).data


class JudgeInput(InputSerializer):
    """An AI judge to be made. `config` holds what differs from the preset."""

    name = serializers.CharField(max_length=MAX_NAME)
    # The name is the base class's own, of another meaning.
    source: Any = serializers.ChoiceField(choices=Judge.Source.choices, default=Judge.Source.MODEL)
    model = serializers.IntegerField(required=False, allow_null=True, default=None)
    criteria = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=MAX_CRITERIA
    )
    preset = serializers.ChoiceField(required=False, choices=list(PRESETS["judge"]))
    config = serializers.DictField(required=False, default=dict)


class AskInput(InputSerializer):
    """What a judge is asked about."""

    which = serializers.ChoiceField(choices=list(CHOICES))
    limit = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_SEED)


class JudgeListView(PagedView):
    """A project's AI judges."""

    @extend_schema(operation_id="judges_list", responses=answers(JudgeSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the judges, newest first, those that are retired last."""
        return self.page(judges_of(self.project(slug, "judge.view")), JudgeSerializer)

    @extend_schema(
        operation_id="judges_create",
        request=JudgeInput,
        responses=answers(JudgeDetailSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Make an AI judge, or the next version of one."""
        project = self.project(slug, "judge.run")
        given = JudgeInput(data=request.data)
        given.is_valid(raise_exception=True)
        told: dict[str, Any] = dict(given.validated_data)
        pk = told.pop("model")
        model = None if pk is None else model_named(project, pk, "model")
        preset = told.pop("preset", "")
        judge = create_judge(
            actor=self.actor, project=project, model=model, preset_name=preset, **told
        )
        shown = get_judge(project, judge.uid)
        return Response(JudgeDetailSerializer(shown).data, status=201)


class JudgeView(ApiView):
    """One AI judge."""

    @extend_schema(operation_id="judges_read", responses=answers(JudgeDetailSerializer))
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """Read a judge with how it leans and what it was asked."""
        judge = get_judge(self.project(slug, "judge.view"), uid)
        return Response(JudgeDetailSerializer(judge).data)


class AskView(ApiView):
    """What a judge is asked."""

    @extend_schema(
        operation_id="judges_ask", request=AskInput, responses=answers(JudgingSerializer, 201)
    )
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Let a judge rank comparisons that it has not judged."""
        project = self.project(slug, "judge.run")
        judge = get_judge(project, uid)
        given = AskInput(data=request.data)
        given.is_valid(raise_exception=True)
        run = ask_judge(actor=self.actor, project=project, judge=judge, **given.validated_data)
        transaction.on_commit(partial(tasks.ring, run.pk))
        judging = judgings_of(judge).get(run=run)
        return Response(JudgingSerializer(judging).data, status=201)


class RetireView(ApiView):
    """The end of a judge's work."""

    @extend_schema(
        operation_id="judges_retire", request=None, responses=answers(JudgeDetailSerializer)
    )
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Ask a judge nothing more; what it said stays."""
        project = self.project(slug, "judge.run")
        judge = retire_judge(actor=self.actor, judge=get_judge(project, uid))
        return Response(JudgeDetailSerializer(judge).data)
