"""The pages of constitutions, of runs that revise by them, and of the chains that came of those."""

from functools import partial
from typing import Any

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET, require_http_methods

from labeling.exceptions import PrefloopError
from labeling.forms import refuse
from labeling.language import said
from labeling.models import Project
from labeling.permissions import may, require
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from training import tasks
from training.configs import PRESETS
from training.constitutions.forms import ConstitutionForm, ReviseForm, VersionForm
from training.constitutions.models import Constitution
from training.constitutions.principles import shipped_text, to_yaml
from training.constitutions.selectors import (
    SHIPPED_NAME,
    chains_of,
    constitutions_of,
    get_constitution,
    principles_of,
    read_chain,
    revising_of,
)
from training.constitutions.services import (
    ensure_constitution,
    publish_constitution,
    start_revising,
)
from training.models import ModelVersion, TrainingRun
from training.preset_sources import source_of
from training.selectors import get_model, get_run, preset_for

CHAINS_PER_PAGE = 10


@require_http_methods(["GET", "POST"])
@signed_in
def constitution_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the project's constitutions; publish a new one."""
    project = project_for(request, slug, "constitution.view")
    rows = list(constitutions_of(project))
    first = {} if rows else {"name": SHIPPED_NAME}
    form = ConstitutionForm(
        request.POST if request.method == "POST" else None,
        initial={**first, "text": shipped_text()},
    )
    if request.method == "POST":
        require(reader(request), "constitution.write", project)
        made = _published(request, project, form)
        if made is not None:
            return go_to(request, "training:constitution_detail", slug, made.pk)
    context = {"project": project, "constitutions": rows, "form": form}
    return _answer(request, "constitution_list", form, context)


@require_http_methods(["GET", "POST"])
@signed_in
def constitution_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Show a constitution with all its versions; publish the next one."""
    project = project_for(request, slug, "constitution.view")
    constitution = get_constitution(project, pk)
    versions = list(constitution.versions.all())
    newest = principles_of(versions[0])
    form = VersionForm(
        request.POST if request.method == "POST" else None, initial={"text": to_yaml(newest)}
    )
    if request.method == "POST":
        require(reader(request), "constitution.write", project)
        if _published(request, project, form, constitution.name) is not None:
            return go_to(request, "training:constitution_detail", slug, pk)
    context = {
        "project": project,
        "constitution": constitution,
        "versions": [(row, principles_of(row)) for row in versions],
        "form": form,
    }
    return _answer(request, "constitution_detail", form, context)


def _answer(
    request: HttpRequest, page: str, form: VersionForm, context: dict[str, Any]
) -> HttpResponseBase:
    context["can_write"] = may(reader(request), "constitution.write", context["project"])
    piece = "training/_constitution_form.html"
    return answer(request, f"training/{page}.html", piece, context, 422 if form.errors else 200)


def _published(
    request: HttpRequest, project: Project, form: VersionForm, name: str = ""
) -> Constitution | None:
    """Publish what the form holds, or put into it why not."""
    if not form.is_valid():
        return None
    given = form.cleaned_data
    try:
        version = publish_constitution(
            actor=reader(request),
            project=project,
            name=name or given["name"],
            text=given["text"].replace("\r\n", "\n"),
        )
    except PrefloopError as error:
        refuse(form, error)
        return None
    return version.constitution


@require_http_methods(["GET", "POST"])
@signed_in
def revising_new(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Let a policy revise its replies by a constitution; they become demonstrations."""
    project = project_for(request, slug, "model.sample")
    model = get_model(project, pk)
    form = ReviseForm(
        request.POST if request.method == "POST" else None,
        project=project,
        preset_name=request.GET.get("preset") or preset_for("revise", model),
    )
    run = _started(request, project, model, form) if form.is_valid() else None
    if run is not None:
        transaction.on_commit(partial(tasks.ring, run.pk))
        return go_to(request, "training:run_detail", slug, run.uid)
    context = {
        "project": project,
        "model": model,
        "form": form,
        "presets": list(PRESETS["revise"]),
        "source": said(source_of("revise", form.preset_name)),
    }
    page, piece = "training/revising_new.html", "training/_revising_form.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)


def _started(
    request: HttpRequest, project: Project, model: ModelVersion, form: ReviseForm
) -> TrainingRun | None:
    """Start the run, or put into the form why not."""
    given, actor = form.cleaned_data, reader(request)
    try:
        with transaction.atomic():
            version = given["constitution"] or ensure_constitution(
                actor=actor, project=project, name=SHIPPED_NAME
            )
            return start_revising(
                actor=actor,
                project=project,
                model=model,
                constitution=version,
                config=form.config(),
                seed=given["seed"],
                tags=given.get("tags", ()),
                limit=given["limit"],
            )
    except PrefloopError as error:
        refuse(form, error)
        return None


@require_GET
@signed_in
def run_chains(request: HttpRequest, slug: str, uid: str) -> HttpResponseBase:
    """Show what came of a revising run: each prompt's reply, its critiques and its revisions."""
    project = project_for(request, slug, "run.view")
    run = get_run(project, uid)
    revising = revising_of(run)
    known = {one.key: one for one in principles_of(revising.constitution)}
    page = Paginator(chains_of(run), CHAINS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "run": run,
        "revising": revising,
        "page": page,
        "chains": [read_chain(row, known) for row in page],
    }
    return answer(request, "training/run_chains.html", "training/_run_chains.html", context)
