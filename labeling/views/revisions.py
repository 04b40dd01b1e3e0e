"""Going back on the ranking page: one's own last judgements, shown on their cards and changed."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect, resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from labeling.exceptions import InvalidInput, NotFound, PrefloopError
from labeling.ranking_form import fields_of, submission_of
from labeling.selectors.revisions import OwnJudgement, own_judgement, own_judgement_of
from labeling.services.assignments import claim_next
from labeling.services.judgements import revise_judgement
from labeling.views.access import project_for, reader, signed_in, wants_piece
from labeling.views.card import CardContext, Revision


@require_GET
@signed_in
def compare_back(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the reader's n-th last judgement on its card, 1 for the newest; 404 beyond the oldest.

    It is a piece of the ranking page: asked for as a page it leads there, and is opened in it.
    """
    project = project_for(request, slug, "judgement.make")
    number = request.GET.get("n", "1")
    back = int(number) if number.isdecimal() and len(number) < 4 else 0
    found = own_judgement(reader(request), project, back=back)
    if found is None:
        raise NotFound(_("There is no judgement of yours further back."))
    if not wants_piece(request):
        return redirect(f"{resolve_url('labeling:compare', slug)}?back={back}")
    return _piece(request, _revision(found, slug))


@require_POST
@signed_in
def compare_revise(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Write a judgement that supersedes one of the reader's, and answer with their current card."""
    project = project_for(request, slug, "judgement.make")
    user, uid = reader(request), _judgement_uid(request)
    try:
        revise_judgement(
            actor=user,
            project=project,
            judgement_uid=uid,
            submission=submission_of(request.POST),
            idempotency_key=request.POST.get("key", ""),
        )
    except InvalidInput as error:
        found = own_judgement_of(user, project, uid)
        if found is None:
            raise
        return _piece(request, _revision(found, slug, error), status=error.status)
    if not wants_piece(request):
        return redirect("labeling:compare", slug=slug)
    return _piece(request, CardContext(claim_next(actor=user, project=project), slug))


def _judgement_uid(request: HttpRequest) -> UUID:
    try:
        return UUID(request.POST.get("judgement", ""))
    except ValueError:
        raise NotFound(_("There is no such judgement, or it is not yours.")) from None


def _revision(found: OwnJudgement, slug: str, error: PrefloopError | None = None) -> CardContext:
    fields = fields_of(found.said, len(found.card.candidates))
    revision = Revision(found.judgement_uid, fields, found.made_at)
    return CardContext(found.card, slug, error, revision)


def _piece(request: HttpRequest, context: CardContext, status: int = 200) -> HttpResponse:
    response = HttpResponse(context.as_html(get_token(request)), status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
