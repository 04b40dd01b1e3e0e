"""A real HTTP server that speaks the protocol of chat completions, with every failure it can have.

It runs in a thread of the test, on loopback, so a recipe in a child process may ask it too. What it
replies follows from the messages and the seed alone. `plan` says how the next requests go wrong.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = (
    "red",
    "green",
    "blue",
    "warm",
    "cold",
    "near",
    "far",
    "old",
    "new",
    "calm",
    "quick",
    "slow",
)


@dataclass
class Asked:
    """One request as it came."""

    path: str
    body: dict[str, Any]
    key: str


def words_for(body: dict[str, Any]) -> list[str]:
    """The words of the reply to a request: the same for the same messages and seed."""
    said = json.dumps([body["messages"], body.get("seed")])
    digest = hashlib.sha256(said.encode()).digest()
    return [WORDS[byte % len(WORDS)] for byte in digest[: 3 + digest[0] % 4]]


def completion(body: dict[str, Any], text: str | None = None, **choice: Any) -> dict[str, Any]:
    """A whole answer, as the real ones look."""
    words = words_for(body) if text is None else text.split()
    message = {"role": "assistant", "content": " ".join(words) if text is None else text}
    made: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    if body.get("logprobs"):
        made["logprobs"] = {"content": [_token(word, body) for word in words]}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [made],
        "usage": usage_for(body, words),
    }


def usage_for(body: dict[str, Any], words: list[str]) -> dict[str, int]:
    """A token a word."""
    prompt = sum(len(str(message["content"]).split()) for message in body["messages"])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": len(words),
        "total_tokens": prompt + len(words),
    }


def _token(word: str, body: dict[str, Any]) -> dict[str, Any]:
    others = [{"token": word, "logprob": -0.25}, {"token": "other", "logprob": -2.0}]
    return {
        "token": word,
        "logprob": -0.25,
        "top_logprobs": others[: body.get("top_logprobs", 0)],
    }


class Handler(BaseHTTPRequestHandler):
    """Answers a request by the plan, or well."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.owner.asked.append(Asked(self.path, {}, self._key()))
        if self._refused():
            return
        self.answer({"object": "list", "data": [{"id": "tiny"}, {"id": "other"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner = self.server.owner
        with owner.lock:
            owner.asked.append(Asked(self.path, body, self._key()))
            deed = owner.plans.popleft() if owner.plans else owner.always
            owner.under_way += 1
            owner.most_at_once = max(owner.most_at_once, owner.under_way)
        try:
            if not self._refused():
                deed(self, body)
        finally:
            with owner.lock:
                owner.under_way -= 1

    def _key(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _refused(self) -> bool:
        wanted = self.server.owner.key
        if not wanted or self._key() == wanted:
            return False
        self.answer({"error": {"message": f"Incorrect API key: {self._key()}"}}, 401)
        return True

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        """Send a body with its length; bytes as they are, all else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def begin_stream(self) -> None:
        """Begin an answer whose end is the connection's."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def event(self, data: Any) -> None:
        """Send one event of a stream."""
        text = data if isinstance(data, str) else json.dumps(data)
        self.wfile.write(f"data: {text}\n\n".encode())
        self.wfile.flush()

    def cut(self) -> None:
        """Let go of the connection here."""
        self.close_connection = True


Deed = Callable[[Handler, dict[str, Any]], None]


def well(handler: Handler, body: dict[str, Any]) -> None:
    """Reply as one should: whole, or piece by piece."""
    if not body.get("stream"):
        handler.answer(completion(body))
        return
    words = words_for(body)
    handler.begin_stream()
    handler.wfile.write(b": keep-alive\n\n")
    handler.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for place, word in enumerate(words):
        text = word if place == 0 else f" {word}"
        handler.event({"choices": [{"index": 0, "delta": {"content": text}}]})
    handler.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    handler.event({"choices": [], "usage": usage_for(body, words)})
    handler.event("[DONE]")
    handler.cut()


def says(text: str | None, **choice: Any) -> Deed:
    """Reply with a text of the test's own."""

    def deed(handler: Handler, body: dict[str, Any]) -> None:
        made = completion(body, text or "", **choice)
        made["choices"][0]["message"]["content"] = text
        handler.answer(made)

    return deed


def status(code: int, said: Any = None, **headers: str) -> Deed:
    """Refuse with a status: 429 with `Retry_After="1"`, 500, 404."""

    def deed(handler: Handler, body: dict[str, Any]) -> None:
        handler.answer(said or {"error": {"message": f"status {code}"}}, code, **headers)

    return deed


def raw(body: Any) -> Deed:
    """Answer with success and a body that is no chat completion."""

    def deed(handler: Handler, _body: dict[str, Any]) -> None:
        handler.answer(body)

    return deed


def cut_body(handler: Handler, body: dict[str, Any]) -> None:
    """Promise a whole answer, send half of it, and hang up."""
    whole = json.dumps(completion(body)).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(whole)))
    handler.end_headers()
    handler.wfile.write(whole[: len(whole) // 2])
    handler.cut()


def cut_stream(handler: Handler, body: dict[str, Any]) -> None:
    """Send one piece of a stream, and hang up."""
    handler.begin_stream()
    handler.event({"choices": [{"index": 0, "delta": {"content": "half"}}]})
    handler.cut()


def hang_up(handler: Handler, body: dict[str, Any]) -> None:
    """Say nothing, and hang up."""
    handler.cut()


def failing_stream(handler: Handler, body: dict[str, Any]) -> None:
    """Say in the middle of a stream that it failed."""
    handler.begin_stream()
    handler.event({"choices": [{"index": 0, "delta": {"content": "half"}}]})
    handler.event({"error": {"message": "out of memory"}})
    handler.cut()


def silence(seconds: float) -> Deed:
    """Take the request, and say nothing for a while."""

    def deed(handler: Handler, body: dict[str, Any]) -> None:
        handler.server.owner.stopped.wait(seconds)
        handler.cut()

    return deed


def drip(gap_s: float) -> Deed:
    """Send a byte now and then: never silent for long, and never done."""

    def deed(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not handler.server.owner.stopped.wait(gap_s):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                break
        handler.cut()

    return deed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: OpenAIServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what some tests are about."""


@dataclass
class OpenAIServer:
    """The server, what it was asked, and how its next answers go wrong."""

    key: str = ""
    always: Deed = well
    asked: list[Asked] = field(default_factory=list)
    plans: deque[Deed] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)
    under_way: int = 0
    most_at_once: int = 0
    port: int = 0
    _http: _Server | None = None

    def start(self) -> None:
        """Listen; after a stop on the same port again."""
        self.stopped.clear()
        self._http = _Server(("127.0.0.1", self.port), Handler)
        self._http.owner = self
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self.stopped.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def plan(self, *deeds: Deed) -> None:
        """Let the next requests be answered like this, one each."""
        self.plans.extend(deeds)

    def chats(self) -> list[Asked]:
        """The requests for replies."""
        return [one for one in self.asked if one.path.endswith("/chat/completions")]


@contextmanager
def openai_server(**given: Any) -> Iterator[OpenAIServer]:
    """A running server, shut at the end."""
    server = OpenAIServer(**given)
    server.start()
    try:
        yield server
    finally:
        server.stop()
