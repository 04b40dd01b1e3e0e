"""What the whole API shares: pages in a stable order, and one shape for every error."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_handler

from labeling.exceptions import PrefloopError


class StablePagination(PageNumberPagination):
    """Pages of at most 200 rows; every list is ordered by a unique key."""

    page_size_query_param = "page_size"
    max_page_size = 200


def _joined(prefix: str, key: str | int) -> str:
    """Return the name of a part: a field after a dot, a place in a list in brackets."""
    if isinstance(key, int):
        return f"{prefix}[{key}]"
    return f"{prefix}.{key}" if prefix else str(key)


def _as_lists(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    """Return REST framework's nested details as `{field: [sentences]}`."""
    if isinstance(detail, dict):
        flat: dict[str, list[str]] = {}
        for key, value in detail.items():
            flat.update(_as_lists(value, _joined(prefix, key)))
        return flat
    if isinstance(detail, list):
        if all(not isinstance(item, dict | list) for item in detail):
            return {prefix or "body": [str(item) for item in detail]}
        flat = {}
        for number, item in enumerate(detail):
            flat.update(_as_lists(item, _joined(prefix, number)))
        return flat
    return {prefix or "body": [str(detail)]}


def _coded(error: Exception) -> tuple[str, str, dict[str, list[str]]]:
    if isinstance(error, exceptions.ValidationError):
        return "invalid_input", "Some fields can't be taken.", _as_lists(error.detail)
    if isinstance(error, Http404):
        return "not_found", "There is no such thing, or none that you may see.", {}
    if isinstance(error, PermissionDenied):
        return "not_allowed", "That is not allowed.", {}
    # REST framework answers no other kind.
    assert isinstance(error, exceptions.APIException)  # noqa: S101
    return error.default_code, str(error.detail), {}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer every expected error as `{"code", "message", "errors"}`; faults stay faults."""
    if isinstance(error, PrefloopError):
        return Response(error.as_json(), status=error.status)
    response = rest_exception_handler(error, context)
    if response is None:
        return None
    code, message, errors = _coded(error)
    response.data = {"code": code, "message": message, "errors": errors}
    if isinstance(error, exceptions.ValidationError):
        response.status_code = 422
    return response
