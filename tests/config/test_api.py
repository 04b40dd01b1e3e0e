"""One shape for every error; lists in pages."""

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from config.api import StablePagination, exception_handler
from labeling.exceptions import IdempotencyConflict, InvalidInput, NotFound


def test_the_projects_own_errors_keep_code_status_and_fields() -> None:
    error = InvalidInput("No.", errors={"tiers": ["Place every candidate."]})
    response = exception_handler(error, {})
    assert response is not None
    assert response.status_code == 422
    assert response.data == {
        "code": "invalid_input",
        "message": "No.",
        "errors": {"tiers": ["Place every candidate."]},
    }


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (NotFound("Nowhere."), 404, "not_found", "Nowhere."),
        (IdempotencyConflict("Used."), 409, "idempotency_conflict", "Used."),
        (Http404("secret"), 404, "not_found", "There is no such thing, or none that you may see."),
        (PermissionDenied("secret"), 403, "not_allowed", "That is not allowed."),
        (exceptions.ParseError("Bad JSON."), 400, "parse_error", "Bad JSON."),
        (
            exceptions.MethodNotAllowed("PUT"),
            405,
            "method_not_allowed",
            'Method "PUT" not allowed.',
        ),
    ],
)
def test_every_expected_error_has_the_one_shape(
    error: Exception, status: int, code: str, message: str
) -> None:
    response = exception_handler(error, {})
    assert response is not None
    assert response.status_code == status
    assert response.data == {"code": code, "message": message, "errors": {}}


def test_a_fault_stays_a_fault() -> None:
    assert exception_handler(ZeroDivisionError(), {}) is None


def test_headers_that_clients_act_upon_are_kept() -> None:
    response = exception_handler(exceptions.Throttled(wait=7), {})
    assert response is not None
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")


class _Line(serializers.Serializer[object]):
    rank = serializers.IntegerField()


class _Body(serializers.Serializer[object]):
    name = serializers.CharField()
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    lines = _Line(many=True)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name", "tiers", "lines"}),
        ({"name": "", "tiers": [[0], ["x"]], "lines": []}, {"name", "tiers[1][0]"}),
        ({"name": "a", "tiers": [], "lines": [{"rank": 1}, {"rank": "x"}]}, {"lines[1].rank"}),
        ({"name": "a", "tiers": [], "lines": {}}, {"lines.non_field_errors"}),
        ("text", {"non_field_errors"}),
    ],
)
def test_wrong_fields_are_named_where_they_stand(body: object, fields: set[str]) -> None:
    given = _Body(data=body)
    with pytest.raises(serializers.ValidationError) as caught:
        given.is_valid(raise_exception=True)
    response = exception_handler(caught.value, {})
    assert response is not None
    assert (response.status_code, response.data["code"]) == (422, "invalid_input")
    assert set(response.data["errors"]) == fields
    sentences = [text for texts in response.data["errors"].values() for text in texts]
    assert all(type(text) is str for text in sentences)


def test_rows_of_a_list_are_named_by_their_place() -> None:
    detail: list[object] = [{}, {"rank": ["A number."], "text": ["Empty.", "Short."]}, "Too many."]
    response = exception_handler(serializers.ValidationError(detail), {})
    assert response is not None
    assert response.data["errors"] == {
        "[1].rank": ["A number."],
        "[1].text": ["Empty.", "Short."],
        "[2]": ["Too many."],
    }


def test_a_bare_sentence_is_about_the_body() -> None:
    response = exception_handler(serializers.ValidationError("Too much."), {})
    assert response is not None
    assert response.data["errors"] == {"body": ["Too much."]}


@pytest.mark.parametrize(("asked", "given"), [(None, 50), (3, 3), (10_000, 200), (0, 50)])
def test_pages_are_of_at_most_200_rows(asked: int | None, given: int) -> None:
    query = {} if asked is None else {"page_size": asked}
    request = Request(APIRequestFactory().get("/", query))
    page = StablePagination().paginate_queryset(list(range(500)), request)
    assert page == list(range(given))
