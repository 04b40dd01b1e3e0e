"""A person's own "today" and language, and errors put in words."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone, translation
from django_htmx.middleware import HtmxDetails

from config.middleware import DomainErrorMiddleware, PersonalSettingsMiddleware
from labeling.exceptions import Conflict, InvalidInput
from labeling.models import User

Request = Callable[..., HttpRequest]


@pytest.fixture
def request_of() -> Request:
    """Return a maker of requests by somebody, with headers."""

    def make(user: Any = None, **headers: str) -> HttpRequest:
        request = RequestFactory().get("/", headers=headers)
        request.user = user or AnonymousUser()
        request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
        return request

    return make


def _seen(request: HttpRequest) -> tuple[str, str]:
    """Return the time zone and the language in which a request is answered."""
    seen: list[tuple[str, str]] = []

    def answer(_: HttpRequest) -> HttpResponse:
        seen.append((timezone.get_current_timezone_name(), translation.get_language() or ""))
        return HttpResponse()

    PersonalSettingsMiddleware(answer)(request)
    return seen[0]


def test_a_person_has_their_own_time_zone_and_language(request_of: Request) -> None:
    user = User(time_zone="Asia/Shanghai", language="zh-hans")
    assert _seen(request_of(user)) == ("Asia/Shanghai", "zh-hans")
    assert (timezone.get_current_timezone_name(), translation.get_language()) == ("UTC", "en")


def test_without_a_language_of_their_own_the_browser_decides(request_of: Request) -> None:
    with translation.override("zh-hans"):
        assert _seen(request_of(User(time_zone="Asia/Tokyo"))) == ("Asia/Tokyo", "zh-hans")


def test_nobody_signed_in_gets_the_sites_settings(request_of: Request) -> None:
    assert _seen(request_of()) == ("UTC", "en")


def test_settings_are_put_back_after_a_fault(request_of: Request) -> None:
    def fail(_: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        PersonalSettingsMiddleware(fail)(request_of(User(time_zone="Asia/Tokyo", language="en")))
    assert timezone.get_current_timezone_name() == "UTC"


def _answered(request: HttpRequest, error: Exception) -> HttpResponse | None:
    middleware = DomainErrorMiddleware(lambda _: HttpResponse("passed"))
    assert middleware(request).status_code == 200
    return middleware.process_exception(request, error)


def test_an_error_is_json_for_programs(request_of: Request) -> None:
    error = InvalidInput("No <b>.", errors={"tiers": ["Empty."]})
    response = _answered(request_of(accept="application/json"), error)
    assert response is not None
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/json")
    assert response.content == (
        b'{"code": "invalid_input", "message": "No <b>.", "errors": {"tiers": ["Empty."]}}'
    )


def test_an_error_is_a_piece_for_htmx_and_a_page_for_people(request_of: Request) -> None:
    error = Conflict("Moved <script>on</script>.")
    piece = _answered(request_of(**{"HX-Request": "true"}), error)
    page = _answered(request_of(), error)
    boosted = _answered(request_of(**{"HX-Request": "true", "HX-Boosted": "true"}), error)
    assert piece is not None
    assert page is not None
    assert boosted is not None
    assert piece.status_code == page.status_code == boosted.status_code == 409
    assert b"<html" not in piece.content
    assert b"<html" in page.content
    assert b"<html" in boosted.content
    for response in (piece, page, boosted):
        assert b"Moved &lt;script&gt;" in response.content


def test_a_fault_is_left_to_be_a_fault(request_of: Request) -> None:
    assert _answered(request_of(), ZeroDivisionError()) is None
