"""Writing demonstrations: claim, submit, skip, renew."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import KEY_HEADER, ApiView, answers, idempotency_key
from labeling.api.serializers import (
    CardMessageSerializer,
    InputSerializer,
    LeaseSerializer,
    SkipInput,
)
from labeling.models import Judgement
from labeling.services.demonstrations import (
    Writing,
    submit_and_claim_writing,
    submit_demonstration,
)
from labeling.services.writing import (
    MAX_CHARACTERS,
    claim_writing,
    renew_writing,
    skip_writing,
)


class WritingCardSerializer(serializers.Serializer[Any]):
    """A prompt to write a reply to, leased until `expires_at`."""

    assignment = serializers.UUIDField(source="assignment_uid")
    messages = CardMessageSerializer(many=True)
    expires_at = serializers.DateTimeField()
    guideline_version = serializers.IntegerField()
    draft = serializers.CharField()
    done_today = serializers.IntegerField()
    left = serializers.IntegerField(help_text="replies that the project still wants")


class DemonstrationInput(InputSerializer):
    """A reply, as Markdown."""

    text = serializers.CharField(max_length=MAX_CHARACTERS, trim_whitespace=False)
    active_ms = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=2**31 - 1
    )
    next = serializers.BooleanField(
        default=False, help_text="lease the next prompt in the same answer"
    )


class DemonstrationSerializer(serializers.Serializer[Any]):
    """The acknowledgement of a reply."""

    assignment = serializers.UUIDField(source="assignment.uid")
    surplus = serializers.BooleanField(help_text="came when enough were written; kept")
    created_at = serializers.DateTimeField()


class WrittenSerializer(serializers.Serializer[Any]):
    """The acknowledgement, and the next prompt where it was asked for and there is one."""

    demonstration = DemonstrationSerializer()
    next = WritingCardSerializer(allow_null=True)


class WritingNextView(ApiView):
    """The writing queue's next prompt."""

    @extend_schema(
        operation_id="writing_next",
        request=None,
        responses=answers(WritingCardSerializer) | {"204": None},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Lease the next prompt, or get the open lease again; 204 when nothing is left."""
        card = claim_writing(actor=self.actor, project=self.project(slug, "judgement.make"))
        if card is None:
            return Response(status=204)
        return Response(WritingCardSerializer(card).data)


class DemonstrationView(ApiView):
    """The reply that ends an assignment."""

    @extend_schema(
        operation_id="writing_submit",
        parameters=[OpenApiParameter(KEY_HEADER, str, OpenApiParameter.HEADER, required=True)],
        request=DemonstrationInput,
        responses=answers(WrittenSerializer),
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Submit a reply; the same key and text again give the same demonstration."""
        key = idempotency_key(request)
        given = DemonstrationInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        wants_next = said.pop("next")
        writing = Writing(idempotency_key=key, origin=Judgement.Origin.API, **said)
        if wants_next:
            written, card = submit_and_claim_writing(
                actor=self.actor, assignment_uid=uid, writing=writing
            )
        else:
            written, card = (
                submit_demonstration(actor=self.actor, assignment_uid=uid, writing=writing),
                None,
            )
        return Response(WrittenSerializer({"demonstration": written, "next": card}).data)


class WritingSkipView(ApiView):
    """Giving a prompt back."""

    @extend_schema(operation_id="writing_skip", request=SkipInput, responses=answers(None, 204))
    def post(self, request: Request, uid: UUID) -> Response:
        """Skip, with a reason; the prompt does not come back to whoever skipped it."""
        given = SkipInput(data=request.data)
        given.is_valid(raise_exception=True)
        skip_writing(actor=self.actor, assignment_uid=uid, **given.validated_data)
        return Response(status=204)


class WritingRenewView(ApiView):
    """A sign of life."""

    @extend_schema(operation_id="writing_renew", request=None, responses=answers(LeaseSerializer))
    def post(self, request: Request, uid: UUID) -> Response:
        """Put off the end of a lease."""
        expires_at = renew_writing(actor=self.actor, assignment_uid=uid)
        return Response(LeaseSerializer({"expires_at": expires_at}).data)
