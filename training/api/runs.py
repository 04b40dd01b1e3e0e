"""Runs: recipes, start, read, measure, stop, cancel, resume; and sampling runs."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.exceptions import InvalidInput
from labeling.models import Project, Snapshot
from training import tasks
from training.api.serializers import (
    MetricSerializer,
    RecipeSerializer,
    RunDetailSerializer,
    RunInput,
    RunSerializer,
    SamplingInput,
)
from training.configs import PRESETS, RECIPES, field_specs
from training.inputs import INPUTS
from training.models import ModelVersion, TrainingRun
from training.selectors import get_run, metrics_of, runs_of, usable_models
from training.services.runs import create_run, request_cancel, request_stop, resume_run
from training.services.sampling import create_sampling_run


class RecipeListView(ApiView):
    """What can be run."""

    @extend_schema(operation_id="recipes_list", responses=answers(RecipeSerializer(many=True)))
    def get(self, request: Request) -> Response:
        """List the recipes with their options and presets."""
        rows = [
            {
                "name": name,
                "snapshot_kind": INPUTS[name].snapshot_kind if name in INPUTS else None,
                "options": field_specs(name),
                "presets": PRESETS[name],
            }
            for name in RECIPES
        ]
        return Response(RecipeSerializer(rows, many=True).data)


def snapshot_numbered(project: Project, number: int) -> Snapshot:
    """Return a snapshot of the project. Raises InvalidInput."""
    snapshot = Snapshot.objects.filter(project=project, number=number).first()
    if snapshot is None:
        raise InvalidInput(
            "There is no such snapshot.",
            errors={"snapshot": [f"{number} is none of this project."]},
        )
    return snapshot


def model_named(project: Project, pk: int, field: str) -> ModelVersion:
    """Return a model that the project may use. Raises InvalidInput, naming the field."""
    model = usable_models(project).filter(pk=pk).first()
    if model is None:
        text = f"{pk} is none of this project, nor shared with it."
        raise InvalidInput("There is no such model.", errors={field: [text]})
    return model


class RunListView(PagedView):
    """A project's runs."""

    @extend_schema(operation_id="runs_list", responses=answers(RunSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the runs, newest first, those of sampling among them."""
        return self.page(runs_of(self.project(slug, "run.view")), RunSerializer)

    @extend_schema(
        operation_id="runs_create", request=RunInput, responses=answers(RunDetailSerializer, 201)
    )
    def post(self, request: Request, slug: str) -> Response:
        """Queue a training run."""
        project = self.project(slug, "run.start")
        given = RunInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        base, reward, number = said["base_model"], said["reward_model"], said["snapshot"]
        run = create_run(
            actor=self.actor,
            project=project,
            recipe=said["recipe"],
            snapshot=None if number is None else snapshot_numbered(project, number),
            base_model=None if base is None else model_named(project, base, "base_model"),
            config=said["config"],
            preset_name=said["preset"],
            seed=said["seed"],
            name=said["name"],
            reward_model=None if reward is None else model_named(project, reward, "reward_model"),
            tags=said["tags"],
            exclude_tags=said["exclude_tags"],
            limit=said["limit"],
        )
        return queued(project, run)


def queued(project: Project, run: TrainingRun) -> Response:
    """Ring for a new run, and show it."""
    transaction.on_commit(partial(tasks.ring, run.pk))
    return Response(RunDetailSerializer(get_run(project, run.uid)).data, status=201)


class RunView(ApiView):
    """One run."""

    @extend_schema(operation_id="runs_read", responses=answers(RunDetailSerializer))
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """Read a run with its config, its attempts and the end of its log."""
        project = self.project(slug, "run.view")
        return Response(RunDetailSerializer(get_run(project, uid)).data)


class MetricListView(PagedView):
    """What a run measured."""

    @extend_schema(operation_id="metrics_list", responses=answers(MetricSerializer(many=True)))
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """List the measured rows in the order of their steps."""
        project = self.project(slug, "run.view")
        return self.page(metrics_of(get_run(project, uid)), MetricSerializer)


class _DeedView(ApiView):
    """Something asked of a run."""

    def ask(self, slug: str, uid: UUID, deed: Callable[..., TrainingRun]) -> Response:
        """Do it, and show the run as it stands then."""
        project = self.project(slug, "run.start")
        run = deed(actor=self.actor, run=get_run(project, uid))
        return Response(RunDetailSerializer(get_run(project, run.uid)).data)


class StopView(_DeedView):
    """The end of a run, with a checkpoint."""

    @extend_schema(operation_id="runs_stop", request=None, responses=answers(RunDetailSerializer))
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Stop a run after its next step; it can go on later."""
        return self.ask(slug, uid, request_stop)


class CancelView(_DeedView):
    """The end of a run, for good."""

    @extend_schema(operation_id="runs_cancel", request=None, responses=answers(RunDetailSerializer))
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Cancel a run; it is gone within seconds and can't go on."""
        return self.ask(slug, uid, request_cancel)


class ResumeView(_DeedView):
    """The next attempt at a run."""

    @extend_schema(operation_id="runs_resume", request=None, responses=answers(RunDetailSerializer))
    def post(self, request: Request, slug: str, uid: UUID) -> Response:
        """Queue a stopped or failed run again; it goes on from its newest checkpoint."""
        response = self.ask(slug, uid, resume_run)
        run = TrainingRun.objects.only("pk").get(uid=uid)
        transaction.on_commit(partial(tasks.ring, run.pk))
        return response


class SamplingListView(PagedView):
    """A project's sampling runs."""

    @extend_schema(operation_id="sampling_runs_list", responses=answers(RunSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the sampling runs, newest first."""
        rows = runs_of(self.project(slug, "run.view")).filter(sampling__isnull=False)
        return self.page(rows, RunSerializer)

    @extend_schema(
        operation_id="sampling_runs_create",
        request=SamplingInput,
        responses=answers(RunDetailSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Queue a run that samples a model on the project's prompts."""
        project = self.project(slug, "model.sample")
        given = SamplingInput(data=request.data)
        given.is_valid(raise_exception=True)
        said: dict[str, Any] = dict(given.validated_data)
        model = model_named(project, said.pop("model"), "model")
        preset = said.pop("preset", "")
        run = create_sampling_run(
            actor=self.actor, project=project, model=model, preset_name=preset, **said
        )
        return queued(project, run)


class SamplingView(ApiView):
    """One sampling run."""

    @extend_schema(operation_id="sampling_runs_read", responses=answers(RunDetailSerializer))
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """Read a sampling run, with what became of its samples."""
        project = self.project(slug, "run.view")
        return Response(RunDetailSerializer(get_run(project, uid)).data)
