"""A reply on its way from a model to a browser, as server-sent events.

`piece` brings more of the text, `done` the whole reply as sanitized HTML, `problem` a sentence. A
stream holds a thread of the web server, so a process has a few at a time and turns others away.

A model that has nothing to say yet gives signs of life, and each goes on to the browser as a
comment: writing it is how the web server learns that the browser has left, and closes the stream.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any, Self

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from labeling.domain.rendering import render_text
from labeling.exceptions import PrefloopError
from labeling.language import said
from labeling.templatetags.prefloop import rendered
from training.endpoints.client import Client, Server
from training.endpoints.errors import EndpointError
from training.endpoints.protocol import Ask, Piece

SIGN_OF_LIFE = b":\n\n"
_places = threading.BoundedSemaphore(settings.PLAYGROUND_STREAMS)


class Busy(PrefloopError):
    """As many replies are on their way as this process may have, or the model is busy."""

    code = "busy"
    status = 429


class Relay:
    """The events of one reply. Close it: that ends the model's work where it is not done."""

    def __init__(self, server: Server, ask: Ask) -> None:
        """Wait for the first sign of life. Raises Busy, and EndpointError where there is none."""
        if not _places.acquire(blocking=False):
            raise Busy(_("Too many replies are being written at this moment: wait for a place."))
        self._lock = threading.Lock()
        self._open = True
        self._language = translation.get_language()
        self._client: Client | None = None
        self._pieces: Iterator[Piece] = iter(())
        try:
            self._client = Client(server)
            self._pieces = self._client.stream(ask)
            self._first = next(self._pieces)
        except BaseException:
            self.close()
            raise
        self._events = self._relayed()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        """Let go of the model and of the place; done once however often it is asked for."""
        with self._lock:
            if not self._open:
                return
            self._open = False
        try:
            if self._client is not None:
                self._client.close()
            self._pieces.close()  # type: ignore[attr-defined]
        except (AttributeError, EndpointError, ValueError):
            pass  # it was not begun, or is over
        finally:
            _places.release()

    def _relayed(self) -> Iterator[bytes]:
        text, reason, tokens = [], "", None
        try:
            for piece in self._all():
                reason = piece.finish_reason or reason
                tokens = piece.completion_tokens or tokens
                if piece.text:
                    text.append(piece.text)
                    yield event("piece", {"text": piece.text})
                else:
                    yield SIGN_OF_LIFE
            yield event("done", self._whole("".join(text), reason, tokens))
        except EndpointError as error:
            with translation.override(self._language):
                yield event("problem", {"message": said(error.args[0])})
        finally:
            self.close()

    def _all(self) -> Iterator[Piece]:
        yield self._first
        yield from self._pieces

    def _whole(self, text: str, reason: str, tokens: int | None) -> dict[str, Any]:
        with translation.override(self._language):
            html = str(rendered(render_text(text)))
        return {"text": text, "html": html, "is_cut": reason == "length", "tokens": tokens}


def event(name: str, data: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
