"""Clients of the API."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from labeling.models import User

ClientFor = Callable[[User | None], APIClient]


@pytest.fixture
def client_for() -> ClientFor:
    """Return a maker of clients that are signed in as somebody, or as nobody."""

    def make(user: User | None) -> APIClient:
        client = APIClient()
        if user is not None:
            client.force_authenticate(user)
        return client

    return make
