"""The accounts of the site, for its admins: made, switched off, given rights, reset."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.exceptions import InvalidInput, NotFound, PrefloopError
from labeling.forms import AccountForm, refuse
from labeling.models import User
from labeling.permissions import require
from labeling.selectors.accounts import account_rows, people
from labeling.services.accounts import create_user, set_active, set_site_admin
from labeling.services.passwords import link_token, reset_password
from labeling.views.access import answer, go_to, reader, signed_in, wants_piece

PAGE_SIZE = 50
DEEDS: Final[dict[str, Callable[..., User]]] = {
    "deactivate": partial(set_active, active=False),
    "activate": partial(set_active, active=True),
    "make-admin": partial(set_site_admin, site_admin=True),
    "take-admin": partial(set_site_admin, site_admin=False),
    "reset": reset_password,
}


@require_http_methods(["GET", "POST"])
@signed_in
def account_list(request: HttpRequest) -> HttpResponseBase:
    """Show all accounts; make one, which waits for its person to choose a password."""
    admin = reader(request)
    require(admin, "account.manage")
    form = AccountForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            user = create_user(actor=admin, password=None, **form.cleaned_data)
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "labeling:account_detail", user.pk)
    name = request.GET.get("name", "").strip()
    page = Paginator(account_rows(name=name), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "name": name}
    status = 422 if form.errors else 200
    template, piece = "labeling/account_list.html", "labeling/_account_form.html"
    return answer(request, template, piece, context, status)


def _account(request: HttpRequest, pk: int) -> User:
    require(reader(request), "account.manage")
    user = people().filter(pk=pk).first()
    if user is None:
        raise NotFound(_("There is no such account."))
    return user


def _shown(request: HttpRequest, user: User, error: InvalidInput | None = None) -> HttpResponseBase:
    """Show the account, with its link as long as it waits for a password."""
    token = link_token(user)
    path = reverse("labeling:password_link", args=[user.pk, token]) if token else ""
    context: dict[str, Any] = {
        "account": user,
        "memberships": user.memberships.select_related("project").order_by("project__name"),
        "link": request.build_absolute_uri(path) if path else "",
        "link_days": settings.PASSWORD_RESET_TIMEOUT // (24 * 3600),
        "is_own": user.pk == reader(request).pk,
        "error": error,
    }
    page, piece = "labeling/account_detail.html", "labeling/_account_card.html"
    return answer(request, page, piece, context, 422 if error else 200)


@never_cache
@require_GET
@signed_in
def account_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show one account, and what may be done about it."""
    return _shown(request, _account(request, pk))


@never_cache
@require_POST
@signed_in
def account_deed(request: HttpRequest, pk: int, deed: str) -> HttpResponseBase:
    """Switch an account off or on, give or take the rights of an admin, reset its password."""
    user = _account(request, pk)
    if deed not in DEEDS:
        raise NotFound(_("There is no such deed."))
    try:
        DEEDS[deed](actor=reader(request), user=user)
    except InvalidInput as error:
        return _shown(request, user, error)
    if wants_piece(request):
        return _shown(request, user)
    return go_to(request, "labeling:account_detail", user.pk)
