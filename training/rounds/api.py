"""Rounds over the API: how the loop turns, rounds and what is asked of them, promotions."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.serializers import InputSerializer
from labeling.exceptions import InvalidInput
from labeling.language import said
from labeling.models import Project
from labeling.permissions import require
from training import tasks
from training.acquisition.selectors import arms_of
from training.api.serializers import ModelRefSerializer
from training.calibration.api import RoutedSerializer
from training.calibration.selectors import routed_in
from training.models import ModelVersion
from training.rounds.models import ProjectLoop, Promotion, Round, RoundStep
from training.rounds.selectors import (
    cost_of,
    get_round,
    labelling_of,
    loop_of,
    promotions_of,
    round_contest,
    rounds_of,
    standing_steps,
)
from training.rounds.services import (
    MOST_AHEAD,
    cancel_round,
    configure_loop,
    decide_round,
    pause_round,
    promote_model,
    redo_step,
    roll_back,
    start_round,
)
from training.selectors import usable_models


class LoopSerializer(serializers.Serializer[ProjectLoop]):
    """How a project's loop turns; `config` holds the fields of its YAML."""

    config = serializers.DictField()
    rounds_ahead = serializers.IntegerField(min_value=0, default=0)


class LoopInput(InputSerializer):
    """How the loop is to turn; fields that are left out take their defaults.

    Without `rounds_ahead` their number stays; only who may start rounds changes it.
    """

    config = serializers.DictField()
    rounds_ahead = serializers.IntegerField(min_value=0, max_value=MOST_AHEAD, required=False)


class RoundSerializer(serializers.ModelSerializer[Round]):
    """A round in a list."""

    policy = ModelRefSerializer()
    problem = serializers.SerializerMethodField()

    class Meta:
        """`policy` is what was current when the round began."""

        model = Round
        fields: tuple[str, ...] = (
            *("number", "state", "is_paused", "problem", "policy", "seed"),
            *("created_at", "labelling_since", "ended_at"),
        )

    def get_problem(self, round: Round) -> str:
        """Return why the round can't go on by itself; empty where it can."""
        return said(round.problem, round.problem_parts)


class StepSerializer(serializers.Serializer[RoundStep]):
    """What one step made: a run, or a snapshot."""

    kind = serializers.CharField()
    run = serializers.UUIDField(source="run.uid", default=None)
    run_state = serializers.CharField(source="run.state", default=None)
    snapshot = serializers.IntegerField(source="snapshot.number", default=None)


class LabellingSerializer(serializers.Serializer[Any]):
    """How far the comparisons are judged; `wanted` closed ones let the round go on."""

    comparisons = serializers.IntegerField()
    closed = serializers.IntegerField()
    wanted = serializers.IntegerField()


class ArmSerializer(serializers.Serializer[Any]):
    """What one arm chose of the comparisons: a strategy, or chance (random), their control."""

    name = serializers.CharField()
    comparisons = serializers.IntegerField()
    closed = serializers.IntegerField()


class CostSerializer(serializers.Serializer[Any]):
    """What the round took, times in seconds; `judgements` are those of people."""

    judgements = serializers.IntegerField()
    ai_judgements = serializers.IntegerField()
    active_s = serializers.FloatField()
    computed_s = serializers.FloatField()


class RoundDetailSerializer(RoundSerializer):
    """A round with what it made, how far its labels are and what it took."""

    config = serializers.DictField()
    contest = serializers.SerializerMethodField()
    steps = serializers.SerializerMethodField()
    labelling = serializers.SerializerMethodField()
    arms = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField()
    routed = serializers.SerializerMethodField()

    class Meta(RoundSerializer.Meta):
        """`config` is the loop as it was when the round began."""

        fields = (
            *RoundSerializer.Meta.fields,
            "contest",
            "config",
            "steps",
            "labelling",
            "arms",
            "cost",
            "routed",
        )

    @extend_schema_field(StepSerializer(many=True))
    def get_steps(self, round: Round) -> Any:
        """Return the steps that no redoing superseded, oldest first."""
        rows: Any = standing_steps(round)
        return StepSerializer(rows, many=True).data

    @extend_schema_field(LabellingSerializer)
    def get_labelling(self, round: Round) -> Any:
        """Return how far the round's comparisons are judged."""
        share = loop_of(round).config.judged_share
        return LabellingSerializer(labelling_of(round, share)).data

    @extend_schema_field(ArmSerializer(many=True))
    def get_arms(self, round: Round) -> Any:
        """Return how many comparisons each arm chose, chance first."""
        return ArmSerializer(arms_of(round), many=True).data

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_contest(self, round: Round) -> int | None:
        """Return the number of the contest of its policies; null where there is none."""
        contest = round_contest(round)
        return contest.number if contest else None

    @extend_schema_field(CostSerializer)
    def get_cost(self, round: Round) -> Any:
        """Return what the round took so far."""
        return CostSerializer(cost_of(round)).data

    @extend_schema_field(RoutedSerializer(many=True))
    def get_routed(self, round: Round) -> Any:
        """Return what AI judges left to people in this round, by reason."""
        rows: Any = routed_in(round)
        return RoutedSerializer(rows, many=True).data


class StartInput(InputSerializer):
    """How a round begins; its seed is its number where none is given."""

    seed = serializers.IntegerField(min_value=0, allow_null=True, default=None)


class RedoInput(InputSerializer):
    """Which step is made anew."""

    step = serializers.ChoiceField(choices=RoundStep.Kind.choices)


class DecideInput(InputSerializer):
    """Whether the round's policy takes over, and why."""

    promote = serializers.BooleanField()
    note = serializers.CharField(max_length=500, default="", allow_blank=True)


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    """A policy that became the current one; the newest row is current."""

    model = ModelRefSerializer()
    round = serializers.IntegerField(source="round.number", default=None)

    class Meta:
        """`round` is the number of the round that made it, null for another one."""

        model = Promotion
        fields = ("model", "round", "is_rollback", "note", "created_at")


class PromotionInput(InputSerializer):
    """Which policy is to be the current one, and why."""

    model = serializers.IntegerField(min_value=1)
    note = serializers.CharField(max_length=500, default="", allow_blank=True)


class LoopView(ApiView):
    """How a project's loop turns."""

    @extend_schema(operation_id="loop_read", responses=answers(LoopSerializer))
    def get(self, request: Request, slug: str) -> Response:
        """Read the loop; an empty config where nobody has said yet how it turns."""
        project = self.project(slug, "round.view")
        row = ProjectLoop.objects.filter(project=project).first()
        return Response(LoopSerializer(row or ProjectLoop(project=project)).data)

    @extend_schema(operation_id="loop_set", request=LoopInput, responses=answers(LoopSerializer))
    def put(self, request: Request, slug: str) -> Response:
        """Say how the loop turns from its next round on."""
        project = self.project(slug, "loop.configure")
        given = LoopInput(data=request.data)
        given.is_valid(raise_exception=True)
        if "rounds_ahead" in given.validated_data:
            require(self.actor, "round.run", project)
        row = configure_loop(actor=self.actor, project=project, **given.validated_data)
        return Response(LoopSerializer(row).data)


class RoundListView(PagedView):
    """A project's rounds."""

    @extend_schema(operation_id="rounds_list", responses=answers(RoundSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the rounds, newest first."""
        return self.page(rounds_of(self.project(slug, "round.view")), RoundSerializer)

    @extend_schema(
        operation_id="rounds_start",
        request=StartInput,
        responses=answers(RoundDetailSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Start the next round."""
        project = self.project(slug, "round.run")
        given = StartInput(data=request.data)
        given.is_valid(raise_exception=True)
        round = start_round(actor=self.actor, project=project, **given.validated_data)
        return _told(project, round, 201)


def _told(project: Project, round: Round, status: int = 200) -> Response:
    """Let the rounds go on, and show one."""
    transaction.on_commit(tasks.ring_rounds)
    shown = get_round(project, round.number)
    return Response(RoundDetailSerializer(shown).data, status=status)


class RoundView(ApiView):
    """One round."""

    @extend_schema(operation_id="rounds_read", responses=answers(RoundDetailSerializer))
    def get(self, request: Request, slug: str, number: int) -> Response:
        """Read where a round stands, what it made and what it took."""
        round = get_round(self.project(slug, "round.view"), number)
        return Response(RoundDetailSerializer(round).data)


class _DeedView(ApiView):
    def ask(self, slug: str, number: int, deed: Any, **how: Any) -> Response:
        """Do something to a round, and show how it stands then."""
        project = self.project(slug, "round.run")
        round = get_round(project, number)
        deed(actor=self.actor, round=round, **how)
        return _told(project, round)


class PauseView(_DeedView):
    """A round that rests."""

    @extend_schema(
        operation_id="rounds_pause", request=None, responses=answers(RoundDetailSerializer)
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Let a round rest where it stands; its runs work on to their end."""
        return self.ask(slug, number, pause_round)


class GoOnView(_DeedView):
    """A round that goes on."""

    @extend_schema(
        operation_id="rounds_go_on", request=None, responses=answers(RoundDetailSerializer)
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Let a paused round go on."""
        return self.ask(slug, number, pause_round, paused=False)


class RoundCancelView(_DeedView):
    """The end of a round, for good."""

    @extend_schema(
        operation_id="rounds_cancel", request=None, responses=answers(RoundDetailSerializer)
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Cancel a round and its live runs; what it made stays."""
        return self.ask(slug, number, cancel_round)


class RedoView(_DeedView):
    """A step made anew."""

    @extend_schema(
        operation_id="rounds_redo", request=RedoInput, responses=answers(RoundDetailSerializer)
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Go back to a step; what came after it is made anew too."""
        given = RedoInput(data=request.data)
        given.is_valid(raise_exception=True)
        return self.ask(slug, number, redo_step, kind=given.validated_data["step"])


class DecideView(_DeedView):
    """A round's end."""

    @extend_schema(
        operation_id="rounds_decide", request=DecideInput, responses=answers(RoundDetailSerializer)
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Promote the round's policy, or keep the current one."""
        given = DecideInput(data=request.data)
        given.is_valid(raise_exception=True)
        return self.ask(slug, number, decide_round, **given.validated_data)


class PromotionListView(PagedView):
    """What was, and is, a project's current policy."""

    @extend_schema(
        operation_id="promotions_list", responses=answers(PromotionSerializer(many=True))
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the promotions, newest first: the first is the current policy."""
        return self.page(promotions_of(self.project(slug, "round.view")), PromotionSerializer)

    @extend_schema(
        operation_id="promotions_create",
        request=PromotionInput,
        responses=answers(PromotionSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Make a policy the current one."""
        project = self.project(slug, "round.run")
        given = PromotionInput(data=request.data)
        given.is_valid(raise_exception=True)
        pk, note = given.validated_data["model"], given.validated_data["note"]
        model = usable_models(project, [ModelVersion.Kind.POLICY]).filter(pk=pk).first()
        if model is None:
            text = _("{pk} is no policy of this project, nor shared with it.").format(pk=pk)
            raise InvalidInput(
                _("There is no such policy in this project."), errors={"model": [text]}
            )
        row = promote_model(actor=self.actor, project=project, model=model, note=note)
        return Response(PromotionSerializer(row).data, status=201)


class RollBackView(ApiView):
    """The way back to the policy before."""

    @extend_schema(
        operation_id="promotions_roll_back",
        request=None,
        responses=answers(PromotionSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Make the policy before the current one current again."""
        row = roll_back(actor=self.actor, project=self.project(slug, "round.run"))
        return Response(PromotionSerializer(row).data, status=201)
