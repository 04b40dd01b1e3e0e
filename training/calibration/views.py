"""An AI judge held against people: its page, a shared sample, and what it leaves to people."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET, require_POST

from labeling.exceptions import PrefloopError
from labeling.forms import refuse
from labeling.models import Project
from labeling.selectors.quality import LEAST_PAIRS
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from labeling.views.charts import span
from training import tasks
from training.calibration.drawing import reliability
from training.calibration.figures import Side
from training.calibration.forms import RouteForm, SharedSampleForm
from training.calibration.selectors import Calibration, calibration_of, routed_by, samples_of
from training.calibration.services import draw_shared_sample, route_to_people
from training.judges.models import Judge
from training.judges.selectors import get_judge


@require_GET
@signed_in
def judge_calibration(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """Show how far a judge says what people say, and where it doesn't."""
    project = project_for(request, slug, "quality.view")
    return _page(request, project, get_judge(project, uid))


@require_POST
@signed_in
def judge_sample(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """Draw comparisons that both the judge and people are asked about."""
    project = project_for(request, slug, "judge.run")
    judge = get_judge(project, uid)
    form = SharedSampleForm(request.POST)
    if form.is_valid():
        try:
            drawn = draw_shared_sample(
                actor=reader(request), project=project, judge=judge, **form.cleaned_data
            )
        except PrefloopError as error:
            refuse(form, error)
        else:
            if drawn.run and drawn.run.is_live:
                transaction.on_commit(partial(tasks.ring, drawn.run.pk))
            return go_to(request, "training:judge_calibration", slug, uid)
    return _page(request, project, judge, sample_form=form)


@require_POST
@signed_in
def judge_route(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """Let people judge what the judge is unsure of or weak on."""
    project = project_for(request, slug, "judge.run")
    judge = get_judge(project, uid)
    form = RouteForm(request.POST)
    if form.is_valid():
        try:
            route_to_people(actor=reader(request), annotator=judge.annotator, **form.cleaned_data)
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "training:judge_calibration", slug, uid)
    return _page(request, project, judge, route_form=form)


def _page(
    request: HttpRequest,
    project: Project,
    judge: Judge,
    sample_form: SharedSampleForm | None = None,
    route_form: RouteForm | None = None,
) -> HttpResponseBase:
    found = calibration_of(judge.annotator)
    figures = found.figures
    context = {
        "project": project,
        "judge": judge,
        "calibration": found,
        "figures": figures,
        "overall": _row(figures.overall, found),
        "topics": [_row(side, found) for side in figures.topics],
        "gaps": [_row(side, found) for side in figures.gaps],
        "chart": reliability(figures.bins),
        "consistent": span(figures.consistent),
        "least_pairs": LEAST_PAIRS,
        "samples": samples_of(judge.annotator),
        "routed": routed_by(judge.annotator),
        "sample_form": sample_form or SharedSampleForm(),
        "route_form": route_form or RouteForm(),
    }
    faulty = any(form is not None and form.errors for form in (sample_form, route_form))
    page, piece = "training/judge_calibration.html", "training/_calibration.html"
    return answer(request, page, piece, context, 422 if faulty else 200)


def _row(side: Side, found: Calibration) -> dict[str, Any]:
    """Return a row of a table: the judge's share, marked by people's own, and people's."""
    people = side.people
    return {
        "name": side.name,
        "judge": span(side.judge, people.value if people else None),
        "people": span(people),
        "weak": side.name in found.weak,
    }
