"""Models: the registry with its lineage."""

from pathlib import Path

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.exceptions import InvalidInput
from labeling.models import Project
from training.api.serializers import ModelDetailSerializer, ModelInput, ModelSerializer, ShareInput
from training.lineage.sight import Sight
from training.selectors import get_model, lineage, usable_models
from training.services.models import register_model, share_model


class ModelListView(PagedView):
    """The models that a project has or may use."""

    @extend_schema(operation_id="models_list", responses=answers(ModelSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the models, newest first."""
        project = self.project(slug, "model.view")
        sight = Sight(self.actor, project)
        return self.page(usable_models(project), ModelSerializer, sight=sight)

    @extend_schema(
        operation_id="models_register", request=ModelInput, responses=answers(ModelSerializer, 201)
    )
    def post(self, request: Request, slug: str) -> Response:
        """Register a model that lies in a folder of the server."""
        project = self.project(slug, "model.register")
        given = ModelInput(data=request.data)
        given.is_valid(raise_exception=True)
        said = dict(given.validated_data)
        folder = Path(said.pop("folder"))
        model = register_model(actor=self.actor, project=project, folder=folder, **said)
        return Response(ModelSerializer(model).data, status=201)


class ModelView(ApiView):
    """One model."""

    @extend_schema(operation_id="models_read", responses=answers(ModelDetailSerializer))
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """Read a model with its lineage, back to the first.

        Models of other projects that the reader may not see are left out.
        """
        project = self.project(slug, "model.view")
        model, sight = get_model(project, pk), Sight(self.actor, project)
        said = {"model": model, "lineage": [one for one in lineage(model) if sight.knows(one)]}
        return Response(ModelDetailSerializer(said, context={"sight": sight}).data)


class ShareView(ApiView):
    """Another project's use of a model."""

    @extend_schema(
        operation_id="models_share", request=ShareInput, responses=answers(ModelSerializer)
    )
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Let another project train on from the model and sample it; site admins alone may."""
        model = get_model(self.project(slug, "model.register"), pk)
        given = ShareInput(data=request.data)
        given.is_valid(raise_exception=True)
        other = Project.objects.filter(slug=given.validated_data["project"]).first()
        if other is None:
            raise InvalidInput("There is no such project.", errors={"project": ["Unknown."]})
        share_model(actor=self.actor, model=model, project=other)
        return Response(ModelSerializer(model).data)
