"""The playground: talk to a model beside another, and say whether a text may be kept."""

from dataclasses import replace
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.db import transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override
from django.views.decorators.http import require_GET, require_POST

from labeling.exceptions import Conflict, InvalidInput, NotAllowed, PrefloopError
from labeling.language import said
from labeling.models import Project, Role
from labeling.permissions import may, role_in
from labeling.selectors.offers import held_offers, offers_of
from labeling.services.offers import (
    MOST_OF_AUTHOR,
    decide_offer,
    offer_prompt,
    withdraw_all_offers,
    withdraw_offer,
)
from labeling.views.access import go_to, project_for, reader, signed_in
from training.endpoints.client import Server
from training.endpoints.errors import (
    Dropped,
    EndpointError,
    KeyRefused,
    NotThere,
    Silent,
    TooManyRequests,
    Unreachable,
)
from training.endpoints.protocol import Ask
from training.endpoints.selectors import outside_problem, server_of
from training.models import ModelVersion
from training.playground import tasks
from training.playground.forms import AskForm, OfferForm, SettingsForm
from training.playground.models import ServedModel
from training.playground.selectors import MOST_OFFERED, is_near, talking_model, talking_models
from training.playground.services import ask_model, give_up_child
from training.playground.streaming import Busy, Relay

PER_PAGE = 20
CHILD_SILENCE_S = 120.0
# What a child that has ended, or another program at its port, answers.
GONE = (Unreachable, Dropped, Silent, KeyRefused, NotThere)
CONSENT = gettext_lazy(
    "The first message of each conversation that I begin while this is ticked joins this "
    "project's prompts: people here read it, and models are trained on replies to it, under a "
    "pseudonym in place of my name. I can take it back at any time."
)
_TOLD = {
    "taken": gettext_lazy("Kept: your message has joined the project's prompts. Thank you."),
    "held": gettext_lazy(
        "Your message seems to hold personal data. A manager looks at it before it is used."
    ),
    "known": gettext_lazy("Not kept: the project has a prompt that begins like yours."),
    "enough": gettext_lazy("Not kept: the project has as many of your messages as it takes."),
}


def _project(request: HttpRequest, slug: str) -> Project:
    """Return the project if the reader may talk to its models; annotators where it lets them."""
    project = project_for(request, slug, "playground.use")
    if project.opens_playground or reader(request).is_site_admin:
        return project
    if role_in(reader(request), project) == Role.ANNOTATOR:
        raise NotAllowed(_("This project keeps its playground to managers. Ask one to open it."))
    return project


@require_GET
@signed_in
def playground(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the page on which people talk to models."""
    project = _project(request, slug)
    models = list(talking_models(project)[:MOST_OFFERED])
    chosen = [request.GET.get("left", ""), request.GET.get("right", "")]
    known = {str(model.pk) for model in models}
    newest = [str(model.pk) for model in models[:2]]
    left = chosen[0] if chosen[0] in known else "".join(newest[:1])
    right = chosen[1] if chosen[1] in known else "".join(newest[1:2])
    context = {
        "project": project,
        "models": models,
        "columns": [
            {"name": "left", "label": _("Model A"), "chosen": left},
            {"name": "right", "label": _("Model B"), "chosen": right},
        ],
        "form": SettingsForm(),
        "consent": CONSENT,
        "words": _words(),
        "most": MOST_OF_AUTHOR,
    }
    return render(request, "training/playground.html", context)


def _words() -> dict[str, str]:
    """Return what the page's script says, in the reader's language."""
    return {
        "you": _("You"),
        "waiting": _("Waiting for the model…"),
        "stopped": _("Stopped. What was said until then stays in the conversation."),
        "cut": _("Cut at the longest length that is set."),
        "empty": _("The model said nothing."),
        "replied": _("{name} has replied."),
        "away": _("The server does not answer. Try again."),
        "late": _("No place became free. Try again in a moment."),
    }


@require_POST
@signed_in
def playground_reply(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Stream a model's reply: 202 while it is being loaded, 429 while others are served."""
    project = _project(request, slug)
    form = AskForm(request.POST)
    if not form.is_valid():
        raise _invalid(form)
    given = form.cleaned_data
    model = talking_model(project, given["model"])
    ask = Ask(
        messages=given["messages"],
        max_new_tokens=given["max_tokens"],
        temperature=given["temperature"],
        top_p=given["top_p"],
        seed=given["seed"],
    )
    if model.endpoint is not None:
        return _outside(model, ask)
    if request.POST.get("again"):
        _raise_if_failed(model)
    served = ask_model(actor=reader(request), project=project, model=model)
    if served.state == ServedModel.State.READY:
        return _served(served, model, ask)
    transaction.on_commit(lambda: tasks.ring_served(model.pk))
    return _not_yet(served)


def _raise_if_failed(model: ModelVersion) -> None:
    """Tell who waits for a model why it could not be loaded; asked anew, it is tried again."""
    failed = ServedModel.objects.filter(model=model, state=ServedModel.State.FAILED).first()
    if failed is not None:
        last = said((failed.problem.splitlines() or [""])[-1])
        raise Conflict(_("The model can't be talked to: {problem}").format(problem=last))


def _invalid(form: forms.Form) -> InvalidInput:
    errors = {name: [str(text) for text in texts] for name, texts in form.errors.items()}
    return InvalidInput(_("This can't be sent."), errors=errors)


def _not_yet(served: ServedModel) -> HttpResponse:
    texts = {
        ServedModel.State.LOADING: _("The model is being loaded…"),
        ServedModel.State.WAITING: _("Waiting for a worker to load the model…"),
    }
    message = texts.get(ServedModel.State(served.state), _("The model is being started again…"))
    return JsonResponse({"state": served.state, "message": message}, status=202)


def _served(served: ServedModel, model: ModelVersion, ask: Ask) -> HttpResponseBase:
    """Stream from the child; one that does not answer is given up, and the page asks again."""
    if not is_near(served):
        raise Conflict(
            _("The model is served on another machine: run the queue serve beside the web server.")
        )
    server = Server(
        base_url=f"http://127.0.0.1:{served.port}/v1",
        model=str(model),
        api_key=served.token,
        retries=0,
        allows_private=True,
        connect_timeout_s=2.0,
        read_timeout_s=CHILD_SILENCE_S,
        total_timeout_s=3600.0,
    )
    try:
        return _stream(Relay(server, ask))
    except GONE:
        give_up_child(served=served)
        served.state = ServedModel.State.STOPPED
        return _not_yet(served)
    except EndpointError as error:
        raise _refusal(error) from None


def _outside(model: ModelVersion, ask: Ask) -> HttpResponseBase:
    problem = outside_problem(model)
    if problem or model.endpoint is None:
        raise Conflict(problem or _("There is no such model in this project."))
    try:
        return _stream(Relay(replace(server_of(model.endpoint), retries=0), ask))
    except EndpointError as error:
        raise _refusal(error) from None


def _refusal(error: EndpointError) -> PrefloopError:
    text = said(error.args[0])
    return Busy(text) if isinstance(error, TooManyRequests) else Conflict(text)


def _stream(relay: Relay) -> HttpResponseBase:
    response = StreamingHttpResponse(relay, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy before us passes pieces on at once
    return response


@require_POST
@signed_in
def playground_offer(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Keep a text whose author agreed to it, and say what became of it."""
    project = _project(request, slug)
    form = OfferForm(request.POST)
    if not form.is_valid():
        raise _invalid(form)
    with override("en"):
        consent = str(CONSENT)
    offer = offer_prompt(
        actor=reader(request),
        project=project,
        messages=form.cleaned_data["messages"],
        consent=consent,
    )
    return JsonResponse({"outcome": offer.outcome, "message": str(_TOLD[offer.outcome])})


@require_GET
@signed_in
def playground_prompts(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show what the reader gave, and to managers what waits to be looked at."""
    project = _project(request, slug)
    own = Paginator(offers_of(project, reader(request)), PER_PAGE)
    context: dict[str, Any] = {
        "project": project,
        "page": own.get_page(request.GET.get("page")),
        "consent": CONSENT,
    }
    if may(reader(request), "prompt.import", project):
        held = held_offers(project)
        context |= {"held": held[:PER_PAGE], "held_count": held.count()}
    return render(request, "training/playground_prompts.html", context)


@require_POST
@signed_in
def playground_withdraw(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Take back one text of one's own."""
    project = _project(request, slug)
    withdraw_offer(actor=reader(request), project=project, pk=pk)
    return go_to(request, "training:playground_prompts", slug)


@require_POST
@signed_in
def playground_withdraw_all(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Take back all texts of one's own."""
    project = _project(request, slug)
    withdraw_all_offers(actor=reader(request), project=project)
    return go_to(request, "training:playground_prompts", slug)


@require_POST
@signed_in
def playground_decide(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Take a held text into the pool, or refuse it."""
    project = project_for(request, slug, "prompt.import")
    decide_offer(
        actor=reader(request), project=project, pk=pk, take=request.POST.get("take") == "1"
    )
    return go_to(request, "training:playground_prompts", slug)
