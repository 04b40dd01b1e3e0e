"""Models: the registry, where each one is from, and "sample and queue"."""

from functools import partial
from pathlib import Path

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.exceptions import InvalidInput, PrefloopError
from labeling.forms import refuse
from labeling.models import Project
from labeling.views.access import answer, go_to, project_for, reader, signed_in, wants_piece
from training import tasks
from training.charts import in_words
from training.constitutions.selectors import revising_runs_of
from training.forms import RegisterForm, SampleForm, ShareForm
from training.lineage.sight import Sight
from training.models import ModelVersion, TrainingRun
from training.selectors import (
    get_model,
    lineage,
    preset_for,
    runs_from,
    sampling_runs_of,
    usable_models,
)
from training.selectors_evaluations import evaluations_of
from training.services.models import register_model, share_model
from training.services.sampling import create_sampling_run

PER_PAGE = 50
# The priority of replies that are to be ranked before what is imported, which has 0.
AHEAD = 1


@require_GET
@signed_in
def model_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the models that the project has or may use."""
    project = project_for(request, slug, "model.view")
    page = Paginator(usable_models(project), PER_PAGE).get_page(request.GET.get("page"))
    context = {"project": project, "page": page}
    return answer(request, "training/model_list.html", "training/_model_rows.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def model_new(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Register a model that lies on the server."""
    project = project_for(request, slug, "model.register")
    form = RegisterForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        given = dict(form.cleaned_data)
        folder = Path(given.pop("folder"))
        try:
            model = register_model(actor=reader(request), project=project, folder=folder, **given)
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "training:model_detail", slug, model.pk)
    context = {"project": project, "form": form}
    page, piece = "training/model_new.html", "training/_register_form.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)


@require_POST
@signed_in
def model_share(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Let another project use a model."""
    project = project_for(request, slug, "model.register")
    model = get_model(project, pk)
    form = ShareForm(request.POST)
    if form.is_valid():
        other = Project.objects.filter(slug=form.cleaned_data["project"]).first()
        try:
            if other is None:
                raise InvalidInput(_("There is no such project."))
            share_model(actor=reader(request), model=model, project=other)
        except PrefloopError as error:
            form.add_error("project", error.message)
        else:
            form = ShareForm()
    if not form.errors and not wants_piece(request):
        return go_to(request, "training:model_detail", slug, pk)
    piece = "training/_share_form.html"
    sample = SampleForm(project=project, preset_name=preset_for("sample", model))
    return _page(request, project, model, sample, share_form=form, piece=piece)


def _form(request: HttpRequest, project: Project, model: ModelVersion) -> SampleForm:
    return SampleForm(
        request.POST if request.method == "POST" else None,
        project=project,
        preset_name=preset_for("sample", model),
    )


def _page(
    request: HttpRequest,
    project: Project,
    model: ModelVersion,
    form: SampleForm,
    *,
    share_form: ShareForm | None = None,
    piece: str = "training/_sample_form.html",
) -> HttpResponseBase:
    sight = Sight(reader(request), project)
    context = {
        "project": project,
        "model": model,
        "form": form,
        "share_form": share_form or ShareForm(),
        "line": [(step, sight.knows(step), sight.reads(step)) for step in lineage(model)],
        "measures": in_words(model.provenance.get("metrics", {})),
        "runs": runs_from(project, model)[:20],
        "samplings": sampling_runs_of(project, model)[:20],
        "revisings": revising_runs_of(project, model)[:20],
        "evaluations": evaluations_of(project, model)[:20],
    }
    faulty = form.errors or (share_form is not None and share_form.errors)
    return answer(request, "training/model_detail.html", piece, context, 422 if faulty else 200)


@require_GET
@signed_in
def model_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Show a model with its lineage, and the form to sample it."""
    project = project_for(request, slug, "model.view")
    model = get_model(project, pk)
    return _page(request, project, model, _form(request, project, model))


@require_POST
@signed_in
def sampling_new(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Sample a model on the project's prompts."""
    project = project_for(request, slug, "model.sample")
    model = get_model(project, pk)
    form = _form(request, project, model)
    run = _create(request, project, model, form) if form.is_valid() else None
    if run is None:
        return _page(request, project, model, form)
    transaction.on_commit(partial(tasks.ring, run.pk))
    return go_to(request, "training:run_detail", slug, run.uid)


def _create(
    request: HttpRequest, project: Project, model: ModelVersion, form: SampleForm
) -> TrainingRun | None:
    given = form.cleaned_data
    try:
        return create_sampling_run(
            actor=reader(request),
            project=project,
            model=model,
            config=form.config(),
            seed=given["seed"],
            tags=given.get("tags", ()),
            limit=given["limit"],
            queue=given["queue"],
            overlap=given["overlap"],
            priority=AHEAD if given["first"] else 0,
        )
    except PrefloopError as error:
        refuse(form, error)
        return None
