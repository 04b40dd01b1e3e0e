"""Signing in, and who is signed in."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle

from labeling.api.base import ApiView, answers
from labeling.api.serializers import AccountSerializer, TokenSerializer


class TokenThrottle(AnonRateThrottle):
    """Guessing passwords is slow."""

    rate = "60/minute"


class TokenView(ObtainAuthToken):
    """A name and a password for a token."""

    throttle_classes = (TokenThrottle,)

    @extend_schema(
        operation_id="token_obtain", request=AuthTokenSerializer, responses=answers(TokenSerializer)
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the account's token; send it as `Authorization: Token <token>`."""
        return super().post(request, *args, **kwargs)


class MeView(ApiView):
    """Whoever asks."""

    @extend_schema(operation_id="me", responses=answers(AccountSerializer))
    def get(self, request: Request) -> Response:
        """Return the account that is signed in."""
        return Response(AccountSerializer(self.actor).data)
