"""Signing in and out, and a person's own settings."""

import zoneinfo

from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from labeling.exceptions import PrefloopError
from labeling.forms import OwnSettingsForm, refuse
from labeling.services.accounts import update_own_settings
from labeling.views.access import answer, go_to, reader, signed_in


def _next_url(request: HttpRequest) -> str:
    """Return where the login leads: an address of this server, else the list of projects."""
    url = request.POST.get("next") or request.GET.get("next") or ""
    hosts = {request.get_host()}
    if url_has_allowed_host_and_scheme(url, hosts, require_https=request.is_secure()):
        return url
    return resolve_url(settings.LOGIN_REDIRECT_URL)


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Sign a person in and lead on to where they wanted to go."""
    if request.user.is_authenticated:
        return redirect(_next_url(request))
    form = AuthenticationForm(request, data=request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        auth.login(request, form.get_user())
        return redirect(_next_url(request))
    context = {"form": form, "next": _next_url(request)}
    return render(request, "labeling/login.html", context, status=422 if form.is_bound else 200)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """Sign the reader out."""
    auth.logout(request)
    return redirect(resolve_url(settings.LOGOUT_REDIRECT_URL or "/"))


def _in_new_language(request: HttpRequest, language: str) -> HttpResponse:
    """Say that the settings are saved, and let this browser speak the language signed out too."""
    name = settings.LANGUAGE_COOKIE_NAME
    request.COOKIES.pop(name, None)
    with translation.override(language or translation.get_language_from_request(request)):
        messages.success(request, _("Your settings are saved."))
    response = go_to(request, "labeling:own_settings")
    if language:
        response.set_cookie(
            name,
            language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.LANGUAGE_COOKIE_SECURE,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Lax",
        )
    else:
        response.delete_cookie(name, samesite="Lax")
    return response


@require_http_methods(["GET", "POST"])
@signed_in
def own_settings(request: HttpRequest) -> HttpResponseBase:
    """Show and change the reader's time zone and language."""
    user = reader(request)
    initial = {"time_zone": user.time_zone, "language": user.language}
    form = OwnSettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            update_own_settings(actor=user, **form.cleaned_data)
        except PrefloopError as error:
            refuse(form, error)
        else:
            return _in_new_language(request, user.language)
    context = {"form": form, "time_zones": sorted(zoneinfo.available_timezones())}
    return answer(
        request,
        "labeling/own_settings.html",
        "labeling/_own_settings_form.html",
        context,
        status=422 if form.errors else 200,
    )
