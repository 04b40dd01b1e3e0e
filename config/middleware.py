"""What every page request passes: personal time zone and language, and errors put in words."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone, translation

from labeling.exceptions import PrefloopError

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class PersonalSettingsMiddleware:
    """Give a signed-in person their own "today" and their own language."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set both for this request alone."""
        user = request.user
        if not user.is_authenticated:
            return self.get_response(request)
        with timezone.override(zoneinfo.ZoneInfo(user.time_zone)):
            if not user.language:
                return self.get_response(request)
            with translation.override(user.language):
                request.LANGUAGE_CODE = translation.get_language()
                response = self.get_response(request)
                response.headers.setdefault("Content-Language", user.language)
                return response


class DomainErrorMiddleware:
    """Turn the project's own errors into pages or pieces; anything else stays a fault."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer a PrefloopError with its status: JSON, a piece for htmx, or a page."""
        if not isinstance(error, PrefloopError):
            return None
        if request.headers.get("Accept", "").startswith("application/json"):
            return JsonResponse(error.as_json(), status=error.status)
        is_piece = getattr(request, "htmx", None) and not request.htmx.boosted  # type: ignore[attr-defined]
        template = "_error.html" if is_piece else "error.html"
        return render(request, template, {"error": error}, status=error.status)
