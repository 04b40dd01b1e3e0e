"""The pages of AI judges: all of a project's, a new one, and one with what it said."""

from functools import partial
from typing import Any

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.domain.content import plain_messages
from labeling.exceptions import PrefloopError
from labeling.forms import refuse
from labeling.language import said
from labeling.models import Judgement, Project
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from training import tasks
from training.configs import PRESETS
from training.judges.drawing import lean_chart
from training.judges.forms import AskForm, JudgeForm
from training.judges.models import Judge
from training.judges.selectors import bias_of, get_judge, judges_of, judgings_of, latest_judgements
from training.judges.services import ask_judge, create_judge, retire_judge
from training.preset_sources import source_of

PER_PAGE = 30
SHOWN_RUNS, SHOWN_JUDGEMENTS = 20, 5
_LIST, _ROWS = "training/judge_list.html", "training/_judge_rows.html"


@require_GET
@signed_in
def judge_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the project's AI judges."""
    project = project_for(request, slug, "judge.view")
    page = Paginator(judges_of(project), PER_PAGE).get_page(request.GET.get("page"))
    return answer(request, _LIST, _ROWS, {"project": project, "page": page})


@require_http_methods(["GET", "POST"])
@signed_in
def judge_new(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Make an AI judge, or the next version of one, beginning with a preset."""
    project = project_for(request, slug, "judge.run")
    form = JudgeForm(
        request.POST if request.method == "POST" else None,
        project=project,
        preset_name=request.GET.get("preset", "default"),
        initial={"name": request.GET.get("name", "")},
    )
    if form.is_valid():
        names = ("name", "source", "model", "criteria")
        given = {name: form.cleaned_data[name] for name in names}
        try:
            judge = create_judge(
                actor=reader(request), project=project, config=form.config(), **given
            )
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "training:judge_detail", slug, judge.uid)
    context = {
        "project": project,
        "form": form,
        "presets": list(PRESETS["judge"]),
        "source": said(source_of("judge", form.preset_name)),
    }
    page, piece = "training/judge_new.html", "training/_judge_form.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)


@require_GET
@signed_in
def judge_detail(request: HttpRequest, slug: str, uid: Any) -> HttpResponseBase:
    """Show a judge: who answers, how it leans, what it was asked and what it said."""
    project = project_for(request, slug, "judge.view")
    return _detail(request, project, get_judge(project, uid), AskForm())


def _detail(request: HttpRequest, project: Project, judge: Judge, form: AskForm) -> HttpResponse:
    bias = bias_of(judge)
    context = {
        "project": project,
        "judge": judge,
        "bias": bias,
        "chart": lean_chart(bias.bins, bias.mean) if bias else None,
        "judgings": judgings_of(judge)[:SHOWN_RUNS],
        "examples": [_example(one) for one in latest_judgements(judge, SHOWN_JUDGEMENTS)],
        "form": form,
    }
    page, piece = "training/judge_detail.html", "training/_ask_form.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)


def _example(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as it is read: what was asked, and the replies from the best down."""
    comparison = judgement.comparison
    texts = [
        "".join(part["content"] for part in plain_messages(slot.candidate.messages))
        for slot in comparison.slots.all()
    ]
    asked = plain_messages(comparison.prompt.messages)[-1]["content"]
    ranked = [
        (place, texts[slot]) for place, tier in enumerate(judgement.tiers, start=1) for slot in tier
    ]
    return {"judgement": judgement, "asked": asked, "ranked": ranked}


@require_POST
@signed_in
def judge_ask(request: HttpRequest, slug: str, uid: Any) -> HttpResponseBase:
    """Let a judge rank comparisons."""
    project = project_for(request, slug, "judge.run")
    judge = get_judge(project, uid)
    form = AskForm(request.POST)
    if form.is_valid():
        try:
            run = ask_judge(
                actor=reader(request), project=project, judge=judge, **form.cleaned_data
            )
        except PrefloopError as error:
            refuse(form, error)
        else:
            transaction.on_commit(partial(tasks.ring, run.pk))
            return go_to(request, "training:run_detail", slug, run.uid)
    return _detail(request, project, judge, form)


@require_POST
@signed_in
def judge_retire(request: HttpRequest, slug: str, uid: Any) -> HttpResponseBase:
    """Ask a judge nothing more."""
    project = project_for(request, slug, "judge.run")
    retire_judge(actor=reader(request), judge=get_judge(project, uid))
    return go_to(request, "training:judge_detail", slug, uid)
