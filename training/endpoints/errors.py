"""What can go wrong with a server that is asked for replies, each with a sentence on the remedy.

Pure: no Django, no torch.
"""

from __future__ import annotations

from typing import ClassVar


class EndpointError(Exception):
    """A server that could not be asked, or whose answer can't be used.

    `args[0]` is a whole sentence that names the remedy. `may_pass` tells whether the same request
    may succeed when it is sent again; `retry_after_s` is what the server asked to wait, if it did.
    """

    code: ClassVar[str] = "endpoint_error"
    may_pass: ClassVar[bool] = False

    def __init__(self, sentence: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class AddressRefused(EndpointError):
    """The name leads to an address that this server must not ask."""

    code = "address_refused"


class Unreachable(EndpointError):
    """The name is not known, nobody listens there, or no safe connection could be made."""

    code = "unreachable"
    may_pass = True


class Silent(EndpointError):
    """Nothing came for too long, or the whole answer took too long."""

    code = "silent"
    may_pass = True


class Dropped(EndpointError):
    """The connection ended in the middle of the answer."""

    code = "dropped"
    may_pass = True


class TooManyRequests(EndpointError):
    """The server wants to be asked less often (429)."""

    code = "too_many_requests"
    may_pass = True


class ServerFault(EndpointError):
    """The server failed by itself (5xx)."""

    code = "server_fault"
    may_pass = True


class KeyRefused(EndpointError):
    """The server does not take the key (401, 403)."""

    code = "key_refused"


class NotThere(EndpointError):
    """The server knows no such path or model (404), or sends elsewhere (3xx)."""

    code = "not_there"


class RequestRefused(EndpointError):
    """The server does not take what it was asked (other 4xx)."""

    code = "request_refused"


class Nonsense(EndpointError):
    """The answer is no answer of the protocol."""

    code = "nonsense"
    may_pass = True


class TooLong(EndpointError):
    """The answer is longer than this server may send."""

    code = "too_long"


class Ended(EndpointError):
    """The client was closed while it waited; nothing was wrong with the server."""

    code = "ended"
