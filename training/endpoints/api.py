"""Endpoints over the API, for site admins. A key goes in and never comes out."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.serializers import InputSerializer
from labeling.exceptions import InvalidInput
from labeling.models import Project
from labeling.permissions import require
from training.api.serializers import ModelSerializer
from training.endpoints.models import Endpoint
from training.endpoints.selectors import endpoints, get_endpoint
from training.endpoints.services import (
    SETTINGS,
    check_endpoint,
    create_endpoint,
    offer_model,
    update_endpoint,
)


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """An endpoint; of its key only where it is kept."""

    project = serializers.SlugField(source="project.slug", allow_null=True, default=None)
    has_stored_key = serializers.SerializerMethodField()

    class Meta:
        """Settings, and what the last test found."""

        model = Endpoint
        fields = ("id", "project", *SETTINGS, "has_stored_key", "problem", "checked_at")

    def get_has_stored_key(self, endpoint: Endpoint) -> bool:
        """Return whether a key is stored."""
        return bool(endpoint.key_cipher)


class _Settings(InputSerializer):
    name = serializers.CharField(max_length=120)
    base_url = serializers.CharField(max_length=500)
    model_name = serializers.CharField(max_length=200)
    key = serializers.CharField(
        max_length=1000,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="stored encrypted; left out it stays as it is, empty it is forgotten",
    )
    key_variable = serializers.CharField(max_length=100, required=False, allow_blank=True)
    concurrency = serializers.IntegerField(required=False)
    requests_per_minute = serializers.IntegerField(required=False)
    silence_s = serializers.IntegerField(required=False)
    answer_s = serializers.IntegerField(required=False)
    retries = serializers.IntegerField(required=False)
    allows_private = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)


class EndpointInput(_Settings):
    """A new endpoint."""

    project = serializers.SlugField(
        required=False, max_length=60, help_text="of this project alone; left out: of the site"
    )


class EndpointChanges(_Settings):
    """What is to be changed."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{**kwargs, "partial": True})  # type: ignore[arg-type]


class OfferInput(InputSerializer):
    """A project, by its short name."""

    project = serializers.SlugField(max_length=60)


def _project(slug: str | None) -> Project | None:
    if slug is None:
        return None
    found = Project.objects.filter(slug=slug).first()
    if found is None:
        text = _("There is no such project.")
        raise InvalidInput(text, errors={"project": [text]})
    return found


class EndpointListView(PagedView):
    """All endpoints."""

    @extend_schema(operation_id="endpoints_list", responses=answers(EndpointSerializer(many=True)))
    def get(self, request: Request) -> Response:
        """List the endpoints by name."""
        require(self.actor, "endpoint.manage")
        return self.page(endpoints(), EndpointSerializer)

    @extend_schema(
        operation_id="endpoints_create",
        request=EndpointInput,
        responses=answers(EndpointSerializer, 201),
    )
    def post(self, request: Request) -> Response:
        """Name an endpoint; one of a project is offered there at once."""
        require(self.actor, "endpoint.manage")
        given = EndpointInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        project = _project(said.pop("project", None))
        made = create_endpoint(actor=self.actor, project=project, **said)
        return Response(EndpointSerializer(made).data, status=201)


class EndpointView(ApiView):
    """One endpoint."""

    @extend_schema(operation_id="endpoints_read", responses=answers(EndpointSerializer))
    def get(self, request: Request, pk: int) -> Response:
        """Read an endpoint."""
        require(self.actor, "endpoint.manage")
        return Response(EndpointSerializer(get_endpoint(pk)).data)

    @extend_schema(
        operation_id="endpoints_change",
        request=EndpointChanges,
        responses=answers(EndpointSerializer),
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change an endpoint; with another address a stored key must be given again."""
        require(self.actor, "endpoint.manage")
        endpoint = get_endpoint(pk)
        given = EndpointChanges(data=request.data)
        given.is_valid(raise_exception=True)
        changed = update_endpoint(actor=self.actor, endpoint=endpoint, **given.validated_data)
        return Response(EndpointSerializer(changed).data)


class EndpointTestView(ApiView):
    """Whether an endpoint answers."""

    @extend_schema(
        operation_id="endpoints_test", request=None, responses=answers(EndpointSerializer)
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask for one short reply; `problem` is empty where it came."""
        require(self.actor, "endpoint.manage")
        checked = check_endpoint(actor=self.actor, endpoint=get_endpoint(pk))
        return Response(EndpointSerializer(checked).data)


class EndpointOfferView(ApiView):
    """The projects that may ask an endpoint's model."""

    @extend_schema(
        operation_id="endpoints_offer", request=OfferInput, responses=answers(ModelSerializer)
    )
    def post(self, request: Request, pk: int) -> Response:
        """Let a project ask the model; returns what it is in that project."""
        require(self.actor, "endpoint.manage")
        endpoint = get_endpoint(pk)
        given = OfferInput(data=request.data)
        given.is_valid(raise_exception=True)
        project = _project(given.validated_data["project"])
        assert project is not None  # noqa: S101 - the field is required
        model = offer_model(actor=self.actor, endpoint=endpoint, project=project)
        return Response(ModelSerializer(model).data)
