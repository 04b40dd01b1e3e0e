"""How every view begins and ends: who asks, for which project, for a page or for a piece."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from labeling.exceptions import NotFound
from labeling.models import Project, User
from labeling.permissions import require

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def signed_in(view: View[P]) -> View[P]:
    """Send whoever is not signed in to the login page; a piece is told to take the page there."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if not wants_piece(request):
            return redirect_to_login(request.get_full_path())
        login = f"{resolve_url(settings.LOGIN_URL)}?next={quote(request.get_full_path())}"
        return HttpResponse(status=401, headers={"HX-Redirect": login})

    return guarded


def reader(request: HttpRequest) -> User:
    """Return the account that asks; only for views behind `signed_in`."""
    return cast(User, request.user)


def wants_piece(request: HttpRequest) -> bool:
    """Return whether htmx asks for a piece; a boosted link wants the whole page."""
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.boosted


def project_for(request: HttpRequest, slug: str, deed: str) -> Project:
    """Return the project if the reader may do the deed in it.

    Raises NotFound to a stranger and NotAllowed to a member whose role does not reach.
    """
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise NotFound(_("There is no such project, or you are no member of it."))
    require(reader(request), deed, project)
    return project


def answer(
    request: HttpRequest, page: str, piece: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Render the piece where htmx asks for it, else the page around it, from one context."""
    template = piece if wants_piece(request) else page
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def go_to(request: HttpRequest, name: str, *args: Any) -> HttpResponse:
    """Lead on to another page after a POST, by htmx or by a plain redirect."""
    url = resolve_url(name, *args)
    if wants_piece(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponse(status=302, headers={"Location": url})
