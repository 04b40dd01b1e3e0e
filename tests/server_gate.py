"""A gate before the test's own server, to be shut before the tables are emptied."""

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

LIMIT_S = 30.0


class Gate:
    """Lets requests through to a WSGI application until it is shut, and knows who is inside.

    A browser's keep-alive requests travel on after their page is closed. Once the gate is shut
    they are answered with 503 and reach no table.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application
        self._changed = threading.Condition()
        self._inside = 0
        self._is_open = True

    @classmethod
    def before(cls, server: "LiveServer") -> "Gate":
        """Return an open gate before what `server` serves, in place of any earlier gate."""
        httpd = server.thread.httpd
        application = httpd.get_app()
        gate = cls(application.application if isinstance(application, cls) else application)
        httpd.set_app(gate)
        return gate

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on, or refuse it."""
        with self._changed:
            if not self._is_open:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return []
            self._inside += 1
        try:
            answer = self.application(environ, start_response)
        except BaseException:
            self.leave()
            raise
        return _Answer(answer, self)

    def shut(self) -> None:
        """Let nobody in any more and wait for those inside.

        Raises:
            TimeoutError: if one of them takes longer than 30 s.
        """
        with self._changed:
            self._is_open = False
            if not self._changed.wait_for(lambda: self._inside == 0, LIMIT_S):
                raise TimeoutError(f"{self._inside} requests still ran after {LIMIT_S:.0f} s")

    def leave(self) -> None:
        """Count one request out."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()


class _Answer:
    """An answer's chunks; its request is inside until it is closed, as WSGI asks of servers."""

    def __init__(self, chunks: Iterable[bytes], gate: Gate) -> None:
        self._chunks = chunks
        self._gate = gate

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        try:
            if hasattr(self._chunks, "close"):
                self._chunks.close()
        finally:
            self._gate.leave()
