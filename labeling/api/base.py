"""What every view of the API is made of: who asks, what they may reach, and lists in pages."""

import zoneinfo
from operator import attrgetter
from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from labeling.api.serializers import ErrorSerializer
from labeling.exceptions import InvalidInput, NotFound
from labeling.models import Project, User
from labeling.permissions import require

Row = TypeVar("Row", bound=Model)
HIDDEN = "There is no such thing, or none that you may see."

KEY_HEADER = "Idempotency-Key"


def idempotency_key(request: Request) -> str:
    """Return the key by which a retry is known. Raises InvalidInput, naming the header."""
    key = request.headers.get(KEY_HEADER, "").strip()
    if not 1 <= len(key) <= 80:
        raise InvalidInput(
            f"Send the header {KEY_HEADER}: a new text for each submission, the same for a retry.",
            errors={KEY_HEADER: ["Must be 1 to 80 characters."]},
        )
    return key


def answers(success: Any, status: int = 200) -> dict[str, Any]:
    """Return what a schema says of a view's answers: this one, or an error in the one shape."""
    return {str(status): success, "4XX": ErrorSerializer}


class ApiView(APIView):
    """A view for people who are signed in, by a token or by a session."""

    @property
    def actor(self) -> User:
        """Whoever asks."""
        user = self.request.user
        assert isinstance(user, User)  # noqa: S101 - IsAuthenticated has let nobody else in
        return user

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Leave the thread's time zone as it was."""
        with timezone.override(timezone.get_current_timezone()):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Give whoever signs in by a token their own "today", as the pages do."""
        super().initial(request, *args, **kwargs)
        if isinstance(request.user, User):
            timezone.activate(zoneinfo.ZoneInfo(request.user.time_zone))

    def project(self, slug: str, deed: str) -> Project:
        """Return the project of that short name, if the actor may do the deed in it.

        Raises NotFound to strangers and NotAllowed to members whose role does not reach.
        """
        return self.reach(Project.objects.filter(slug=slug), deed, None)

    def reach(self, rows: QuerySet[Row], deed: str, project_path: str | None) -> Row:
        """Return the one row, if the actor may do the deed in its project.

        Raises NotFound, in the same words, for what is not there and for what is a stranger's.
        """
        row = rows.first()
        if row is None:
            raise NotFound(HIDDEN)
        project: Any = attrgetter(project_path)(row) if project_path else row
        try:
            require(self.actor, deed, project)
        except NotFound:
            raise NotFound(HIDDEN) from None
        return row


class PagedView(ApiView):
    """A view whose GET is a list, given in pages."""

    pagination_class = cast(type[PageNumberPagination], api_settings.DEFAULT_PAGINATION_CLASS)

    def page(
        self,
        rows: QuerySet[Any] | list[Any],
        serializer: type[BaseSerializer[Any]],
        **context: Any,
    ) -> Response:
        """Return one page of rows that are in a stable order; `context` is the serializer's."""
        paginator = self.pagination_class()
        found = paginator.paginate_queryset(cast(QuerySet[Any], rows), self.request, view=self)
        return paginator.get_paginated_response(serializer(found, many=True, context=context).data)
