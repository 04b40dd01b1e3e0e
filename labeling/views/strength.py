"""Which models are preferred: the Bradley-Terry table of a project."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from labeling.domain.agreement import Share
from labeling.domain.strength import Strength
from labeling.selectors.strength import ModelStrength, ModelTable, model_table
from labeling.views.access import project_for, signed_in
from labeling.views.charts import Span, span

_JUDGES = {"people": _("people"), "ai": _("AI judges"), "imported": _("imported sources")}
EVEN = 0.5


@require_GET
@signed_in
def strength(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the models by how often they are preferred, as people say or as AI judges do."""
    project = project_for(request, slug, "quality.view")
    asked = request.GET.get("judges", "")
    judges = asked if asked in _JUDGES else "people"
    table = model_table(project, judges=judges)
    context = {
        "project": project,
        "table": table,
        "groups": _drawn(table),
        "judges": judges,
        "choices": _JUDGES.items(),
    }
    return render(request, "labeling/strength.html", context)


def _drawn(table: ModelTable) -> list[list[dict[str, object]]]:
    return [
        [
            {
                "model": row,
                "plain": _rate(row, row.plain),
                "at_equal_length": _rate(row, row.at_equal_length),
            }
            for row in group
        ]
        for group in table.groups
    ]


def _rate(row: ModelStrength, strength: Strength) -> Span | None:
    """Return the expected win rate against the group's average model, held against a half."""
    value, low, high = strength.win_rate
    return span(Share(value, low, high, pairs=row.pairs, clusters=row.comparisons), EVEN)
