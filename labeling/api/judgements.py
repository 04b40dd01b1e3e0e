"""One's own judgements, said anew; and the flags that judgements may hold."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import KEY_HEADER, ApiView, PagedView, answers, idempotency_key
from labeling.api.serializers import (
    CardSerializer,
    InputSerializer,
    JudgementSerializer,
    SaidInput,
)
from labeling.domain.rankings import Tiers, tiers_from_ranks
from labeling.exceptions import NotFound
from labeling.models import FlagSet, Judgement
from labeling.selectors.revisions import Said, own_judgement
from labeling.services.judgements import Submission, revise_judgement
from labeling.services.projects import publish_flag_set


class SaidSerializer(serializers.Serializer[Said]):
    """What was said, in the fields in which it is taken."""

    verdict = serializers.ChoiceField(choices=Judgement.Verdict.choices)
    tiers = serializers.SerializerMethodField()
    strength = serializers.IntegerField(allow_null=True)
    confidence = serializers.IntegerField(allow_null=True)
    comment = serializers.CharField()
    ratings = serializers.DictField(help_text="by position, written as a text")
    unrankable_reason = serializers.CharField()
    own_text = serializers.CharField()

    def get_tiers(self, said: Said) -> list[list[int]]:
        """Return the positions, best tier first; a written reply is position K."""
        ranks = [said.ranks[position] for position in sorted(said.ranks)]
        tiers: Tiers = tiers_from_ranks(ranks if said.own_rank is None else [*ranks, said.own_rank])
        return tiers


class OwnJudgementSerializer(serializers.Serializer[Any]):
    """A judgement of one's own with the card that it is of."""

    judgement = serializers.UUIDField(source="judgement_uid")
    made_at = serializers.DateTimeField()
    card = CardSerializer()
    said = SaidSerializer()
    has_older = serializers.BooleanField()


class FlagSerializer(InputSerializer):
    """A yes/no question asked of each candidate."""

    key = serializers.CharField(max_length=60)
    label = serializers.CharField(max_length=120)  # type: ignore[assignment]


class FlagSetSerializer(serializers.ModelSerializer[FlagSet]):
    """One version of a project's flags."""

    flags = FlagSerializer(many=True)

    class Meta:
        """Versions count up from 1."""

        model = FlagSet
        fields = ("version", "flags", "created_at")


class FlagSetInput(InputSerializer):
    """The next version's flags."""

    flags = FlagSerializer(many=True)


class OwnJudgementView(ApiView):
    """One's own last judgements, one by one."""

    @extend_schema(operation_id="own_judgements_read", responses=answers(OwnJudgementSerializer))
    def get(self, request: Request, slug: str, back: int) -> Response:
        """Read one's last judgement but `back` - 1, as far as fifty back."""
        project = self.project(slug, "judgement.make")
        found = own_judgement(self.actor, project, back=back)
        if found is None:
            raise NotFound("There is no judgement of yours further back.")
        return Response(OwnJudgementSerializer(found).data)


class RevisionView(ApiView):
    """A judgement that takes the place of an older one."""

    @extend_schema(
        operation_id="judgements_revise",
        parameters=[
            OpenApiParameter(KEY_HEADER, str, OpenApiParameter.HEADER, required=True),
        ],
        request=SaidInput,
        responses=answers(JudgementSerializer),
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Say anew what one's own judgement said; the old one is kept."""
        key = idempotency_key(request)
        given = SaidInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        judgement = revise_judgement(
            actor=self.actor,
            judgement_uid=uid,
            submission=Submission(touched=bool(said["tiers"]), **said),
            idempotency_key=key,
            origin=Judgement.Origin.API,
        )
        return Response(JudgementSerializer(judgement).data)


class FlagSetListView(PagedView):
    """All versions of a project's flags."""

    @extend_schema(operation_id="flag_sets_list", responses=answers(FlagSetSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the versions, newest first."""
        project = self.project(slug, "project.view")
        return self.page(
            FlagSet.objects.filter(project=project).order_by("-version"), FlagSetSerializer
        )

    @extend_schema(
        operation_id="flag_sets_publish",
        request=FlagSetInput,
        responses=answers(FlagSetSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Publish the next version; the same flags again are the version that is there."""
        project = self.project(slug, "project.configure")
        given = FlagSetInput(data=request.data)
        given.is_valid(raise_exception=True)
        flag_set = publish_flag_set(actor=self.actor, project=project, **given.validated_data)
        return Response(FlagSetSerializer(flag_set).data, status=201)
