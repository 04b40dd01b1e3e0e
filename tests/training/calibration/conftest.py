"""Clients of the API for the tests of calibration."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from labeling.models import User


@pytest.fixture
def client_for() -> Callable[[User | None], APIClient]:
    """Return a maker of clients that are signed in as somebody, or as nobody."""

    def make(user: User | None) -> APIClient:
        client = APIClient()
        if user is not None:
            client.force_authenticate(user)
        return client

    return make
