"""Snapshots, and the files made from them."""

from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.http import FileResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.serializers import (
    ExportInput,
    ExportSerializer,
    FreezeInput,
    SnapshotSerializer,
)
from labeling.exceptions import Conflict
from labeling.models import Export, Snapshot
from labeling.services.exports import request_export
from labeling.services.snapshots import freeze_snapshot
from labeling.tasks import write_export


class SnapshotListView(PagedView):
    """The snapshots of a project."""

    @extend_schema(operation_id="snapshots_list", responses=answers(SnapshotSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the snapshots, newest first."""
        project = self.project(slug, "snapshot.view")
        return self.page(Snapshot.objects.filter(project=project), SnapshotSerializer)

    @extend_schema(
        operation_id="snapshots_freeze",
        request=FreezeInput,
        responses=answers(SnapshotSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Freeze the labels that there are now."""
        project = self.project(slug, "snapshot.freeze")
        given = FreezeInput(data=request.data)
        given.is_valid(raise_exception=True)
        snapshot = freeze_snapshot(actor=self.actor, project=project, **given.validated_data)
        location = reverse("labeling_api:snapshot", args=[snapshot.pk])
        data = SnapshotSerializer(snapshot).data
        return Response(data, status=201, headers={"Location": location})


class SnapshotView(ApiView):
    """One snapshot."""

    @extend_schema(operation_id="snapshots_read", responses=answers(SnapshotSerializer))
    def get(self, request: Request, snapshot_id: int) -> Response:
        """Read a snapshot's counts, drops and hash."""
        rows = Snapshot.objects.filter(pk=snapshot_id).select_related("project")
        return Response(SnapshotSerializer(self.reach(rows, "snapshot.view", "project")).data)


class ExportListView(PagedView):
    """The exports of a snapshot."""

    @extend_schema(operation_id="exports_list", responses=answers(ExportSerializer(many=True)))
    def get(self, request: Request, snapshot_id: int) -> Response:
        """List the exports, newest first."""
        return self.page(
            Export.objects.filter(snapshot=self._snapshot(snapshot_id)), ExportSerializer
        )

    @extend_schema(
        operation_id="exports_create",
        request=ExportInput,
        responses=answers(ExportSerializer, 202),
    )
    def post(self, request: Request, snapshot_id: int) -> Response:
        """Have a file made; poll the address in `Location` until it is ready."""
        snapshot = self._snapshot(snapshot_id)
        given = ExportInput(data=request.data)
        given.is_valid(raise_exception=True)
        export = request_export(actor=self.actor, snapshot=snapshot, **given.validated_data)
        transaction.on_commit(partial(write_export.delay, export.pk))
        location = reverse("labeling_api:export", args=[export.uid])
        return Response(ExportSerializer(export).data, status=202, headers={"Location": location})

    def _snapshot(self, snapshot_id: int) -> Snapshot:
        rows = Snapshot.objects.filter(pk=snapshot_id).select_related("project")
        return self.reach(rows, "snapshot.export", "project")


class ExportBase(ApiView):
    """What the views of one export share."""

    def export(self, uid: UUID) -> Export:
        """Return the export, if the actor may export from its project."""
        rows = Export.objects.filter(uid=uid).select_related("snapshot__project")
        return self.reach(rows, "snapshot.export", "snapshot.project")


class ExportView(ExportBase):
    """One export."""

    @extend_schema(operation_id="exports_read", responses=answers(ExportSerializer))
    def get(self, request: Request, uid: UUID) -> Response:
        """Read how far an export is; `ready` means that it can be downloaded."""
        return Response(ExportSerializer(self.export(uid)).data)


class DownloadView(ExportBase):
    """The file of an export."""

    @extend_schema(operation_id="exports_download", responses=answers(OpenApiTypes.BINARY))
    def get(self, request: Request, uid: UUID) -> FileResponse:
        """Download the file; 409 until it is ready."""
        export = self.export(uid)
        path = Path(export.path)
        if export.state != Export.State.READY or not path.is_file():
            state = "gone" if export.state == Export.State.READY else export.state
            raise Conflict(export.error or f"There is no file yet: the export is {state}.")
        return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)
