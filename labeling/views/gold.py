"""Gold items, made and withdrawn on the page of their prompt."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from labeling.exceptions import NotFound, PrefloopError
from labeling.gold_form import GoldForm
from labeling.models import Comparison, Project
from labeling.selectors.gold import answers_of
from labeling.services.gold import set_gold, use_as_gold, withdraw_gold
from labeling.views.access import go_to, project_for, reader, signed_in, wants_piece


def _comparison(project: Project, uid: UUID) -> Comparison:
    rows = Comparison.objects.filter(project=project, uid=uid).select_related("prompt")
    comparison = rows.first()
    if comparison is None:
        raise NotFound(_("There is no such comparison in this project."))
    return comparison


def _answer(
    request: HttpRequest, comparison: Comparison, error: PrefloopError | None = None
) -> HttpResponse:
    """Answer htmx with the list of answers, with what was wrong; lead others to the prompt."""
    prompt, project = comparison.prompt, comparison.project
    if not wants_piece(request):
        if error is not None:
            raise error
        return go_to(request, "labeling:prompt_detail", project.slug, prompt.pk)
    context = {
        "project": project,
        "answers": answers_of(prompt),
        "error": error,
        "changed": comparison.uid,
    }
    status = error.status if error else 200
    response = render(request, "labeling/_gold_list.html", context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_POST
@signed_in
def gold_set(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """Take a judgement, or the ranks that were typed, as the known answer to a comparison."""
    project = project_for(request, slug, "gold.set")
    comparison = _comparison(project, uid)
    try:
        said = GoldForm(request.POST, count=comparison.slots.count()).said()
        take = set_gold if "tiers" in said else use_as_gold
        take(actor=reader(request), comparison=comparison, **said)
    except PrefloopError as error:
        return _answer(request, comparison, error)
    return _answer(request, comparison)


@require_POST
@signed_in
def gold_withdraw(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """Make a gold item an ordinary comparison again."""
    project = project_for(request, slug, "gold.set")
    comparison = _comparison(project, uid)
    try:
        withdraw_gold(actor=reader(request), comparison=comparison)
    except PrefloopError as error:
        return _answer(request, comparison, error)
    return _answer(request, comparison)
