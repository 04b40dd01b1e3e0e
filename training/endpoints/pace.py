"""How often a server is asked: so many requests a minute, and none while it asks to wait.

Pure: no Django, no torch.
"""

from __future__ import annotations

import threading
import time
from random import SystemRandom

from labeling.domain.sentences import sentence as _
from training.endpoints.errors import Ended

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
_luck = SystemRandom()


class Pace:
    """Gives each request its moment; shared by all threads that ask one server."""

    def __init__(self, requests_per_minute: int, closed: threading.Event) -> None:
        self._gap_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._closed = closed
        self._lock = threading.Lock()
        self._next = 0.0

    def take_turn(self) -> None:
        """Wait for the next moment at which a request may be sent. Raises Ended."""
        with self._lock:
            now = time.monotonic()
            moment = max(self._next, now)
            self._next = moment + self._gap_s
        self.wait(moment - now)

    def hold(self, seconds: float) -> None:
        """Let no thread begin a request for a while: the server asked all of us to wait."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def wait(self, seconds: float) -> None:
        """Wait, unless the client is closed. Raises Ended."""
        if self._closed.wait(max(seconds, 0.0)):
            raise Ended(_("The client was closed before the server was asked."))


def backoff_s(attempt: int) -> float:
    """Return how long to wait before the next try: doubled each time, and never twice the same.

    >>> 0.25 <= backoff_s(1) <= 0.5
    True
    """
    full = min(FIRST_WAIT_S * 2.0 ** (attempt - 1), LONGEST_WAIT_S)
    return full * (0.5 + _luck.random() / 2)
