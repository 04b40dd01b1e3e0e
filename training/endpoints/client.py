"""Asks an OpenAI-compatible server for replies, and expects every failure that a server can have.

Many threads may use one client. Each request has its moment by the server's rate, at most so many
are under way at once, a failure that may pass is tried again after a while, and every other one is
an EndpointError whose sentence says what to do. The key leaves this module in one header alone.

Pure: no Django, no torch, so recipes, pages and tests use the same one.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpcore2

from labeling.domain.sentences import sentence as _
from training.endpoints.addresses import Deadline, PinnedBackend, url_problem
from training.endpoints.errors import (
    AddressRefused,
    Dropped,
    Ended,
    EndpointError,
    KeyRefused,
    Nonsense,
    NotThere,
    RequestRefused,
    TooLong,
)
from training.endpoints.failures import Limits, hidden, refusal, retry_after_s, translated, unkeyed
from training.endpoints.pace import Pace, backoff_s
from training.endpoints.protocol import (
    Ask,
    Piece,
    Reply,
    body_of,
    events,
    read_models,
    read_piece,
    read_reply,
    said_in,
    shown,
)

T = TypeVar("T")
LONGEST_RETRY_AFTER_S: Final = 600.0
"""A server that asks for a longer wait is given up; whoever asked may come back later."""
SHOWN_MODELS: Final = 10
_ERROR_BYTES: Final = 16_384
_NEW_LIMIT: Final = "max_completion_tokens"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server and how patiently it is asked; times in seconds, each of one try.

    `read_timeout_s` is how long it may be silent, `total_timeout_s` how long a whole answer may
    take. `requests_per_minute` 0 is as many as it takes.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    concurrency: int = 4
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    total_timeout_s: float = 300.0
    retries: int = 4
    requests_per_minute: int = 0
    allows_private: bool = False
    max_answer_bytes: int = 4 * 1024 * 1024


class Client:
    """Asks one server. Close it, or use it as a context: its threads and connections end then."""

    def __init__(self, server: Server) -> None:
        problem = url_problem(server.base_url, allows_private=server.allows_private)
        if problem:
            raise AddressRefused(problem)
        if not (server.api_key.isascii() and server.api_key.isprintable()):
            raise KeyRefused(_("The key holds characters that no key has: copy it once more."))
        self.server = server
        self._closed = threading.Event()
        self._deadline = Deadline()
        self._pace = Pace(server.requests_per_minute, self._closed)
        self._slots = threading.BoundedSemaphore(server.concurrency)
        self._limit_name = "max_tokens"
        self._limits = Limits(
            connect_s=server.connect_timeout_s,
            silence_s=server.read_timeout_s,
            total_s=server.total_timeout_s,
        )
        backend = PinnedBackend(
            allows_private=server.allows_private, deadline=self._deadline, closed=self._closed
        )
        # No proxy of the environment is used, and nothing is redirected: both could lead within.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=server.concurrency,
            keepalive_expiry=5.0,
            network_backend=backend,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way: whoever waits for an answer gets Ended within a second."""
        self._closed.set()
        with suppress(RuntimeError):
            self._pool.close()

    def reply(self, ask: Ask) -> Reply:
        """Return the reply to one request. Raises EndpointError."""
        found, tries = self._patiently(lambda: self._in_turn(lambda: self._whole(ask)))
        return replace(found, tries=tries)

    def replies(
        self, asks: Sequence[Ask], *, enough: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Reply | EndpointError]]:
        """Yield the place of each request with its reply, or with why there is none, as they come.

        At most `concurrency` requests are under way. Once there is `enough` none is begun any more;
        those under way are still waited for, as they are paid for. Whoever stops to listen ends
        the rest.
        """
        pool = ThreadPoolExecutor(self.server.concurrency, thread_name_prefix="endpoint")
        waiting: dict[Future[Reply], int] = {}
        left = iter(enumerate(asks))
        try:
            while True:
                while len(waiting) < self.server.concurrency and not enough():
                    place, ask = next(left, (-1, None))
                    if ask is None:
                        break
                    waiting[pool.submit(self.reply, ask)] = place
                if not waiting:
                    return
                for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(done), _outcome(done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def stream(self, ask: Ask) -> Generator[Piece]:
        """Yield a reply piece by piece. Raises EndpointError.

        A failure before the first piece, be it a sign of life alone, is tried again; afterwards a
        reply that was cut is Dropped.
        """
        with self._slots:
            opened, _tries = self._patiently(lambda: self._begin(ask))
            first, rest = opened
            try:
                yield first
                yield from rest
            except EndpointError as error:
                raise unkeyed(error, self.server.api_key) from None
            finally:
                rest.close()

    def models(self) -> list[str]:
        """Return the names of the server's models. Raises EndpointError."""
        read = partial(self._body, "GET", "models", None)
        raw, _tries = self._patiently(lambda: self._in_turn(read))
        return read_models(raw)

    def told(self, error: EndpointError) -> str:
        """Return what is wrong; of a model that is not there, with the names of those that are."""
        sentence: str = error.args[0]
        if not isinstance(error, NotThere):
            return sentence
        try:
            names = self.models()
        except EndpointError:
            return sentence
        if not names or self.server.model in names:
            return sentence
        key = self.server.api_key
        named = ", ".join(shown(hidden(name, key)) for name in names[:SHOWN_MODELS])
        return _("{why} It knows these models: {names}.", why=sentence, names=named)

    # --- one request, patiently ---------------------------------------------------------------

    def _patiently(self, send: Callable[[], T]) -> tuple[T, int]:
        """Return what `send` gives, and at which try; failures that may pass are tried again."""
        tries = 0
        while True:
            tries += 1
            try:
                return send(), tries
            except EndpointError as error:
                if self._closed.is_set():
                    raise Ended(_("The client was closed before the answer came.")) from None
                clean = unkeyed(error, self.server.api_key)
                if not clean.may_pass or tries > self.server.retries:
                    raise clean from None
                self._rest(clean, tries)

    def _in_turn(self, send: Callable[[], T]) -> T:
        """Return what `send` gives once there is a place and the rate allows it."""
        with self._slots:
            self._pace.take_turn()
            return send()

    def _rest(self, error: EndpointError, tries: int) -> None:
        asked = error.retry_after_s
        if asked is not None and asked > LONGEST_RETRY_AFTER_S:
            raise error
        if asked is not None:
            self._pace.hold(asked)
        self._pace.wait(max(backoff_s(tries), asked or 0.0))

    def _whole(self, ask: Ask) -> Reply:
        while True:
            name = self._limit_name
            body = body_of(ask, self.server.model, limit_name=name, stream=False)
            try:
                return read_reply(self._body("POST", "chat/completions", body))
            except RequestRefused as error:
                if not self._renames_limit(error, name):
                    raise

    def _renames_limit(self, error: RequestRefused, name: str) -> bool:
        """Some models know the longest reply by its newer name alone, and say so; told once."""
        if name == _NEW_LIMIT or _NEW_LIMIT not in str(error):
            return False
        self._limit_name = _NEW_LIMIT
        return True

    def _body(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        with self._answer(method, path, body) as chunks:
            return b"".join(chunks)

    def _begin(self, ask: Ask) -> tuple[Piece, Generator[Piece]]:
        """Return the first piece of a stream, and those that follow."""
        self._pace.take_turn()
        pieces = self._pieces(ask)
        try:
            return next(pieces), pieces
        except StopIteration:
            raise Nonsense(
                _("The stream held no reply: try again, or look into the server's log.")
            ) from None

    def _pieces(self, ask: Ask) -> Generator[Piece]:
        body = body_of(ask, self.server.model, limit_name=self._limit_name, stream=True)
        with self._answer("POST", "chat/completions", body) as chunks:
            ended = False
            for data in events(chunks):
                if data == b"[DONE]":
                    return
                piece = Piece() if data is None else read_piece(data)
                ended = ended or bool(piece.finish_reason)
                yield piece
        if not ended:
            raise Dropped(
                _(
                    "The stream ended before the reply did: try again, or look into the "
                    "server's log."
                )
            )

    @contextmanager
    def _answer(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> Iterator[Iterator[bytes]]:
        """Give the chunks of an answer's body. Raises EndpointError for everything else."""
        end = time.monotonic() + self.server.total_timeout_s
        with translated(self._limits), self._until(end):
            response = self._pool.handle_request(self._request(method, path, body))
        try:
            chunks = self._chunks(response, end)
            if not 200 <= response.status < 300:
                self._refuse(response, chunks)
            yield chunks
        finally:
            # It closes the connection as well, unless the whole answer was read.
            with suppress(httpcore2.NetworkError, httpcore2.ProtocolError):
                response.close()

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> httpcore2.Request:
        server, url = self.server, f"{self.server.base_url.rstrip('/')}/{path}"
        parts = urlsplit(url)
        content = b"" if body is None else json.dumps(body).encode()
        host = (parts.hostname or "").encode("idna")
        headers = [
            (b"Host", (b"[%s]" % host if b":" in host else host) + _port(parts.port)),
            (
                b"Accept",
                b"text/event-stream" if body and body.get("stream") else b"application/json",
            ),
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(content)).encode()),
            (b"User-Agent", b"prefloop"),
        ]
        if server.api_key:
            headers.append((b"Authorization", b"Bearer " + server.api_key.encode("ascii")))
        target = httpcore2.URL(
            scheme=parts.scheme.encode(), host=host, port=parts.port, target=_target(parts.path)
        )
        timeouts = {
            "connect": server.connect_timeout_s,
            "read": server.read_timeout_s,
            "write": server.read_timeout_s,
        }
        return httpcore2.Request(
            method, target, headers=headers, content=content, extensions={"timeout": timeouts}
        )

    def _chunks(self, response: httpcore2.Response, end: float) -> Generator[bytes]:
        """Yield a body as it comes, no longer and no later than it may be."""
        stream: Iterator[bytes] = iter(response.iter_stream())
        size = 0
        while True:
            with translated(self._limits), self._until(end):
                chunk = next(stream, None)
            if chunk is None:
                return
            size += len(chunk)
            if size > self.server.max_answer_bytes:
                raise TooLong(
                    _(
                        "The answer is longer than {count} bytes: ask for fewer tokens.",
                        count=self.server.max_answer_bytes,
                    )
                )
            yield chunk

    @contextmanager
    def _until(self, end: float) -> Iterator[None]:
        """Let what this thread reads within end at a moment."""
        before, self._deadline.at = self._deadline.at, end
        try:
            yield
        finally:
            self._deadline.at = before

    def _refuse(self, response: httpcore2.Response, chunks: Iterator[bytes]) -> None:
        """Raise what a status other than success means, with what the server says of it."""
        raw = bytearray()
        with suppress(EndpointError):
            for chunk in chunks:
                raw += chunk
                if len(raw) > _ERROR_BYTES:
                    break
        said = shown(hidden(said_in(bytes(raw)), self.server.api_key))
        raise refusal(response.status, said, retry_after_s(response))


def _outcome(done: Future[Reply]) -> Reply | EndpointError:
    try:
        return done.result()
    except EndpointError as error:
        return error


def _port(port: int | None) -> bytes:
    return b"" if port is None else b":%d" % port


def _target(path: str) -> bytes:
    return quote(path, safe="/%:@!$&'()*+,;=~").encode()
