"""Contests over the API: open one, read what people said, end it."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.serializers import InputSerializer
from labeling.exceptions import InvalidInput
from training.api.serializers import ModelRefSerializer
from training.contests.models import Contest
from training.contests.selectors import (
    asked_in,
    contestable_evaluations,
    contests_of,
    figures_now,
    get_contest,
)
from training.contests.services import MOST_PAIRS, open_contest, withdraw_contest
from training.services.sampling import MAX_OVERLAP


class ContestSerializer(serializers.ModelSerializer[Contest]):
    """A contest in a list; `evaluation` is the run whose replies are compared."""

    policy = ModelRefSerializer()
    baseline = ModelRefSerializer()
    evaluation = serializers.UUIDField(source="run.uid")

    class Meta:
        """`state` is open, decided, used_up or withdrawn."""

        model = Contest
        fields: tuple[str, ...] = (
            *("number", "state", "policy", "baseline", "evaluation", "most", "indifference"),
            *("overlap", "priority", "left_out", "created_at", "ended_at"),
        )


class RateSerializer(serializers.Serializer[Any]):
    """A win rate of the policy, a tie half won, with its 95 % interval."""

    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class ContestFiguresSerializer(serializers.Serializer[Any]):
    """What people said. `rate` has an interval that holds at all times; the other is for one time.

    `outcome` is policy, baseline, alike, or empty. `same` are ties known without asking.
    """

    pairs = serializers.IntegerField()
    won = serializers.IntegerField()
    lost = serializers.IntegerField()
    tied = serializers.IntegerField()
    same = serializers.IntegerField()
    both_bad = serializers.IntegerField()
    judgements = serializers.IntegerField()
    active_s = serializers.FloatField()
    rate = RateSerializer()
    at_equal_length = RateSerializer(allow_null=True)
    outcome = serializers.CharField()


class ContestAskedPairsSerializer(serializers.Serializer[Any]):
    """How far a contest is."""

    pairs = serializers.IntegerField()
    comparisons = serializers.IntegerField()
    closed = serializers.IntegerField()
    open = serializers.IntegerField()


class ContestDetailSerializer(ContestSerializer):
    """A contest with what people said so far."""

    figures = serializers.SerializerMethodField()
    asked = serializers.SerializerMethodField()

    class Meta(ContestSerializer.Meta):
        """Both are those of now; an ended contest keeps the figures it ended with."""

        fields = (*ContestSerializer.Meta.fields, "figures", "asked")

    @extend_schema_field(ContestFiguresSerializer)
    def get_figures(self, contest: Contest) -> Any:
        """Return what people said."""
        return ContestFiguresSerializer(figures_now(contest)).data

    @extend_schema_field(ContestAskedPairsSerializer)
    def get_asked(self, contest: Contest) -> Any:
        """Return how far it is."""
        return ContestAskedPairsSerializer(asked_in(contest)).data


class ContestInput(InputSerializer):
    """Whose replies people compare: an evaluation run's, against its baseline's."""

    evaluation = serializers.UUIDField()
    most = serializers.IntegerField(min_value=1, max_value=MOST_PAIRS, default=200)
    indifference = serializers.FloatField(min_value=0, max_value=0.49, default=0.0)
    overlap = serializers.IntegerField(min_value=1, max_value=MAX_OVERLAP, default=1)
    priority = serializers.IntegerField(min_value=-100, max_value=100, default=1)


class ContestListView(PagedView):
    """A project's contests."""

    @extend_schema(operation_id="contests_list", responses=answers(ContestSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the contests, newest first."""
        return self.page(contests_of(self.project(slug, "round.view")), ContestSerializer)

    @extend_schema(
        operation_id="contests_open",
        request=ContestInput,
        responses=answers(ContestDetailSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask people, blind and in the queue, which policy's replies are better."""
        project = self.project(slug, "round.run")
        given = ContestInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        uid = said.pop("evaluation")
        found = contestable_evaluations(project).filter(run__uid=uid).first()
        if found is None:
            text = _("{uid} is no finished evaluation against a baseline that nobody compared yet.")
            raise InvalidInput(
                _("People can't be asked about these replies."),
                errors={"evaluation": [text.format(uid=uid)]},
            )
        contest = open_contest(actor=self.actor, project=project, run=found.run, **said)
        return Response(ContestDetailSerializer(contest).data, status=201)


class ContestView(ApiView):
    """One contest."""

    @extend_schema(operation_id="contests_read", responses=answers(ContestDetailSerializer))
    def get(self, request: Request, slug: str, number: int) -> Response:
        """Read what people said so far."""
        contest = get_contest(self.project(slug, "round.view"), number)
        return Response(ContestDetailSerializer(contest).data)


class ContestEndView(ApiView):
    """The end of a contest by hand."""

    @extend_schema(
        operation_id="contests_end", request=None, responses=answers(ContestDetailSerializer)
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Ask nobody any more; what was said stays, with its figures."""
        contest = get_contest(self.project(slug, "round.run"), number)
        ended = withdraw_contest(actor=self.actor, contest=contest)
        return Response(ContestDetailSerializer(ended).data)
