"""What a connection's failures and a server's refusals mean, each as a typed error.

Pure: no Django, no torch.
"""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore2

from labeling.domain.sentences import Sentence
from labeling.domain.sentences import sentence as _
from training.endpoints.errors import (
    Dropped,
    EndpointError,
    KeyRefused,
    NotThere,
    RequestRefused,
    ServerFault,
    Silent,
    TooManyRequests,
    Unreachable,
)

_TELLING = 4
"""So many first characters of a key, where a quotation was cut, are taken for the key."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a server may take, in seconds."""

    connect_s: float
    silence_s: float
    total_s: float


@contextmanager
def translated(limits: Limits) -> Iterator[None]:
    """Say in our words what the connection's failures mean."""
    try:
        yield
    except httpcore2.ConnectTimeout:
        raise Unreachable(
            _(
                "No connection came about within {count} s: start the server, or correct the "
                "base URL.",
                count=f"{limits.connect_s:g}",
            )
        ) from None
    except httpcore2.ConnectError as error:
        raise Unreachable(_connect_sentence(error)) from None
    except (httpcore2.TimeoutException, TimeoutError):
        raise Silent(
            _(
                "The server was silent for {silent} s, or not done after {total} s: raise the "
                "limits, or ask for fewer tokens.",
                silent=f"{limits.silence_s:g}",
                total=f"{limits.total_s:g}",
            )
        ) from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
        raise Dropped(
            _(
                "The connection ended before the answer did: try again, or look into the "
                "server's log."
            )
        ) from None


def _connect_sentence(error: Exception) -> str:
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _("The server's certificate is not trusted: install its authority, or correct it.")
    if isinstance(cause, ssl.SSLError):
        return _("The server speaks no TLS there: write http in the base URL, or another port.")
    return _("Nobody answers at the server's address: start the server, or correct the base URL.")


def retry_after_s(response: httpcore2.Response) -> float | None:
    """Return how many seconds a server asks to wait, by number or by date."""
    found = [value for name, value in response.headers if name.lower() == b"retry-after"]
    if not found:
        return None
    text = found[0].decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def refusal(status: int, said: str, retry_after_s: float | None) -> EndpointError:
    if status == 429:
        text = _("The server wants fewer requests ({said}): lower the rate, or wait.", said=said)
        return TooManyRequests(text, retry_after_s=retry_after_s)
    if status in (401, 403):
        text = _("The server refuses the key ({said}): give a valid one.", said=said)
        return KeyRefused(text)
    if status == 404 or 300 <= status < 400:
        text = _(
            "The server has nothing there ({status}, {said}): correct the base URL and the model's "
            "name.",
            status=status,
            said=said,
        )
        return NotThere(text)
    if status in (408, 409, 425) or status >= 500:
        text = _(
            "The server failed ({status}, {said}): try again later, or look into the server's log.",
            status=status,
            said=said,
        )
        return ServerFault(text, retry_after_s=retry_after_s)
    text = _(
        "The server refuses the request ({status}, {said}): change what it names.",
        status=status,
        said=said,
    )
    return RequestRefused(text)


def hidden(text: str, key: str) -> str:
    """Return a text of the server's without the key: some servers repeat it.

    A quotation escapes what it quotes and may end in the middle of the key: both are found too.
    """
    if not key:
        return text
    escaped = repr(key)[1:-1]
    for known in (key, escaped):
        text = text.replace(known, "…")
    for length in range(len(escaped) - 1, _TELLING - 1, -1):
        text = text.replace(escaped[:length] + "…", "…")
    return text


def unkeyed(error: EndpointError, key: str) -> EndpointError:
    """Return the same error with the key in no part of its sentence."""
    return type(error)(_unkeyed(error.args[0], key), retry_after_s=error.retry_after_s)


def _unkeyed(text: str, key: str) -> str:
    """Clean what was filled in; the pattern is our own."""
    if not isinstance(text, Sentence):
        return hidden(text, key)
    values = {
        name: _unkeyed(value, key) if isinstance(value, str) else value
        for name, value in text.values.items()
    }
    return _(text.pattern, **values)
