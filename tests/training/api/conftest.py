"""Clients of the API, and a bell that is only noted."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from labeling.models import User
from training import tasks

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


@pytest.fixture(autouse=True)
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note for which runs somebody rang, in place of a broker."""
    rung: list[int] = []
    monkeypatch.setattr(tasks.train, "apply_async", lambda args, expires: rung.append(*args))
    return rung
