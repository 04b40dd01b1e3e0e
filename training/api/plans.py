"""A run before it starts: what it would leave out, and what it would take."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, answers
from training import tasks
from training.api.runs import model_named, snapshot_numbered
from training.api.serializers import RunInput
from training.forecast import Forecast, OnDevice
from training.planning import Plan, forecast_of, preview_of
from training.preview import Preview
from training.services.runs import resolve_config


class PreviewSerializer(serializers.Serializer[Preview]):
    """Which of a snapshot's rows are learned from."""

    rows = serializers.IntegerField()
    used = serializers.DictField(child=serializers.IntegerField())
    dropped = serializers.SerializerMethodField()
    contradicted = serializers.IntegerField()
    cut = serializers.BooleanField(help_text="only the first rows were looked at")
    lengths_known = serializers.BooleanField()

    def get_dropped(self, seen: Preview) -> dict[str, int]:
        """Return the counts by reason."""
        return dict(seen.dropped)


class OnDeviceSerializer(serializers.Serializer[OnDevice]):
    """What the run takes on one machine."""

    machine = serializers.CharField()
    device = serializers.CharField()
    has_bytes = serializers.IntegerField()
    takes_bytes = serializers.IntegerField()
    too_large = serializers.BooleanField()
    seconds = serializers.SerializerMethodField(help_text="null where its speed is not known")
    seconds_by_part = serializers.SerializerMethodField()

    def get_seconds(self, place: OnDevice) -> float | None:
        """Return the whole time."""
        return place.duration.total if place.duration else None

    def get_seconds_by_part(self, place: OnDevice) -> dict[str, float]:
        """Return the parts of it."""
        return dict(place.duration.parts()) if place.duration else {}


class ForecastSerializer(serializers.Serializer[Forecast]):
    """What the run takes."""

    parameters = serializers.IntegerField()
    steps = serializers.IntegerField(source="work.steps")
    memory_bytes = serializers.IntegerField(source="memory.total")
    memory_by_part = serializers.SerializerMethodField()
    machines = OnDeviceSerializer(many=True, source="on")
    lengths_known = serializers.BooleanField()

    def get_memory_by_part(self, found: Forecast) -> dict[str, int]:
        """Return bytes of one process by part."""
        return {name: round(size) for name, size in found.memory.parts()}


class PlanSerializer(serializers.Serializer[Any]):
    """Both; null where they can't be said."""

    preview = PreviewSerializer(allow_null=True)
    forecast = ForecastSerializer(allow_null=True)


class PlanView(ApiView):
    """A run that is not started."""

    @extend_schema(operation_id="runs_plan", request=RunInput, responses=answers(PlanSerializer))
    def post(self, request: Request, slug: str) -> Response:
        """Say what a run would leave out and take; takes what starts a run, and starts nothing.

        Where no machine was measured yet, the next free worker is asked to measure its own.
        """
        project = self.project(slug, "run.start")
        given = RunInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        models = {
            name: None if said[name] is None else model_named(project, said[name], name)
            for name in ("base_model", "reward_model")
        }
        number = said["snapshot"]
        plan = Plan(
            project=project,
            recipe=said["recipe"],
            config=resolve_config(
                recipe=said["recipe"], config=said["config"], preset_name=said["preset"]
            ),
            snapshot=None if number is None else snapshot_numbered(project, number),
            base=models["base_model"],
            reward=models["reward_model"],
            tags=said["tags"],
            exclude_tags=said["exclude_tags"],
            limit=said["limit"],
            seed=said["seed"],
        )
        seen = preview_of(plan)
        found = forecast_of(plan, seen)
        if found is not None and not found.on:
            transaction.on_commit(tasks.ask_for_measurement)
        return Response(PlanSerializer({"preview": seen, "forecast": found}).data)
