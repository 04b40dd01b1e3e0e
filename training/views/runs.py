"""Runs: the list, the start form made from the typed config, and the live page."""

from collections.abc import Callable
from functools import partial

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.exceptions import NotFound, PrefloopError
from labeling.forms import refuse
from labeling.language import said
from labeling.models import Project
from labeling.views.access import answer, go_to, project_for, reader, signed_in, wants_piece
from training import tasks
from training.charts import charts_of, in_words
from training.configs import PRESETS, field_specs
from training.forms import RunForm
from training.inputs import INPUTS
from training.models import TrainingRun
from training.planning import seconds_left
from training.preset_sources import source_of
from training.run_health import marks_of, run_health
from training.selectors import (
    base_models,
    curves,
    flagged_samples,
    get_run,
    preset_for,
    rollouts_of,
    runs_of,
    snapshots_of,
    usable_models,
)
from training.services.runs import create_run, request_cancel, request_stop, resume_run
from training.side_by_side import comparable_runs
from training.views.evaluation_report import report_of
from training.views.plans import planned
from training.views.reports import held_out_of

PER_PAGE = 30


@require_GET
@signed_in
def run_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the project's runs; the piece asks again while one of them is live."""
    project = project_for(request, slug, "run.view")
    page = Paginator(runs_of(project), PER_PAGE).get_page(request.GET.get("page"))
    live = any(run.is_live for run in page)
    chosen = set(request.GET.getlist("run"))
    context = {
        "project": project,
        "page": page,
        "live": live,
        "marks": marks_of(list(page)),
        "chosen": chosen,
        "chosen_elsewhere": sorted(chosen - {str(run.uid) for run in page}),
    }
    return answer(request, "training/run_list.html", "training/_run_rows.html", context)


def _start(request: HttpRequest, project: Project, recipe: str) -> RunForm:
    """Return the start form with what the address asks for, else with what lies nearest."""
    base = base_models(project, recipe, request.GET.get("base", "")).first()
    snapshots = snapshots_of(project, INPUTS[recipe].snapshot_kind)
    asked = request.GET.get("snapshot", "")
    # A link between recipes carries the snapshot along, which may be of the other kind.
    snapshot = snapshots.filter(number=asked).first() if asked.isdecimal() else None
    judge = None
    if INPUTS[recipe].rewarded:
        judge = usable_models(project, ["reward"]).first()
    else:
        snapshot = snapshot or snapshots.first()
    return RunForm(
        request.POST if request.method == "POST" else None,
        project=project,
        recipe=recipe,
        preset_name=request.GET.get("preset") or preset_for(recipe, base),
        initial={
            "snapshot": snapshot and snapshot.number,
            "base_model": base,
            "reward_model": judge,
        },
    )


@require_http_methods(["GET", "POST"])
@signed_in
def run_new(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the start form of a recipe; start the run."""
    project = project_for(request, slug, "run.start")
    recipe = request.GET.get("recipe") or _fitting_recipe(request, project)
    if recipe not in INPUTS:
        raise NotFound(_("There is no such training recipe."))
    form = _start(request, project, recipe)
    looks = "look" in request.POST
    valid = request.method == "POST" and form.is_valid()
    if valid and not looks:
        run = _create(request, project, form)
        if run is not None:
            transaction.on_commit(partial(tasks.ring, run.pk))
            return go_to(request, "training:run_detail", slug, run.uid)
    context = {
        "project": project,
        "form": form,
        "recipe": recipe,
        "recipes": list(INPUTS),
        "presets": list(PRESETS[recipe]),
        "source": said(source_of(recipe, form.preset_name)),
        **(planned(project, form) if valid and looks else {}),
    }
    page, piece = "training/run_new.html", "training/_run_form.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)


def _fitting_recipe(request: HttpRequest, project: Project) -> str:
    """Return the recipe to begin with: one that can learn from the snapshot asked for."""
    number = request.GET.get("snapshot", "")
    kind = INPUTS["sft"].snapshot_kind
    if number.isdecimal() and snapshots_of(project, kind).filter(number=number).exists():
        return "sft"
    return "reward"


def _create(request: HttpRequest, project: Project, form: RunForm) -> TrainingRun | None:
    """Start the run, or put into the form why not."""
    given = form.cleaned_data
    try:
        return create_run(
            actor=reader(request),
            project=project,
            recipe=form.recipe,
            snapshot=given["snapshot"],
            base_model=given["base_model"],
            config=form.config(),
            seed=given["seed"],
            name=given["name"],
            reward_model=given.get("reward_model"),
            tags=given.get("tags", ()),
            limit=given.get("limit"),
        )
    except PrefloopError as error:
        refuse(form, error)
        return None


@require_GET
@signed_in
def run_detail(request: HttpRequest, slug: str, uid: str) -> HttpResponseBase:
    """Show a run: progress, curves and the end of its log, live until it ends."""
    project = project_for(request, slug, "run.view")
    return _run_answer(request, project, get_run(project, uid))


def _run_answer(request: HttpRequest, project: Project, run: TrainingRun) -> HttpResponse:
    found = {curve.name: curve.points for curve in curves(run)}
    report = report_of(run)
    context = {
        "project": project,
        "run": run,
        "report": report,
        # An evaluation's steps are no progress in anything: its curves say less than its report.
        "charts": [] if report else charts_of(found, total=run.total_steps),
        "attempts": list(run.attempts.all()),
        "flagged": flagged_samples(run) if run.recipe == "sample" else 0,
        "measures": [] if report else in_words(run.result.get("metrics", {})),
        "replies": rollouts_of(run),
        "held_out": held_out_of(run.result),
        "left": seconds_left(run),
        "health": run_health(run, found),
        "config": [(s.name, run.config.get(s.name)) for s in field_specs(run.recipe)],
        "comparable": comparable_runs(run),  # asked for by the whole page alone
    }
    return answer(request, "training/run_detail.html", "training/_run_status.html", context)


def _act(
    request: HttpRequest, slug: str, uid: str, deed: Callable[..., TrainingRun]
) -> HttpResponse:
    """Ask something of a run, and show how it stands then."""
    project = project_for(request, slug, "run.start")
    run = deed(actor=reader(request), run=get_run(project, uid))
    if deed is resume_run:
        transaction.on_commit(partial(tasks.ring, run.pk))
    if not wants_piece(request):
        return redirect("training:run_detail", slug, uid)
    return _run_answer(request, project, get_run(project, uid))


@require_POST
@signed_in
def run_stop(request: HttpRequest, slug: str, uid: str) -> HttpResponseBase:
    """Stop a run with a checkpoint."""
    return _act(request, slug, uid, request_stop)


@require_POST
@signed_in
def run_cancel(request: HttpRequest, slug: str, uid: str) -> HttpResponseBase:
    """Cancel a run for good."""
    return _act(request, slug, uid, request_cancel)


@require_POST
@signed_in
def run_resume(request: HttpRequest, slug: str, uid: str) -> HttpResponseBase:
    """Let a stopped or failed run go on."""
    return _act(request, slug, uid, resume_run)
