"""Constitutions over the API: their versions, runs that revise by them, and what came of those."""

from typing import Any
from uuid import UUID

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.serializers import InputSerializer
from training.api.runs import model_named, queued
from training.api.serializers import RunDetailSerializer, RunSerializer
from training.constitutions.models import (
    Constitution,
    ConstitutionVersion,
    RevisedDemonstration,
)
from training.constitutions.principles import principles_from, to_yaml
from training.constitutions.selectors import (
    SHIPPED_NAME,
    chains_of,
    constitutions_of,
    get_constitution,
    get_version,
    revising_of,
)
from training.constitutions.services import (
    ensure_constitution,
    publish_constitution,
    start_revising,
)
from training.selectors import get_run, runs_of
from training.services.runs import MAX_SEED


class PrincipleSerializer(serializers.Serializer[Any]):
    """One principle."""

    key = serializers.CharField()
    critique = serializers.CharField()
    revision = serializers.CharField()
    comparison = serializers.CharField()


class VersionSerializer(serializers.ModelSerializer[ConstitutionVersion]):
    """One version of a constitution; it never changes."""

    principles = PrincipleSerializer(many=True)

    class Meta:
        """`sha256` is over all principles, in order."""

        model = ConstitutionVersion
        fields = ("number", "sha256", "principles", "created_at")


class ConstitutionSerializer(serializers.ModelSerializer[Constitution]):
    """A constitution with its versions, newest first."""

    versions = VersionSerializer(many=True)

    class Meta:
        """The name is unique in a project."""

        model = Constitution
        fields = ("id", "name", "versions", "created_at")


class ConstitutionInput(InputSerializer):
    """A version to be published: YAML as the pages take it, or the principles as a list."""

    name = serializers.CharField(max_length=60)
    text = serializers.CharField(required=False, default="", allow_blank=True)
    principles = PrincipleSerializer(many=True, required=False, default=list)


class RevisingInput(InputSerializer):
    """A run that revises. `config` holds what differs from the preset."""

    model = serializers.IntegerField()
    constitution = serializers.CharField(
        default=SHIPPED_NAME, help_text="by its name; its newest version is taken, or `version`"
    )
    version = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=2**31 - 1
    )
    preset = serializers.CharField(required=False, allow_blank=True, default="")
    config = serializers.DictField(required=False, default=dict)
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_SEED)
    tags = serializers.ListField(child=serializers.CharField(), required=False, default=list)
    exclude_tags = serializers.ListField(
        child=serializers.CharField(), required=False, default=list
    )
    limit = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)


class ChainSerializer(serializers.ModelSerializer[RevisedDemonstration]):
    """A chain that ended in a demonstration: the reply, and each round's critique and revision."""

    prompt = serializers.IntegerField(source="demonstration.prompt_id")
    demonstration = serializers.IntegerField(source="demonstration_id")
    state = serializers.CharField(source="demonstration.state")

    class Meta:
        """`chain` is as the recipe wrote it, up to the revision that was kept."""

        model = RevisedDemonstration
        fields = ("prompt", "demonstration", "state", "chain")


class ConstitutionListView(PagedView):
    """A project's constitutions."""

    @extend_schema(
        operation_id="constitutions_list", responses=answers(ConstitutionSerializer(many=True))
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the constitutions by name, each with all its versions."""
        rows = constitutions_of(self.project(slug, "constitution.view"))
        return self.page(rows, ConstitutionSerializer)

    @extend_schema(
        operation_id="constitutions_publish",
        request=ConstitutionInput,
        responses=answers(ConstitutionSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Publish the next version of the constitution of that name, or the first of a new one."""
        project = self.project(slug, "constitution.write")
        given = ConstitutionInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        text = said["text"] or to_yaml(principles_from(said["principles"]))
        made = publish_constitution(actor=self.actor, project=project, name=said["name"], text=text)
        shown = get_constitution(project, made.constitution_id)
        return Response(ConstitutionSerializer(shown).data, status=201)


class ConstitutionView(ApiView):
    """One constitution."""

    @extend_schema(operation_id="constitutions_read", responses=answers(ConstitutionSerializer))
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """Read a constitution with all its versions."""
        found = get_constitution(self.project(slug, "constitution.view"), pk)
        return Response(ConstitutionSerializer(found).data)


class RevisingListView(PagedView):
    """A project's runs that revise."""

    @extend_schema(operation_id="revising_runs_list", responses=answers(RunSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the runs that revise, newest first."""
        rows = runs_of(self.project(slug, "run.view")).filter(revising__isnull=False)
        return self.page(rows, RunSerializer)

    @extend_schema(
        operation_id="revising_runs_create",
        request=RevisingInput,
        responses=answers(RunDetailSerializer, 201),
    )
    @transaction.atomic
    def post(self, request: Request, slug: str) -> Response:
        """Queue a run in which a policy revises its replies; they become demonstrations."""
        project = self.project(slug, "model.sample")
        given = RevisingInput(data=request.data)
        given.is_valid(raise_exception=True)
        said: dict[str, Any] = dict(given.validated_data)
        name, number = said.pop("constitution"), said.pop("version")
        model = model_named(project, said.pop("model"), "model")
        version = (
            ensure_constitution(actor=self.actor, project=project, name=name)
            if number is None
            else get_version(project, name, number)
        )
        run = start_revising(
            actor=self.actor,
            project=project,
            model=model,
            constitution=version,
            preset_name=said.pop("preset"),
            **said,
        )
        return queued(project, run)


class ChainListView(PagedView):
    """What came of a run that revises."""

    @extend_schema(
        operation_id="revising_runs_chains", responses=answers(ChainSerializer(many=True))
    )
    def get(self, request: Request, slug: str, uid: UUID) -> Response:
        """List the chains that became demonstrations, in the order in which they were written."""
        run = get_run(self.project(slug, "run.view"), uid)
        revising_of(run)
        return self.page(chains_of(run), ChainSerializer)
