"""The address at which the web server listens."""

import http.client
import os
import socket
from dataclasses import dataclass

_DEFAULT_BIND = "127.0.0.1:8000"
_PORTS_TO_TRY = 50


class BindError(Exception):
    """No server can listen there; the message names the remedy."""


@dataclass(frozen=True)
class Bind:
    """The address of the web server."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Bind":
        """Read `host:port`; an IPv6 host stands in brackets."""
        host, separator, port = text.rpartition(":")
        if not separator or not port.isdigit() or not 0 < int(port) < 65536:
            raise BindError(f"PREFLOOP_BIND={text!r} must be host:port, as {_DEFAULT_BIND}.")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def nearby(self) -> "Bind":
        """The same port, asked for from this machine."""
        return Bind({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)  # noqa: S104

    def is_free(self) -> bool:
        """Say whether a server could listen here now; raises BindError for a bad host."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise BindError(f"PREFLOOP_BIND names an unknown host: {self}") from error
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError:
                return False
        return True


def choose_bind(*, may_move: bool) -> Bind:
    """Return PREFLOOP_BIND; where it is unset and taken, `may_move` allows the next free port."""
    given = os.environ.get("PREFLOOP_BIND")
    bind = Bind.parse(given or _DEFAULT_BIND)
    last = bind.port + (_PORTS_TO_TRY if may_move and not given else 1)
    for port in range(bind.port, min(last, 65536)):
        candidate = Bind(bind.host, port)
        if candidate.is_free():
            return candidate
    raise BindError(
        f"{bind} is taken by another program: stop that one, or set PREFLOOP_BIND "
        f"to another address, as PREFLOOP_BIND=127.0.0.1:{bind.port + 1}."
    )


def answers(bind: Bind) -> bool:
    """Say whether a web server that is not at fault answers `GET /health`."""
    connection = http.client.HTTPConnection(bind.host, bind.port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
