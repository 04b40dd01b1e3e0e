"""Prompts and how they come in: the list, one prompt, uploads and their reports."""

from functools import partial

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling import tasks
from labeling.exceptions import NotFound, PrefloopError
from labeling.forms import ImportForm, refuse
from labeling.models import ComparisonCandidate, ImportBatch, Project, Prompt, Tag
from labeling.models.prompts import State
from labeling.permissions import may
from labeling.selectors.gold import answers_of
from labeling.selectors.prompts import prompt_rows
from labeling.selectors.writing import written_replies
from labeling.services.demonstrations import withdraw_demonstration
from labeling.services.imports import create_import
from labeling.views.access import answer, go_to, project_for, reader, signed_in

PAGE_SIZE = 50
_SLOTS = ComparisonCandidate.objects.filter(candidate=OuterRef("pk"))
_LIVE = (ImportBatch.State.QUEUED, ImportBatch.State.RUNNING)


@require_GET
@signed_in
def prompt_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show a page of the project's prompts, of one tag or state if asked."""
    project = project_for(request, slug, "prompt.view")
    tag, state = request.GET.get("tag", ""), request.GET.get("state", "")
    sees_sources = may(reader(request), "prompt.import", project)
    flagged = sees_sources and request.GET.get("flagged") == "1"
    rows = prompt_rows(project, tag=tag, state=state, flagged=flagged)
    context = {
        "project": project,
        "page": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
        "tags": Tag.objects.filter(project=project),
        "states": State.choices,
        "tag": tag,
        "state": state,
        "sees_sources": sees_sources,
        "flagged": flagged,
    }
    return render(request, "labeling/prompt_list.html", context)


@require_GET
@signed_in
def prompt_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Show a prompt with its candidates; where they come from is for managers alone."""
    project = project_for(request, slug, "prompt.view")
    prompt = Prompt.objects.filter(project=project, pk=pk).select_related("group").first()
    if prompt is None:
        raise NotFound(_("There is no such prompt in this project."))
    sees_sources = may(reader(request), "prompt.import", project)
    candidates = prompt.candidates.annotate(in_queue=Exists(_SLOTS)).order_by("id")
    sets_gold = may(reader(request), "gold.set", project)
    context = {
        "project": project,
        "prompt": prompt,
        "tags": prompt.tags.all(),
        "turns": zip([m["role"] for m in prompt.messages], prompt.html, strict=True),
        "sees_sources": sees_sources,
        "candidates": candidates.prefetch_related("sources") if sees_sources else candidates,
        "comparisons": prompt.comparisons.order_by("id"),
        "written": written_replies(prompt),
        "answers": answers_of(prompt) if sets_gold else [],
    }
    return render(request, "labeling/prompt_detail.html", context)


@require_POST
@signed_in
def demonstration_withdraw(
    request: HttpRequest, slug: str, pk: int, demonstration_id: int
) -> HttpResponseBase:
    """Take a demonstration out of use; where it counted, its prompt wants another one again."""
    project = project_for(request, slug, "prompt.withdraw")
    withdraw_demonstration(
        actor=reader(request), project=project, demonstration_id=demonstration_id
    )
    messages.success(request, _("The demonstration is withdrawn."))
    return go_to(request, "labeling:prompt_detail", slug, pk)


def _imports(
    request: HttpRequest, project: Project, form: ImportForm, status: int = 200
) -> HttpResponse:
    rows = ImportBatch.objects.filter(project=project).select_related("created_by")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"project": project, "form": form, "page": page}
    page_name, piece = "labeling/import_list.html", "labeling/_import_form.html"
    return answer(request, page_name, piece, context, status)


@require_http_methods(["GET", "POST"])
@signed_in
def import_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show earlier imports; take a file and lead to its progress."""
    project = project_for(request, slug, "prompt.import")
    if request.method == "GET":
        return _imports(request, project, ImportForm())
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _imports(request, project, form, status=422)
    file = form.cleaned_data["file"]
    try:
        batch = create_import(
            actor=reader(request),
            project=project,
            file_name=file.name,
            chunks=file.chunks(),
            source_name=form.cleaned_data["source_name"],
        )
    except PrefloopError as error:
        refuse(form, error)
        return _imports(request, project, form, status=422)
    transaction.on_commit(partial(tasks.import_prompts.delay, batch.pk))
    return go_to(request, "labeling:import_detail", slug, batch.uid)


@require_GET
@signed_in
def import_detail(request: HttpRequest, slug: str, uid: str) -> HttpResponseBase:
    """Show how far an import is, then its report. The piece asks again while it is live."""
    project = project_for(request, slug, "prompt.import")
    batch = ImportBatch.objects.filter(project=project, uid=uid).first()
    if batch is None:
        raise NotFound(_("There is no such import in this project."))
    context = {"project": project, "batch": batch, "live": batch.state in _LIVE}
    page, piece = "labeling/import_detail.html", "labeling/_import_status.html"
    return answer(request, page, piece, context)
