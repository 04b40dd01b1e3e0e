"""Runs side by side: what they were started with, what they measured, and reward over KL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from labeling.models import Project
from labeling.views.access import project_for, signed_in
from training.charts import short
from training.compared_charts import MOST_RUNS, Key, PlaneChart, key_of, overlays, plane_chart
from training.config_labels import LABELS
from training.frontier import Standing, parted, standings
from training.models import TrainingRun
from training.side_by_side import (
    FEWEST_RUNS,
    Frontier,
    Row,
    SideBySide,
    name_of,
    other_runs,
    side_by_side,
)


@dataclass(frozen=True)
class Column:
    """One of the runs: by what it is known on the page, and the page without it."""

    run: TrainingRun
    name: str
    key: Key
    without: str


@dataclass(frozen=True)
class DrawnFrontier:
    """One frontier with its drawings, that by gold last, and its points in words."""

    frontier: Frontier
    charts: tuple[PlaneChart, ...]
    columns: tuple[Column, ...]
    parted: tuple[str, str] | None
    standings: tuple[Standing, ...]


@require_GET
@signed_in
def run_compare(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the runs that the address names side by side."""
    project = project_for(request, slug, "run.view")
    found = side_by_side(project, request.GET.getlist("run"))
    names = [name_of(run) for run in found.runs]
    first, rest = overlays(found.curves, names)
    columns = _columns(project, found.runs)
    context = {
        "project": project,
        "columns": columns,
        "others": _others(project, found.runs),
        "differing": _labelled(found.settings.differing),
        "equal": _labelled(found.settings.equal),
        "of_some": _labelled(found.settings.of_some),
        "measures": _in_words(found),
        "charts": first,
        "more_charts": rest,
        "frontiers": [_drawn(frontier, columns) for frontier in found.frontiers],
    }
    return render(request, "training/run_compare.html", context)


def compare_url(project: Project, runs: Sequence[TrainingRun]) -> str:
    """Return the address of the page that holds these runs against each other."""
    query = urlencode([("run", str(run.uid)) for run in runs])
    return f"{reverse('training:run_compare', args=[project.slug])}?{query}"


def _columns(project: Project, runs: Sequence[TrainingRun]) -> list[Column]:
    can_go = len(runs) > FEWEST_RUNS
    return [
        Column(
            run,
            name_of(run),
            key_of(place),
            compare_url(project, [other for other in runs if other != run]) if can_go else "",
        )
        for place, run in enumerate(runs, start=1)
    ]


def _others(project: Project, runs: Sequence[TrainingRun]) -> list[tuple[str, str]]:
    """Return which runs may be added, by uid and name."""
    if len(runs) >= MOST_RUNS:
        return []
    return [(str(run.uid), name_of(run)) for run in other_runs(project, runs)]


def _labelled(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return settings by their labels, with their values as the start form writes them."""
    return [
        (str(LABELS.get(row.name, row.name)), [_value(value) for value in row.values])
        for row in rows
    ]


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return short(value) if isinstance(value, float) else str(value)


def _in_words(found: SideBySide) -> list[tuple[str, list[str]]]:
    return [(row.name, [_value(value) for value in row.values]) for row in found.measures]


def _drawn(frontier: Frontier, columns: Sequence[Column]) -> DrawnFrontier:
    """Return the drawings of a frontier; both have one level axis, so that the eye can cross."""
    planes = [
        (_("Reward by the reward model"), frontier.proxy),
        (_("Gold: the hidden score"), frontier.gold),
    ]
    reach = max(kl for _title, plane in planes for kl, _reward in plane.points())
    charts = tuple(
        plane_chart(title, plane, reach=reach) for title, plane in planes if plane.points()
    )
    places = frontier.proxy.places()
    shown = tuple(column for place, column in enumerate(columns, start=1) if place in places)
    rivals = parted(frontier.proxy, frontier.gold)
    figures = standings(frontier.proxy, frontier.gold)
    return DrawnFrontier(frontier, charts, shown, rivals, tuple(figures))
