"""The gate that keeps late requests from tables that are being emptied."""

import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from tests import server_gate
from tests.server_gate import Gate


def greeting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as the smallest of applications."""
    start_response("200 OK", [])
    return [b"hello"]


def ask(gate: Gate) -> tuple[str, Iterable[bytes]]:
    """Return the status and the answer, not yet closed."""
    said: list[str] = []
    answer = gate({}, lambda status, *rest: said.append(status))
    return said[0], answer


def test_open_gate_lets_through() -> None:
    status, answer = ask(Gate(greeting))
    assert (status, list(answer)) == ("200 OK", [b"hello"])


def test_shut_gate_refuses() -> None:
    gate = Gate(greeting)
    gate.shut()
    status, answer = ask(gate)
    assert (status, list(answer)) == ("503 Service Unavailable", [])


def test_shutting_waits_for_an_answer_to_be_closed() -> None:
    gate = Gate(greeting)
    _, answer = ask(gate)
    shutting = threading.Thread(target=gate.shut)
    shutting.start()
    shutting.join(0.05)
    assert shutting.is_alive()
    answer.close()  # type: ignore[attr-defined]
    shutting.join(5)
    assert not shutting.is_alive()


def test_request_that_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_gate, "LIMIT_S", 0.01)
    gate = Gate(greeting)
    ask(gate)
    with pytest.raises(TimeoutError, match="1 requests still ran"):
        gate.shut()


def test_application_that_fails_leaves() -> None:
    def failing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError("no")

    gate = Gate(failing)
    with pytest.raises(RuntimeError):
        gate({}, lambda *said: None)
    gate.shut()
