"""A round's report over the API."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, answers
from training.rounds.report_reading import round_report
from training.rounds.selectors import get_round


class VerdictSerializer(serializers.Serializer[Any]):
    """What one kind of judge says: people, judge (an AI judge), reward, or gold."""

    by = serializers.CharField()
    rate = serializers.DictField()
    at_equal_length = serializers.DictField(allow_null=True)


class RoundReportSerializer(serializers.Serializer[Any]):
    """What a round came to. Rates are the new policy's wins, a tie half won, with their intervals.

    `answer` is better, worse, unsure, or empty; `exploits` names whose word says that the reward
    model is over-optimized.
    """

    project = serializers.CharField()
    number = serializers.IntegerField()
    state = serializers.CharField()
    policy = serializers.CharField()
    baseline = serializers.CharField()
    was_promoted = serializers.BooleanField()
    started = serializers.CharField()
    ended = serializers.CharField()
    answer = serializers.CharField()
    answered_by = serializers.CharField()
    split = serializers.CharField()
    prompts = serializers.IntegerField()
    verdicts = VerdictSerializer(many=True)
    slices = serializers.ListField(child=serializers.DictField())
    examples = serializers.ListField(child=serializers.DictField())
    examples_wait = serializers.BooleanField()
    figures = serializers.ListField(child=serializers.DictField())
    best_of = serializers.ListField(child=serializers.DictField())
    exploits = serializers.ListField(child=serializers.CharField())
    spent = serializers.DictField()
    per_point = serializers.DictField(allow_null=True)
    arms = serializers.ListField(child=serializers.DictField())
    turns = serializers.ListField(child=serializers.DictField())
    made = serializers.ListField(child=serializers.DictField())


class RoundReportView(ApiView):
    """What a round came to."""

    @extend_schema(operation_id="rounds_report", responses=answers(RoundReportSerializer))
    def get(self, request: Request, slug: str, number: int) -> Response:
        """Read whether a round helped, where it did harm, and what it cost."""
        round = get_round(self.project(slug, "round.view"), number)
        return Response(round_report(round).to_json())
