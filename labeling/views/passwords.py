"""Passwords: one's own changed, and the first one chosen by a link."""

from django.contrib import auth, messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from labeling.exceptions import InvalidInput
from labeling.forms import FirstPasswordForm, OwnPasswordForm, refuse
from labeling.services.passwords import change_own_password, set_first_password, user_of_link
from labeling.views.access import answer, go_to, reader, signed_in


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "POST"])
@signed_in
def own_password(request: HttpRequest) -> HttpResponseBase:
    """Change the reader's own password; this session alone goes on."""
    form = OwnPasswordForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            user = change_own_password(actor=reader(request), **form.passwords())
        except InvalidInput as error:
            refuse(form, error)
        else:
            auth.update_session_auth_hash(request, user)
            messages.success(request, _("Your password is changed."))
            return go_to(request, "labeling:own_settings")
    page, piece = "labeling/own_password.html", "labeling/_own_password_form.html"
    return answer(request, page, piece, {"form": form}, 422 if form.errors else 200)


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "POST"])
def password_link(request: HttpRequest, pk: int, token: str) -> HttpResponse:
    """Let the bearer of a link choose the account's password, and sign them in."""
    user = user_of_link(user_id=pk, token=token)
    form = FirstPasswordForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            user = set_first_password(user_id=pk, token=token, **form.passwords())
        except InvalidInput as error:
            refuse(form, error)
        else:
            auth.login(request, user)
            return redirect("labeling:project_list")
    context = {"form": form, "account": user}
    status = 422 if form.errors else 200
    return render(request, "labeling/password_link.html", context, status=status)
