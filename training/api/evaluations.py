"""Evaluations: start one, and read what was measured."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.models import Project
from training.api.runs import model_named, queued
from training.api.serializers import EvaluationInput, RunDetailSerializer, RunSerializer
from training.models import ModelVersion
from training.selectors import get_run, runs_of
from training.services.evaluations import create_evaluation

_OTHERS = ("reference", "baseline", "judge")


class EvaluationListView(PagedView):
    """A project's evaluations."""

    @extend_schema(operation_id="evaluations_list", responses=answers(RunSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the evaluations, newest first."""
        rows = runs_of(self.project(slug, "run.view")).filter(evaluation__isnull=False)
        return self.page(rows, RunSerializer)

    @extend_schema(
        operation_id="evaluations_create",
        request=EvaluationInput,
        responses=answers(RunDetailSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Queue a run that measures a policy on held-out prompts."""
        project = self.project(slug, "model.sample")
        given = EvaluationInput(data=request.data)
        given.is_valid(raise_exception=True)
        said: dict[str, Any] = dict(given.validated_data)
        others: dict[str, Any] = {name: _maybe(project, said.pop(name), name) for name in _OTHERS}
        run = create_evaluation(
            actor=self.actor,
            project=project,
            policy=model_named(project, said.pop("policy"), "policy"),
            reward_model=model_named(project, said.pop("reward_model"), "reward_model"),
            preset_name=said.pop("preset", ""),
            **others,
            **said,
        )
        return queued(project, run)


def _maybe(project: Project, pk: int | None, field: str) -> ModelVersion | None:
    return None if pk is None else model_named(project, pk, field)


class EvaluationView(ApiView):
    """One evaluation."""

    @extend_schema(operation_id="evaluations_read", responses=answers(RunDetailSerializer))
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """Read an evaluation; its figures stand in the result."""
        project = self.project(slug, "run.view")
        return Response(RunDetailSerializer(get_run(project, uid)).data)
