"""Judging: claim, submit, skip, renew."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import HIDDEN, KEY_HEADER, ApiView, answers, idempotency_key
from labeling.api.serializers import (
    CardSerializer,
    JudgedSerializer,
    JudgementInput,
    LeaseSerializer,
    SkipInput,
)
from labeling.exceptions import NotFound
from labeling.models import Judgement, Project, User
from labeling.services.assignments import claim_next, renew_lease, skip_assignment
from labeling.services.judgements import Submission, submit_and_claim, submit_judgement


def _project_of_assignment(user: User, uid: UUID) -> Project:
    """Return the project in which the account holds the assignment.

    Raises NotFound for anybody else's.
    """
    own = Project.objects.filter(annotators__user=user, annotators__assignments__uid=uid)
    project = own.first()
    if project is None:
        raise NotFound(HIDDEN)
    return project


class NextView(ApiView):
    """The queue's next comparison."""

    @extend_schema(
        operation_id="assignments_next",
        request=None,
        responses=answers(CardSerializer) | {"204": None},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Lease the next comparison, or get the open lease again; 204 when nothing is left."""
        card = claim_next(actor=self.actor, project=self.project(slug, "judgement.make"))
        if card is None:
            return Response(status=204)
        return Response(CardSerializer(card).data)


class JudgementView(ApiView):
    """The judgement that ends an assignment."""

    @extend_schema(
        operation_id="assignments_judge",
        parameters=[
            OpenApiParameter(KEY_HEADER, str, OpenApiParameter.HEADER, required=True),
        ],
        request=JudgementInput,
        responses=answers(JudgedSerializer),
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Submit a ranking by positions; the same key and body again give the same judgement."""
        key = idempotency_key(request)
        given = JudgementInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        wants_next = said.pop("next")
        # Whoever sends tiers has placed the candidates: there is no untouched order here.
        submit: dict[str, Any] = {
            "actor": self.actor,
            "assignment_uid": uid,
            "submission": Submission(touched=bool(said["tiers"]), **said),
            "idempotency_key": key,
            "origin": Judgement.Origin.API,
        }
        if wants_next:
            project = _project_of_assignment(self.actor, uid)
            judgement, card = submit_and_claim(project=project, **submit)
        else:
            judgement, card = submit_judgement(**submit), None
        return Response(JudgedSerializer({"judgement": judgement, "next": card}).data)


class SkipView(ApiView):
    """Giving a comparison back."""

    @extend_schema(operation_id="assignments_skip", request=SkipInput, responses=answers(None, 204))
    def post(self, request: Request, uid: UUID) -> Response:
        """Skip, with a reason; the comparison does not come back to whoever skipped it."""
        given = SkipInput(data=request.data)
        given.is_valid(raise_exception=True)
        skip_assignment(actor=self.actor, assignment_uid=uid, **given.validated_data)
        return Response(status=204)


class RenewView(ApiView):
    """A sign of life."""

    @extend_schema(
        operation_id="assignments_renew", request=None, responses=answers(LeaseSerializer)
    )
    def post(self, request: Request, uid: UUID) -> Response:
        """Put off the end of a lease."""
        expires_at = renew_lease(actor=self.actor, assignment_uid=uid)
        return Response(LeaseSerializer({"expires_at": expires_at}).data)
