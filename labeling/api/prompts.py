"""Prompts, and the imports that bring them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import IO, Any

from django.db import transaction
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.serializers import (
    FileInput,
    ImportOptions,
    ImportSerializer,
    PromptFilter,
    PromptSerializer,
    RowsInput,
)
from labeling.models import ImportBatch
from labeling.models.prompts import State
from labeling.selectors.prompts import prompt_rows
from labeling.services.imports import create_import
from labeling.tasks import import_prompts

CHUNK = 1 << 16


class JsonLinesParser(BaseParser):
    """Hands the body on as it comes: it may be larger than memory."""

    media_type = "application/x-ndjson"

    def parse(  # type: ignore[override]
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Iterator[bytes]:
        """Return the chunks of the body."""
        return iter(partial(stream.read, CHUNK), b"")


class PromptListView(PagedView):
    """A project's prompts."""

    @extend_schema(
        operation_id="prompts_list",
        parameters=[
            OpenApiParameter("tag", str, description="only prompts with this tag"),
            OpenApiParameter("state", str, enum=State.values),
            OpenApiParameter("flagged", bool, description="with a candidate that names its maker"),
        ],
        responses=answers(PromptSerializer(many=True)),
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the prompts, oldest first."""
        project = self.project(slug, "prompt.view")
        asked = PromptFilter(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        wanted = {name: asked.validated_data[name] for name in ("tag", "state", "flagged")}
        return self.page(prompt_rows(project, **wanted), PromptSerializer)


class ImportListView(PagedView):
    """The imports of a project."""

    parser_classes = (JSONParser, MultiPartParser, JsonLinesParser)

    @extend_schema(operation_id="imports_list", responses=answers(ImportSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the imports, newest first."""
        project = self.project(slug, "prompt.import")
        return self.page(ImportBatch.objects.filter(project=project), ImportSerializer)

    @extend_schema(
        operation_id="imports_create",
        parameters=[
            OpenApiParameter(
                "source_name", str, description="names the annotator of imported rankings"
            )
        ],
        request={
            "application/json": RowsInput,
            "multipart/form-data": FileInput,
            "application/x-ndjson": OpenApiTypes.BINARY,
        },
        responses=answers(ImportSerializer, 202),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Queue lines for import, all or nothing; poll the address in `Location` for the report.

        A body of JSON Lines, a file of them, or up to 1,000 rows as JSON.
        """
        project = self.project(slug, "prompt.import")
        options = ImportOptions(data=request.query_params.dict())
        options.is_valid(raise_exception=True)
        file_name, chunks = _upload(request)
        batch = create_import(
            actor=self.actor,
            project=project,
            file_name=file_name,
            chunks=chunks,
            source_name=options.validated_data["source_name"],
        )
        transaction.on_commit(partial(import_prompts.delay, batch.pk))
        location = reverse("labeling_api:import", args=[batch.uid])
        return Response(ImportSerializer(batch).data, status=202, headers={"Location": location})


def _upload(request: Request) -> tuple[str, Iterable[bytes]]:
    """Return the name and the bytes of what was sent, in whichever of the three ways."""
    data: Any = request.data
    if isinstance(data, Iterator):
        return "api.jsonl", data
    if request.FILES:
        form = FileInput(data=data)
        form.is_valid(raise_exception=True)
        file = form.validated_data["file"]
        return file.name, file.chunks()
    body = RowsInput(data=data)
    body.is_valid(raise_exception=True)
    return "api.jsonl", (json.dumps(row).encode() + b"\n" for row in body.validated_data["rows"])


class ImportView(ApiView):
    """One import."""

    @extend_schema(operation_id="imports_read", responses=answers(ImportSerializer))
    def get(self, request: Request, uid: str) -> Response:
        """Read how far an import is, and its report once it has ended."""
        rows = ImportBatch.objects.filter(uid=uid).select_related("project")
        return Response(ImportSerializer(self.reach(rows, "prompt.import", "project")).data)
