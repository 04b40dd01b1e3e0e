"""Simulated annotators: one process, one thread and one connection each, as lean as can be.

They share the machine with what they measure, so no HTTP library stands between them and the
socket. Reads one JSON document on standard input and prints one on standard output:
`python -m bench.web_clients login` signs people in through the form and returns their cookies;
`python -m bench.web_clients steps` submits rankings and takes the next card for a while;
`python -m bench.web_clients look` asks for a card where none is left.
"""

import json
import random
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

_FIELD = {
    name: re.compile(rb'name="%s" value="([^"]+)"' % name.encode())
    for name in ("assignment", "key", "csrfmiddlewaretoken")
}
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_COOKIE = re.compile(rb"\r\nset-cookie: ([^=]+)=([^;\r]*)", re.IGNORECASE)


class ClientError(Exception):
    """The server answered something that no annotator should meet."""


@dataclass
class Wire:
    """One keep-alive connection with its cookies."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    _socket: socket.socket | None = None

    def send(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body of one request; a form is sent as htmx sends it."""
        body = urlencode(form or {}).encode()
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        if cookies:
            head += f"Cookie: {cookies}\r\n"
        if form is not None:
            head += (
                "Content-Type: application/x-www-form-urlencoded\r\n"
                f"HX-Request: true\r\nContent-Length: {len(body)}\r\n"
            )
        return self._exchange(head.encode() + b"\r\n" + body)

    def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        missing = (int(length.group(1)) if length else 0) - len(body)
        parts = [body]
        while missing > 0:
            parts.append(self._more())
            missing -= len(parts[-1])
        for name, value in _COOKIE.findall(head):
            self.cookies[name.decode()] = value.decode()
        if b"\r\nconnection: close" in head.lower():
            self.close()
        return int(head[9:12]), b"".join(parts)

    def _more(self) -> bytes:
        assert self._socket is not None
        chunk = self._socket.recv(262_144)
        if not chunk:
            raise ClientError("the server closed the connection in the middle of an answer")
        return chunk

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _found(name: str, page: bytes) -> str | None:
    found = _FIELD[name].search(page)
    return found.group(1).decode() if found else None


def sign_in(port: int, username: str, password: str) -> dict[str, str]:
    """Return the cookies of a person who signed in through the form."""
    wire = Wire(port)
    _, page = wire.send("GET", "/login/")
    token = _found("csrfmiddlewaretoken", page) or ""
    form = {"username": username, "password": password, "csrfmiddlewaretoken": token}
    status, page = wire.send("POST", "/login/", form)
    wire.close()
    if "sessionid" not in wire.cookies:
        raise ClientError(f"{username} could not sign in ({status}): {page[:300]!r}")
    return wire.cookies


@dataclass
class Annotator:
    """One person at work: holds a card, sends its ranking, gets the next card in the answer."""

    wire: Wire
    spec: dict[str, Any]
    number: int
    steps: list[tuple[float, float]] = field(default_factory=list)
    problem: str = ""

    def work(self, until: float) -> None:
        """Take steps until the clock says stop; note what went wrong, if anything."""
        try:
            self._work(until)
        except (OSError, ClientError, TimeoutError) as error:
            self.problem = f"annotator {self.number}: {type(error).__name__}: {error}"

    def _work(self, until: float) -> None:
        rng = random.Random(self.number)
        card = self._first_card()
        while (began := time.monotonic()) < until:
            form = self._form(card, rng)
            status, card = self.wire.send("POST", self.spec["submit"], form)
            if status != 200:
                raise ClientError(f"status {status}: {card[:300]!r}")
            self.steps.append((began, time.monotonic() - began))

    def _first_card(self) -> bytes:
        if "start" not in self.spec:  # the floor has no page: begin with a comparison of nobody's
            return b'name="assignment" value="0" name="key" value="-"'
        status, page = self.wire.send("GET", self.spec["start"])
        if status != 200:
            raise ClientError(f"status {status} on the ranking page: {page[:300]!r}")
        return page

    def _form(self, card: bytes, rng: random.Random) -> dict[str, str]:
        assignment, key = _found("assignment", card), _found("key", card)
        if assignment is None or key is None:
            raise ClientError("nothing was left to rank: the world is too small for the bench")
        order = rng.sample(range(1, 5), 4)
        form = {"assignment": assignment, "key": key, "active_ms": "1500", "events": "[]"}
        form |= {f"rank-{position}": str(rank) for position, rank in enumerate(order)}
        if token := _found("csrfmiddlewaretoken", card):
            return form | {"csrfmiddlewaretoken": token}
        tiers = json.dumps([[order.index(rank)] for rank in range(1, 5)])
        return form | {"annotator": str(self.number), "tiers": tiers}


def take_steps(spec: dict[str, Any]) -> dict[str, Any]:
    """Let all annotators work at once and return every step: when it began, and how long it took.

    Times are seconds, counted from the moment at which all were let go.
    """
    people = [
        Annotator(Wire(spec["port"], dict(cookies)), spec, number)
        for number, cookies in enumerate(spec["cookies"])
    ]
    began = time.monotonic()
    until = began + spec["seconds"]
    threads = [threading.Thread(target=person.work, args=[until]) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "problems": [person.problem for person in people if person.problem],
        "steps": [
            [round(at - began, 5), round(took, 6)] for person in people for at, took in person.steps
        ],
    }


def look(spec: dict[str, Any]) -> list[float]:
    """Ask for the ranking page's card again and again; return how long each answer took."""
    wire, took = Wire(spec["port"], dict(spec["cookies"][0])), []
    for _ in range(spec["times"]):
        began = time.monotonic()
        status, page = wire.send("GET", spec["start"])
        took.append(round(time.monotonic() - began, 6))
        if status != 200 or b"nothing-left" not in page:
            raise ClientError(f"status {status}, where nothing should be left: {page[:300]!r}")
    return took


def main() -> None:
    """Do what the first argument says with the document on standard input."""
    spec = json.load(sys.stdin)
    if sys.argv[1] == "login":
        names = spec["usernames"]
        answer: Any = [sign_in(spec["port"], name, spec["password"]) for name in names]
    elif sys.argv[1] == "look":
        answer = look(spec)
    else:
        answer = take_steps(spec)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
