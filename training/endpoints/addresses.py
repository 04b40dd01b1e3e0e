"""Where a server may lie: URLs that are taken, addresses that are refused, connections pinned.

A name is resolved once for each connection, every address it leads to is judged, and the connection
goes to the judged address itself: what a name says a moment later changes nothing. How an address
is written (decimal, octal, IPv6 within which an IPv4 lies) does not matter, as numbers are judged.

Pure: no Django, no torch.
"""

from __future__ import annotations

import ipaddress
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore2

from labeling.domain.sentences import sentence as _
from training.endpoints.errors import AddressRefused, Unreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# A cloud's machines learn their own passwords at these, so nobody may allow them: link-local ones
# of all clouds, and those that lie elsewhere (AWS by IPv6, Alibaba, Oracle, Azure).
_METADATA: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",
        "100.100.100.200/32",
        "192.0.0.0/24",
        "168.63.129.16/32",
    )
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NUMBER_LIKE: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)
_SLICE_S: Final = 0.5
_MAX_URL: Final = 500


def url_problem(url: str, *, allows_private: bool) -> str | None:
    """Return why a base URL can't be taken, by how it is written alone; None where it can."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return _("This is no URL: write one such as https://models.example.org/v1.")
    if parts.scheme not in ("http", "https") or not host or len(url) > _MAX_URL:
        return _("This is no URL: write one such as https://models.example.org/v1.")
    if re.search(r"[\x00-\x20\x7f\\]", url) or port == 0:
        return _("This is no URL: write one such as https://models.example.org/v1.")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return _("A URL is shown on pages: put the key into its own field, not into the URL.")
    if parts.query or parts.fragment:
        return _("Leave out everything after the path: a base URL has no ? and no #.")
    if parts.scheme == "http" and not allows_private:
        return _(
            "Over http the key and the prompts could be read on the way: use https, or allow "
            "private addresses for a server within your own network."
        )
    return _host_problem(host, allows_private=allows_private)


def _host_problem(host: str, *, allows_private: bool) -> str | None:
    literal = _literal(host)
    if literal is not None:
        return address_problem(literal, allows_private=allows_private)
    if _NUMBER_LIKE.fullmatch(host):
        return _("Write the address as four numbers from 0 to 255, or give a name.")
    try:
        host.encode("idna")
    except UnicodeError:
        return _("{host} is no name of a server: correct it.", host=repr(host))
    return None


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def address_problem(address: Address, *, allows_private: bool) -> str | None:
    """Return why an address must not be asked; None where it may."""
    inner = _inner(address)
    if inner is not None:
        return address_problem(inner, allows_private=allows_private)
    if any(address in network for network in _METADATA if network.version == address.version):
        return _(
            "{address} belongs to the machines' own network, where passwords lie: no endpoint may "
            "be there.",
            address=str(address),
        )
    if address.is_multicast or address.is_unspecified:
        return _("{address} is no address of one server: give another.", address=str(address))
    inside = address.is_private or not address.is_global or address.is_reserved
    inside = inside or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    if inside and not allows_private:
        return _(
            "{address} lies within this machine's own network: allow private addresses for this "
            "endpoint if the server is yours, or give a public one.",
            address=str(address),
        )
    return None


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address to which an IPv6 one leads in the end, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def resolve(host: str, port: int, *, allows_private: bool) -> list[str]:
    """Return the addresses of a name, all of them judged.

    One that must not be asked makes the name refused as a whole: an honest one has no such address
    beside a public one. Raises AddressRefused, and Unreachable for a name that nobody knows.
    """
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(
            _("No server is known under the name {host}: correct the base URL.", host=host)
        ) from None
    found = list(dict.fromkeys(str(row[4][0]) for row in rows))
    for text in found:
        problem = address_problem(
            ipaddress.ip_address(text.partition("%")[0]), allows_private=allows_private
        )
        if problem:
            raise AddressRefused(problem)
    return found


class Deadline(threading.local):
    """When the answer that this thread reads must be whole, by time.monotonic()."""

    at: float = float("inf")


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects to judged addresses alone, and reads no longer than this thread's deadline."""

    def __init__(
        self, *, allows_private: bool, deadline: Deadline, closed: threading.Event
    ) -> None:
        self._allows_private = allows_private
        self._deadline = deadline
        self._closed = closed
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of the name that answers."""
        addresses = resolve(host, port, allows_private=self._allows_private)
        end = time.monotonic() + (timeout or 0)
        for number, address in enumerate(addresses, start=1):
            left = max(end - time.monotonic(), 0.05) if timeout else None
            try:
                stream = self._inner.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if number == len(addresses):
                    raise
            else:
                return _TimedStream(stream, self._deadline, self._closed)
        raise httpcore2.ConnectError("no address")

    def connect_unix_socket(self, *arguments: Any, **named: Any) -> httpcore2.NetworkStream:
        """Refuse: a server is asked over the network."""
        raise httpcore2.ConnectError("unix sockets are not used")


class _TimedStream(httpcore2.NetworkStream):
    """A stream that looks at the deadline, and at whether the client was closed, as it waits."""

    def __init__(
        self, inner: httpcore2.NetworkStream, deadline: Deadline, closed: threading.Event
    ) -> None:
        self._inner = inner
        self._deadline = deadline
        self._closed = closed

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come. Raises ReadTimeout after silence, or at the deadline."""
        end = min(self._deadline.at, time.monotonic() + (timeout or float("inf")))
        while not self._closed.is_set():
            left = end - time.monotonic()
            if left <= 0:
                raise httpcore2.ReadTimeout("too long")
            try:
                return self._inner.read(max_bytes, min(left, _SLICE_S))
            except httpcore2.ReadTimeout:
                continue
        raise httpcore2.ReadError("the client was closed")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        left = self._deadline.at - time.monotonic()
        if left <= 0:
            raise httpcore2.WriteTimeout("too long")
        wait = min(left, timeout or left)
        self._inner.write(buffer, wait if math.isfinite(wait) else None)

    def close(self) -> None:
        """Let go of the connection."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Go on under TLS; the certificate must be the name's, whatever its address is."""
        safe = self._inner.start_tls(ssl_context, server_hostname, timeout)
        return _TimedStream(safe, self._deadline, self._closed)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection beneath says of itself."""
        return self._inner.get_extra_info(info)
