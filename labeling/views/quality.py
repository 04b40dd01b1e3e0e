"""How the work goes: a person's own page, and the quality of a project's annotators."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from labeling.domain.agreement import Undefined
from labeling.permissions import may
from labeling.selectors.progress import own_judgements, own_pace, pace_note
from labeling.selectors.quality import LEAST_PAIRS, ProjectQuality, own_agreement, project_quality
from labeling.views.access import project_for, reader, signed_in
from labeling.views.charts import HEIGHT, WIDTH, day_bars, span

CHART_DAYS = 28


@require_GET
@signed_in
def own_work(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the reader's own work; agreement only where the project shows it."""
    project = project_for(request, slug, "judgement.make")
    user = reader(request)
    pace = own_pace(user, project)
    agreement = own_agreement(user, project) if project.shows_agreement else None
    context = {
        "project": project,
        "pace": pace,
        "note": pace_note(user, project),
        "bars": day_bars(pace.days[-CHART_DAYS:], label_every=7),
        "chart_width": WIDTH,
        "chart_height": HEIGHT,
        "agreement": agreement,
        "others": span(agreement.others) if agreement else None,
        "gold": span(agreement.gold) if agreement else None,
        "least_pairs": LEAST_PAIRS,
        "judgements": list(enumerate(own_judgements(user, project), start=1)),
    }
    return render(request, "labeling/own_work.html", context)


@require_GET
@signed_in
def quality(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show how the annotators work; names are for those who manage the project."""
    project = project_for(request, slug, "quality.view")
    names = may(reader(request), "project.configure", project)
    found = project_quality(project, names=names)
    context = {
        "project": project,
        "quality": found,
        "agreement": span(found.agreement),
        "alpha": None if isinstance(found.alpha, Undefined) else found.alpha,
        "no_alpha": _no_alpha(found.alpha),
        "rows": _drawn(found),
        "least_pairs": LEAST_PAIRS,
    }
    return render(request, "labeling/quality.html", context)


def _drawn(quality: ProjectQuality) -> list[dict[str, object]]:
    """Return each annotator with drawings, held against all annotators, and against chance."""
    mean = quality.agreement.value if quality.agreement else None
    return [
        {
            "annotator": row,
            "agreement": span(row.agreement, mean),
            "gold": span(row.gold),
            "first": span(row.first_shown.share, row.first_shown.chance)
            if row.first_shown
            else None,
        }
        for row in quality.annotators
    ]


def _no_alpha(alpha: float | Undefined) -> str:
    """Say why there is no alpha; nothing where there is one."""
    if alpha is Undefined.NOTHING_SHARED:
        return _("No pair was judged by two people yet.")
    if alpha is Undefined.ALL_TIED:
        return _("All pairs were called equal: chance would agree as often.")
    return ""
