"""The loop's pages: how it turns, its rounds, and one round with what it waits for."""

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.exceptions import InvalidInput, PrefloopError
from labeling.forms import refuse
from labeling.models import Project
from labeling.permissions import may
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from training import tasks
from training.acquisition.selectors import arms_of
from training.calibration.selectors import routed_in
from training.contests.selectors import asked_in, figures_now
from training.rounds.forms import DecisionForm, LoopForm, PromoteForm, YamlForm, starting_loop
from training.rounds.loop_yaml import to_yaml
from training.rounds.models import ProjectLoop, Round
from training.rounds.presets import LOOP_PRESETS
from training.rounds.selectors import (
    cost_of,
    current_policy,
    get_round,
    labelling_of,
    loop_of,
    made_by,
    measured_by,
    picture_of,
    policy_before,
    promotions_of,
    round_contest,
    rounds_of,
    start_policy,
)
from training.rounds.services import (
    cancel_round,
    configure_loop,
    decide_round,
    pause_round,
    promote_model,
    redo_step,
    roll_back,
    start_round,
)

PER_PAGE = 30
SHOWN_PROMOTIONS = 20


@require_GET
@signed_in
def round_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show how the loop turns, which policy is current, and all rounds."""
    return _list(request, project_for(request, slug, "round.view"))


def _list(
    request: HttpRequest, project: Project, form: PromoteForm | None = None, problem: str = ""
) -> HttpResponse:
    loop = ProjectLoop.objects.filter(project=project).first()
    page = Paginator(rounds_of(project), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "loop": loop,
        "page": page,
        "under_way": rounds_of(project).exclude(state__in=Round.ENDED).exists(),
        "current": current_policy(project),
        "before": policy_before(project),
        "promotions": promotions_of(project)[:SHOWN_PROMOTIONS],
        "form": form or PromoteForm(project=project),
        "problem": problem,
    }
    faulty = bool(problem or (form and form.errors))
    page_name, piece = "training/round_list.html", "training/_round_rows.html"
    return answer(request, page_name, piece, context, 422 if faulty else 200)


@require_http_methods(["GET", "POST"])
@signed_in
def loop_edit(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Say how the loop turns, by its form or by YAML."""
    project = project_for(request, slug, "loop.configure")
    row = ProjectLoop.objects.filter(project=project).first()
    preset = request.GET.get("preset", "")
    start = starting_loop(row.config if row else None, preset)
    posted = request.POST if request.method == "POST" else None
    by_yaml = posted is not None and "yaml" in posted
    ahead = {"rounds_ahead": row.rounds_ahead if row else 0}
    starts = may(reader(request), "round.run", project)
    own = None if by_yaml else posted
    form = LoopForm(own, start=start, initial=ahead, starts_rounds=starts)
    yaml = YamlForm(posted if by_yaml else None, initial={"yaml": to_yaml(start)})
    given: LoopForm | YamlForm = yaml if by_yaml else form
    if posted is not None and given.is_valid():
        try:
            configure_loop(actor=reader(request), project=project, **_said(given))
        except PrefloopError as error:
            refuse(given, error)
        else:
            return go_to(request, "training:round_list", slug)
    context = {
        "project": project,
        "form": form,
        "yaml": yaml,
        "presets": list(LOOP_PRESETS),
        "preset": preset,
    }
    page, piece = "training/loop_edit.html", "training/_loop_form.html"
    return answer(request, page, piece, context, 422 if given.errors else 200)


def _said(given: LoopForm | YamlForm) -> dict[str, Any]:
    """Return what was said; who left the rounds ahead alone does not set them."""
    if isinstance(given, YamlForm):
        return {"config": given.loop.to_json()}
    if "rounds_ahead" not in given.changed_data:
        return {"config": given.config()}
    return {"config": given.config(), "rounds_ahead": given.cleaned_data["rounds_ahead"]}


@require_POST
@signed_in
def round_start(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Start the next round."""
    project = project_for(request, slug, "round.run")
    try:
        round = start_round(actor=reader(request), project=project)
    except PrefloopError as error:
        texts = getattr(error, "errors", {}).get("round", [error.message])
        return _list(request, project, problem=" ".join(texts))
    transaction.on_commit(tasks.ring_rounds)
    return go_to(request, "training:round_detail", slug, round.number)


@require_POST
@signed_in
def policy_promote(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Make a policy the current one."""
    project = project_for(request, slug, "round.run")
    form = PromoteForm(request.POST, project=project)
    if not form.is_valid():
        return _list(request, project, form)
    try:
        promote_model(actor=reader(request), project=project, **form.cleaned_data)
    except PrefloopError as error:
        refuse(form, error)
        return _list(request, project, form)
    return go_to(request, "training:round_list", slug)


@require_POST
@signed_in
def policy_roll_back(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Go back to the policy before the current one."""
    project = project_for(request, slug, "round.run")
    try:
        roll_back(actor=reader(request), project=project)
    except PrefloopError as error:
        return _list(request, project, problem=error.message)
    return go_to(request, "training:round_list", slug)


@require_GET
@signed_in
def round_detail(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Show a round: where it stands, what it waits for, what it made and what it cost."""
    project = project_for(request, slug, "round.view")
    return _detail(request, project, get_round(project, number))


def _detail(request: HttpRequest, project: Project, round: Round) -> HttpResponse:
    loop = loop_of(round)
    context = {
        "project": project,
        "round": round,
        "config": loop.config,
        "boxes": picture_of(round),
        "labelling": labelling_of(round, loop.config.judged_share),
        "cost": cost_of(round),
        "arms": arms_of(round) if loop.config.pool_factor > 1 else [],
        "starts_from": start_policy(round),
        "policy": made_by(round, "policy"),
        "measured": measured_by(round),
        **_contested(round),
        "routed": routed_in(round),
        "yaml": to_yaml(loop),
    }
    return answer(request, "training/round_detail.html", "training/_round_status.html", context)


def _contested(round: Round) -> dict[str, Any]:
    """Return the contest of a round's policies, how far it is, and people's rate where it ended."""
    contest = round_contest(round)
    if contest is None:
        return {"contest": None}
    figures = figures_now(contest) if contest.result else None
    return {"contest": contest, "contested": asked_in(contest), "people": figures}


def _act(
    request: HttpRequest, slug: str, number: int, deed: Callable[..., Any], **said: Any
) -> HttpResponseBase:
    """Do something to a round, and show how it stands then."""
    project = project_for(request, slug, "round.run")
    deed(actor=reader(request), round=get_round(project, number), **said)
    transaction.on_commit(tasks.ring_rounds)
    return go_to(request, "training:round_detail", slug, number)


@require_POST
@signed_in
def round_pause(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Let a round rest."""
    return _act(request, slug, number, pause_round)


@require_POST
@signed_in
def round_go_on(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Let a paused round go on."""
    return _act(request, slug, number, pause_round, paused=False)


@require_POST
@signed_in
def round_cancel(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """End a round for good."""
    return _act(request, slug, number, cancel_round)


@require_POST
@signed_in
def round_redo(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Make a step anew."""
    return _act(request, slug, number, redo_step, kind=request.POST.get("step", ""))


@require_POST
@signed_in
def round_decide(request: HttpRequest, slug: str, number: int) -> HttpResponseBase:
    """Promote the round's policy, or keep the current one."""
    form = DecisionForm(request.POST)
    if not form.is_valid():
        raise InvalidInput(
            _("Say whether the policy is promoted."),
            errors={name: [str(text) for text in texts] for name, texts in form.errors.items()},
        )
    said = {**form.cleaned_data, "promote": form.cleaned_data["promote"] == "1"}
    return _act(request, slug, number, decide_round, **said)
