"""The ranking page. Its POST writes a judgement and answers with the next card."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling.exceptions import InvalidInput, NotFound, PrefloopError
from labeling.models import Guideline, Project
from labeling.ranking_form import submission_of
from labeling.selectors.progress import pace_note
from labeling.selectors.projects import guideline_read_version
from labeling.services.assignments import (
    claim_ahead,
    claim_next,
    renew_lease,
    skip_assignment,
)
from labeling.services.judgements import submit_and_claim
from labeling.views.access import reader, signed_in, wants_piece
from labeling.views.card import CardContext
from labeling.views.compare_words import script_words

# What compare.js imports at once, asked for at once instead of one after the other.
_SCRIPTS = tuple(f"labeling/{name}.js" for name in ("card", "reading", "sending", "work"))


def _project(slug: str) -> Project:
    """Return the project; whether the reader may judge in it is asked by the service."""
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise NotFound(_("There is no such project, or you are no member of it."))
    return project


def _piece(request: HttpRequest, context: CardContext, status: int = 200) -> HttpResponse:
    """Render the card alone, without context processors: this answer is on the hot path."""
    response = HttpResponse(context.as_html(get_token(request)), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _page(
    request: HttpRequest, project: Project, context: CardContext, status: int = 200
) -> HttpResponse:
    guideline = Guideline.objects.filter(project=project).order_by("-version").first()
    read = guideline_read_version(reader(request), project)
    variables = context.as_dict() | {
        "project": project,
        "pace": pace_note(reader(request), project),
        "guideline": guideline,
        "guideline_changed": guideline is not None and guideline.version != read,
        "revision_back": _whole(request.GET.get("back", "")),
        "words": script_words(),
        "scripts": _SCRIPTS,
    }
    response = render(request, "labeling/compare.html", variables, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 3 else None


@require_GET
@signed_in
def compare(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Lease the next comparison to the reader and show it."""
    project = _project(slug)
    context = CardContext(claim_next(actor=reader(request), project=project), slug)
    return _piece(request, context) if wants_piece(request) else _page(request, project, context)


@require_POST
@signed_in
def compare_submit(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Write the judgement and answer with the next card; without a script, lead to it."""
    try:
        _judgement, card = submit_and_claim(
            actor=reader(request),
            assignment_uid=_assignment_uid(request),
            submission=submission_of(request.POST),
            idempotency_key=request.POST.get("key", ""),
            behind=_behind(request.POST),
        )
    except InvalidInput as error:
        return _same_card(request, slug, error)
    return _next(request, CardContext(card, slug))


@require_GET
@signed_in
def compare_ahead(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Lease the comparison that follows the one on the reader's screen, and answer with it."""
    card = claim_ahead(actor=reader(request), project=_project(slug), behind=_behind(request.GET))
    return _piece(request, CardContext(card, slug))


@require_POST
@signed_in
def compare_skip(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Give the comparison back with a reason and answer with the next card."""
    said = (request.POST.get("reason", ""), request.POST.get("note", "").strip())
    reason = ": ".join(part for part in said if part)
    try:
        skip_assignment(
            actor=reader(request), assignment_uid=_assignment_uid(request), reason=reason
        )
    except InvalidInput as error:
        return _same_card(request, slug, error)
    behind = _behind(request.POST)
    if behind is None:
        card = claim_next(actor=reader(request), project=_project(slug))
    else:
        card = claim_ahead(actor=reader(request), project=_project(slug), behind=behind)
    return _next(request, CardContext(card, slug))


@require_POST
@signed_in
def compare_renew(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Put off the end of the reader's lease; 409 when it was lost."""
    renew_lease(actor=reader(request), assignment_uid=_assignment_uid(request))
    return HttpResponse(status=204)


def _behind(data: QueryDict) -> UUID | None:
    """Return the assignment that the page shows by now, if it says so."""
    try:
        return UUID(data.get("behind", ""))
    except ValueError:
        return None


def _assignment_uid(request: HttpRequest) -> UUID:
    try:
        return UUID(request.POST.get("assignment", ""))
    except ValueError:
        raise NotFound(_("There is no such assignment, or it is not yours.")) from None


def _next(request: HttpRequest, context: CardContext) -> HttpResponse:
    if wants_piece(request):
        return _piece(request, context)
    return redirect("labeling:compare", slug=context.slug)


def _same_card(request: HttpRequest, slug: str, error: PrefloopError) -> HttpResponse:
    """Show the card again with what was wrong: the lease is still the reader's."""
    project = _project(slug)
    context = CardContext(claim_next(actor=reader(request), project=project), slug, error)
    if wants_piece(request):
        return _piece(request, context, status=error.status)
    return _page(request, project, context, status=error.status)
