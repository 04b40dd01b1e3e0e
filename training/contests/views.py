"""The pages of contests: all of a project's, and one with what people said so far."""

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling.domain.agreement import Share
from labeling.exceptions import PrefloopError
from labeling.forms import refuse
from labeling.models import Project
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from labeling.views.charts import Span, span
from training.charts import Chart, line_chart
from training.contests.figures import Figures, figures_from
from training.contests.forms import ContestForm
from training.contests.models import Contest
from training.contests.selectors import (
    asked_in,
    contestable_evaluations,
    contests_of,
    figures_now,
    get_contest,
    judged_pairs,
)
from training.contests.services import open_contest, withdraw_contest
from training.estimates import Estimate

PER_PAGE = 30
SHOWN_PAIRS = 10
EVEN = 0.5


@dataclass(frozen=True)
class Row:
    """A contest in a list, with its rate where it has ended."""

    contest: Contest
    rate: Span | None
    outcome: str


def rate_span(rate: Estimate, pairs: int) -> Span | None:
    """Return the drawing of a win rate, held against one half; None without a pair."""
    if not pairs:
        return None
    return span(Share(rate.value, rate.low, rate.high, pairs=pairs, clusters=pairs), EVEN)


def outcome_words(contest: Contest, figures: Figures) -> str:
    """Return what a contest came to, in words."""
    if figures.outcome == "policy":
        return _("{model} is better.").format(model=contest.policy)
    if figures.outcome == "baseline":
        return _("{model} is better.").format(model=contest.baseline)
    if figures.outcome == "alike":
        return _("No difference that would matter.")
    if contest.is_open:
        return _("Not decided yet.")
    return _("Not decided.")


@require_GET
@signed_in
def contest_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the project's contests, and the form that opens one."""
    return _list(request, project_for(request, slug, "round.view"))


def _list(request: HttpRequest, project: Project, form: ContestForm | None = None) -> HttpResponse:
    page = Paginator(contests_of(project), PER_PAGE).get_page(request.GET.get("page"))
    asked = request.GET.get("run", "")
    evaluations = contestable_evaluations(project)
    chosen = evaluations.filter(run__pk=asked).first() if asked.isdecimal() else None
    chosen = chosen or evaluations.first()
    form = form or ContestForm(project=project, initial={"evaluation": chosen})
    context = {
        "project": project,
        "page": page,
        "rows": [_row(contest) for contest in page],
        "form": form,
        "can_be_opened": chosen is not None,
    }
    name, piece = "training/contest_list.html", "training/_contest_rows.html"
    return answer(request, name, piece, context, 422 if form.errors else 200)


def _row(contest: Contest) -> Row:
    """Return a contest as the list shows it; an open one's figures stand on its own page."""
    if not contest.result:
        return Row(contest, None, _("Not decided yet."))
    figures = figures_from(contest.result)
    return Row(contest, rate_span(figures.rate, figures.pairs), outcome_words(contest, figures))


@require_POST
@signed_in
def contest_open(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Ask people about an evaluation's replies."""
    project = project_for(request, slug, "round.run")
    form = ContestForm(request.POST, project=project)
    if not form.is_valid():
        return _list(request, project, form)
    try:
        contest = open_contest(actor=reader(request), project=project, **form.said())
    except PrefloopError as error:
        refuse(form, error)
        return _list(request, project, form)
    return go_to(request, "training:contest_detail", slug, contest.number)


@require_GET
@signed_in
def contest_detail(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Show what people said so far, and, once it has ended, what they compared."""
    project = project_for(request, slug, "round.view")
    contest = get_contest(project, number)
    figures = figures_now(contest)
    context = {
        "project": project,
        "contest": contest,
        "asked": asked_in(contest),
        "figures": figures,
        "active_s": figures.active_s,
        "outcome": outcome_words(contest, figures),
        "rate": rate_span(figures.rate, figures.pairs),
        "equal": _equal(figures),
        "chart": way_chart(figures),
        "shown": judged_pairs(contest, SHOWN_PAIRS),
    }
    name, piece = "training/contest_detail.html", "training/_contest_status.html"
    return answer(request, name, piece, context)


def _equal(figures: Figures) -> Span | None:
    return rate_span(figures.at_equal_length, figures.pairs) if figures.at_equal_length else None


def way_chart(figures: Figures) -> Chart | None:
    """Return the drawing of the rate and its interval, pair by pair; None before the second."""
    if len(figures.path) < 2:
        return None
    names = (_("win rate"), _("lower end"), _("upper end"))
    curves: list[tuple[str, Any]] = [
        (name, [(point[0], point[at]) for point in figures.path])
        for at, name in enumerate(names, start=1)
    ]
    title = _("Win rate after each pair")
    return line_chart(title, curves, total=figures.pairs, limits=(0.0, 1.0))


@require_POST
@signed_in
def contest_end(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """End a contest by hand."""
    project = project_for(request, slug, "round.run")
    withdraw_contest(actor=reader(request), contest=get_contest(project, number))
    return go_to(request, "training:contest_detail", slug, number)
