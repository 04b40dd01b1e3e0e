"""Calibration over the API: a judge held against people, shared samples, what goes to people."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, answers
from labeling.api.quality_serializers import ShareSerializer
from labeling.api.serializers import InputSerializer
from labeling.services.more_people import MOST_PEOPLE
from training import tasks
from training.api.compare_serializers import EstimateSerializer
from training.calibration.models import RoutedComparison, SharedSample
from training.calibration.selectors import Calibration, calibration_of, routed_by, samples_of
from training.calibration.services import MOST_SHARED, draw_shared_sample, route_to_people
from training.judges.selectors import get_judge
from training.services.runs import MAX_SEED


class SideSerializer(serializers.Serializer[Any]):
    """The judge's agreement with people beside people's own; null where too few pairs tell it."""

    name = serializers.CharField(allow_blank=True)
    judge = ShareSerializer(allow_null=True)
    people = ShareSerializer(allow_null=True)


class BinSerializer(serializers.Serializer[Any]):
    """Pairs of about one certainty, and how often people said the same; a tie counts half."""

    low = serializers.FloatField()
    high = serializers.FloatField()
    certainty = serializers.FloatField()
    agreed = ShareSerializer()


class SampleSerializer(serializers.ModelSerializer[SharedSample]):
    """A shared sample: how many comparisons it holds, and how many are judged and closed."""

    size = serializers.IntegerField()
    judged = serializers.IntegerField()
    closed = serializers.IntegerField()

    class Meta:
        """`judged` by the AI judge; `closed` once people have said enough."""

        model = SharedSample
        fields = ("id", "people", "seed", "size", "judged", "closed", "created_at")


class RoutedSerializer(serializers.Serializer[Any]):
    """Comparisons that went to people for one reason, and how many people have judged."""

    reason = serializers.ChoiceField(choices=RoutedComparison.Reason.choices)
    topic = serializers.CharField(allow_blank=True)
    comparisons = serializers.IntegerField()
    judged = serializers.IntegerField()


class CalibrationSerializer(serializers.Serializer[Calibration]):
    """A judge held against people.

    `on_shared` where people's own agreement is that on the comparisons which the judge judged too.
    """

    comparisons = serializers.IntegerField(source="figures.comparisons")
    on_shared = serializers.BooleanField()
    overall = SideSerializer(source="figures.overall")
    topics = SideSerializer(source="figures.topics", many=True)
    gaps = SideSerializer(source="figures.gaps", many=True)
    weak_topics = serializers.SerializerMethodField()
    reliability = BinSerializer(source="figures.bins", many=True)
    calibration_error = serializers.FloatField(source="figures.error", allow_null=True)
    lean = EstimateSerializer(source="figures.lean", allow_null=True)
    consistent = ShareSerializer(source="figures.consistent", allow_null=True)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_weak_topics(self, calibration: Calibration) -> list[str]:
        """Return the topics on which the judge agrees less than people do."""
        return sorted(calibration.weak)


class CalibrationDetailSerializer(serializers.Serializer[Any]):
    """A judge's calibration, with its newest samples and what went to people."""

    calibration = CalibrationSerializer()
    samples = SampleSerializer(many=True)
    routed = RoutedSerializer(many=True)


class SampleInput(InputSerializer):
    """How many comparisons are to be shared, with how many people each."""

    count = serializers.IntegerField(min_value=1, max_value=MOST_SHARED)
    people = serializers.IntegerField(min_value=1, max_value=MOST_PEOPLE, default=2)
    seed = serializers.IntegerField(min_value=0, max_value=MAX_SEED, default=0)


class RouteInput(InputSerializer):
    """When a comparison goes to people."""

    least_certainty = serializers.FloatField(min_value=0.5, max_value=1.0, default=0.5)
    weak_topics = serializers.BooleanField(default=True)


class RoutedAnswerSerializer(serializers.Serializer[Any]):
    """How many comparisons went to people now."""

    comparisons = serializers.IntegerField()


class CalibrationView(ApiView):
    """A judge held against people."""

    @extend_schema(
        operation_id="judges_calibration", responses=answers(CalibrationDetailSerializer)
    )
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """Read how far an AI judge says what people say, by topic and rank gap."""
        judge = get_judge(self.project(slug, "quality.view"), uid)
        told = {
            "calibration": calibration_of(judge.annotator),
            "samples": samples_of(judge.annotator),
            "routed": routed_by(judge.annotator),
        }
        return Response(CalibrationDetailSerializer(told).data)


class SharedSampleView(ApiView):
    """Comparisons that a judge and people share."""

    @extend_schema(
        operation_id="judges_sample",
        request=SampleInput,
        responses=answers(SampleSerializer, 201),
    )
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Draw comparisons, evenly by tag, and ask both the judge and people of them."""
        project = self.project(slug, "judge.run")
        judge = get_judge(project, uid)
        given = SampleInput(data=request.data)
        given.is_valid(raise_exception=True)
        drawn = draw_shared_sample(
            actor=self.actor, project=project, judge=judge, **given.validated_data
        )
        if drawn.run and drawn.run.is_live:
            transaction.on_commit(partial(tasks.ring, drawn.run.pk))
        rows = {sample.pk: sample for sample in samples_of(judge.annotator)}
        return Response(SampleSerializer(rows[drawn.sample.pk]).data, status=201)


class RouteView(ApiView):
    """What a judge leaves to people."""

    @extend_schema(
        operation_id="judges_route", request=RouteInput, responses=answers(RoutedAnswerSerializer)
    )
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Let people judge what the judge is unsure of or known to be weak on."""
        judge = get_judge(self.project(slug, "judge.run"), uid)
        given = RouteInput(data=request.data)
        given.is_valid(raise_exception=True)
        made = route_to_people(actor=self.actor, annotator=judge.annotator, **given.validated_data)
        return Response(RoutedAnswerSerializer({"comparisons": len(made)}).data)
