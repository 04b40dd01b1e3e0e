"""A round's report: its page, and the same as files of Markdown and JSON."""

import json
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from labeling.domain.agreement import Share
from labeling.domain.rendering import render_text
from labeling.models import Project
from labeling.views.access import project_for, signed_in
from labeling.views.charts import Span, span
from training.compared_charts import PlaneChart, plane_chart
from training.estimates import Estimate
from training.rounds.models import Round
from training.rounds.report import BY, EVEN, Example, Made, Rate, RoundReport, Slice, Verdict
from training.rounds.report_charts import rate_chart
from training.rounds.report_markdown import to_markdown
from training.rounds.report_reading import planes_of, round_report
from training.rounds.report_words import (
    ARMS,
    BY_NAMES,
    FIGURES,
    MADE,
    SAYS,
    answer_words,
    exploit_words,
    point_words,
    slice_name,
)
from training.rounds.selectors import get_round

SHOWN_SLICES: Final = 40
_BADGES: Final = {"better": "good", "worse": "bad", "seems_worse": "warn", "unsure": ""}
_PAGES: Final = {
    "model": "training:model_detail",
    "snapshot": "labeling:snapshot_detail",
    "run": "training:run_detail",
    "contest": "training:contest_detail",
}


@dataclass(frozen=True)
class Said:
    """A verdict word with the class of its badge."""

    text: str
    badge: str


def _said(says: str) -> Said:
    return Said(str(SAYS[says]), _BADGES[says])


def _span(rate: Rate | Estimate | None) -> Span | None:
    if rate is None:
        return None
    pairs = getattr(rate, "pairs", 0)
    return span(Share(rate.value, rate.low, rate.high, pairs=pairs, clusters=0), EVEN)


@require_GET
@signed_in
def round_report_page(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Show what a round came to: whether it helped, where it did harm, and what it cost."""
    project = project_for(request, slug, "round.view")
    round = get_round(project, number)
    report = round_report(round)
    return render(request, "training/round_report.html", _context(project, round, report))


def _context(project: Project, round: Round, report: RoundReport) -> dict[str, Any]:
    known = [by for by in BY if any(by in one.rates for one in report.slices)]
    return {
        "project": project,
        "round": round,
        "report": report,
        "answer": answer_words(report),
        "answer_badge": _BADGES.get(report.answer, ""),
        "exploits": exploit_words(report),
        "point_words": point_words(report.per_point),
        "verdicts": [_verdict_row(one) for one in report.verdicts],
        "figures": [
            (FIGURES[one.name], _few(one.policy), _few(one.baseline)) for one in report.figures
        ],
        "known": [BY_NAMES[by] for by in known],
        "slices": [_slice_row(one, known) for one in report.slices[:SHOWN_SLICES]],
        "examples": [_example(one) for one in report.examples],
        "arms": [(ARMS.get(arm.name, arm.name), arm) for arm in report.arms],
        "made": [(MADE[one.kind], one.name, _address(project, one)) for one in report.made],
        "chart": rate_chart(report.turns, {by: str(name) for by, name in BY_NAMES.items()}),
        "planes": _planes(round),
        "best_of": [(n, _few(reward), _few(gold)) for n, reward, gold in report.best_of],
        "turns": _turn_rows(report),
    }


def _turn_rows(report: RoundReport) -> dict[str, Any]:
    """Return the project's rounds as a table: the names of its columns, and its rows."""
    known = [by for by in BY if any(by in turn.rates for turn in report.turns)]
    return {
        "names": [BY_NAMES[by] for by in known],
        "has_gold": any(turn.gold for turn in report.turns),
        "rows": [
            {
                "turn": turn,
                "spans": [_span(turn.rates.get(by)) for by in known],
                "kl": _few(turn.kl),
                "gold": _few(turn.gold),
            }
            for turn in report.turns
        ],
    }


def _verdict_row(one: Verdict) -> tuple[Any, ...]:
    spans = (_span(one.rate), _span(one.at_equal_length))
    return (BY_NAMES[one.by], *spans, one.rate.pairs, _said(one.rate.says))


def _few(found: Estimate | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    return f"{found.value:.3g}", f"{found.low:.3g} – {found.high:.3g}"


def _slice_row(one: Slice, known: list[str]) -> dict[str, Any]:
    return {
        "name": slice_name(one),
        "prompts": one.prompts,
        "spans": [_span(one.rates.get(by)) for by in known],
        "said": _said(one.says),
    }


def _example(one: Example) -> dict[str, Any]:
    """Return an example with its texts rendered and sanitized, as a candidate's are."""
    return {
        "tags": one.tags,
        "asked": [(role, render_text(text)) for role, text in one.asked],
        "policy": render_text(one.policy),
        "baseline": render_text(one.baseline),
        "policy_reward": one.policy_reward,
        "baseline_reward": one.baseline_reward,
        "lost_by": [BY_NAMES[by] for by, won in one.won.items() if won < EVEN],
        "won_by": [BY_NAMES[by] for by, won in one.won.items() if won > EVEN],
    }


def _address(project: Project, one: Made) -> str:
    return reverse(_PAGES[one.kind], args=[project.slug, one.number])


def _planes(round: Round) -> list[PlaneChart]:
    titles = {
        "reward": _("Reward over KL, by the reward model"),
        "gold": _("Hidden score over KL"),
    }
    found = planes_of(round)
    reach = max((kl for _by, plane in found for kl, _reward in plane.points()), default=1.0)
    return [plane_chart(titles[by], plane, reach=max(reach, 0.1)) for by, plane in found]


@require_GET
@signed_in
def round_report_json(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Send the report as a file of JSON."""
    project = project_for(request, slug, "round.view")
    report = round_report(get_round(project, number))
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2)
    return _file(text, "application/json", f"{project.slug}-round-{number}.json")


@require_GET
@signed_in
def round_report_markdown(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Send the report as a file of Markdown."""
    project = project_for(request, slug, "round.view")
    report = round_report(get_round(project, number))
    return _file(
        to_markdown(report), "text/markdown; charset=utf-8", f"{project.slug}-round-{number}.md"
    )


def _file(text: str, kind: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type=kind, headers=headers)
