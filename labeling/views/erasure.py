"""Erasing a person: what it touches is named before it is confirmed."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.erase_form import EraseForm
from labeling.exceptions import NotFound, PrefloopError
from labeling.forms import refuse
from labeling.permissions import require
from labeling.selectors.accounts import people
from labeling.selectors.erasure import work_of
from labeling.services.accounts import erase_user
from labeling.views.access import answer, go_to, reader, signed_in


@never_cache
@require_http_methods(["GET", "POST"])
@signed_in
def account_erase(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Show what a person left and which snapshots and models hold it; erase the person."""
    admin = reader(request)
    require(admin, "account.erase")
    user = people().filter(pk=pk).first()
    if user is None:
        raise NotFound(_("There is no such account."))
    form = EraseForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_valid():
        try:
            erase_user(actor=admin, user=user)
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "labeling:account_list")
    context = {"account": user, "form": form, "work": work_of(user)}
    page, piece = "labeling/account_erase.html", "labeling/_account_erase.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)
