"""Snapshots: frozen from the queue's labels, read, and exported to files."""

from functools import partial
from pathlib import Path

from django.db import transaction
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from labeling import tasks
from labeling.exceptions import NotFound, PrefloopError
from labeling.forms import ExportForm, FreezeForm, refuse
from labeling.models import Export, Project, Snapshot, SnapshotItem, Tag
from labeling.services.exports import request_export
from labeling.services.snapshots import freeze_snapshot
from labeling.views.access import answer, go_to, project_for, reader, signed_in, wants_piece

_LIVE = (Export.State.QUEUED, Export.State.RUNNING)


def _snapshot(project: Project, number: int) -> Snapshot:
    found = Snapshot.objects.filter(project=project, number=number)
    snapshot = found.select_related("created_by").first()
    if snapshot is None:
        raise NotFound(_("There is no such snapshot in this project."))
    return snapshot


def _freeze_form(project: Project, request: HttpRequest) -> FreezeForm:
    names = list(Tag.objects.filter(project=project).values_list("name", flat=True))
    return FreezeForm(request.POST or None, tags=names)


@require_http_methods(["GET", "POST"])
@signed_in
def snapshot_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the project's snapshots; freeze another."""
    deed = "snapshot.freeze" if request.method == "POST" else "snapshot.view"
    project = project_for(request, slug, deed)
    form = _freeze_form(project, request)
    if request.method == "POST" and form.is_valid():
        try:
            snapshot = freeze_snapshot(actor=reader(request), project=project, **form.selection())
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "labeling:snapshot_detail", slug, snapshot.number)
    rows = Snapshot.objects.filter(project=project).select_related("created_by")
    context = {"project": project, "snapshots": rows, "form": form}
    status = 422 if form.errors else 200
    page, piece = "labeling/snapshot_list.html", "labeling/_freeze_form.html"
    return answer(request, page, piece, context, status)


def _detail(project: Project, snapshot: Snapshot, form: ExportForm) -> dict[str, object]:
    """Return what the page of a snapshot and its pieces show."""
    exports = list(snapshot.exports.order_by("-id"))
    by_split = snapshot.counts.get("splits", {})
    return {
        "project": project,
        "snapshot": snapshot,
        "splits": [
            {"label": label, **by_split[value]}
            for value, label in SnapshotItem.Split.choices
            if value in by_split
        ],
        "redactions": snapshot.redactions.order_by("id"),
        "exports": exports,
        "live": any(export.state in _LIVE for export in exports),
        "export_form": form,
    }


@require_GET
@signed_in
def snapshot_detail(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Show what a snapshot holds, what was left out and why, and its exports."""
    project = project_for(request, slug, "snapshot.view")
    context = _detail(project, _snapshot(project, number), ExportForm())
    return render(request, "labeling/snapshot_detail.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def export_list(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Show how far a snapshot's exports are, which the piece asks while one is live; add one."""
    project = project_for(request, slug, "snapshot.export")
    snapshot = _snapshot(project, number)
    page = "labeling/snapshot_detail.html"
    if request.method == "GET":
        context = _detail(project, snapshot, ExportForm())
        return answer(request, page, "labeling/_export_rows.html", context)
    form = ExportForm(request.POST)
    if not form.is_valid():
        context = _detail(project, snapshot, form)
        return answer(request, page, "labeling/_export_list.html", context, status=422)
    export = request_export(actor=reader(request), snapshot=snapshot, **form.cleaned_data)
    transaction.on_commit(partial(tasks.write_export.delay, export.pk))
    if not wants_piece(request):
        return go_to(request, "labeling:snapshot_detail", slug, number)
    context = _detail(project, snapshot, ExportForm())
    return answer(request, page, "labeling/_export_list.html", context)


@require_GET
@signed_in
def export_download(request: HttpRequest, slug: str, uid: str) -> HttpResponseBase:
    """Hand out an export's file."""
    project = project_for(request, slug, "snapshot.export")
    export = Export.objects.filter(snapshot__project=project, uid=uid).first()
    if export is None or export.state != Export.State.READY:
        raise NotFound(_("There is no such export, or it is not ready yet."))
    path = Path(export.path)
    if not path.is_file():
        raise NotFound(_("The export's file is gone from this server. Request it again."))
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)
