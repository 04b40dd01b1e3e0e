"""Models: the registry, where each one is from, and "sample and queue"."""

from functools import partial

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET, require_POST

from labeling.exceptions import PrefloopError
from labeling.forms import refuse
from labeling.models import Project
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from training import tasks
from training.charts import in_words
from training.forms import SampleForm
from training.models import ModelVersion, TrainingRun
from training.selectors import (
    get_model,
    lineage,
    preset_for,
    runs_from,
    sampling_runs_of,
    usable_models,
)
from training.services.sampling import create_sampling_run

PER_PAGE = 50


@require_GET
@signed_in
def model_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the models that the project has or may use."""
    project = project_for(request, slug, "model.view")
    page = Paginator(usable_models(project), PER_PAGE).get_page(request.GET.get("page"))
    context = {"project": project, "page": page}
    return answer(request, "training/model_list.html", "training/_model_rows.html", context)


def _form(request: HttpRequest, project: Project, model: ModelVersion) -> SampleForm:
    return SampleForm(
        request.POST if request.method == "POST" else None,
        project=project,
        preset_name=preset_for("sample", model),
    )


def _page(
    request: HttpRequest, project: Project, model: ModelVersion, form: SampleForm
) -> HttpResponseBase:
    context = {
        "project": project,
        "model": model,
        "form": form,
        "line": lineage(model),
        "measures": in_words(model.provenance.get("metrics", {})),
        "runs": runs_from(project, model)[:20],
        "samplings": sampling_runs_of(project, model)[:20],
    }
    page, piece = "training/model_detail.html", "training/_sample_form.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)


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
        )
    except PrefloopError as error:
        refuse(form, error)
        return None
