"""Serves a policy to this machine: `python -m training.recipes.serve <model folder>`.

Speaks the protocol of chat completions on a loopback port, which it prints as one line of JSON
once the model is loaded: `{"port": 40123}`. Whoever asks needs the token from the environment
variable PREFLOOP_SERVE_TOKEN. One reply is drawn at a time, and a client that goes away ends its
own. It ends with its parent (PREFLOOP_LAUNCHER_PID, else whoever started it), and when nobody has
asked for a while.
"""

from __future__ import annotations

import argparse
import contextlib
import hmac
import json
import logging
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from training import rundir
from training.recipes.running import logger
from training.recipes.serving import Asked, Refused, Talker, Turnstile, load_talker

TOKEN = "PREFLOOP_SERVE_TOKEN"  # noqa: S105 - a name, not a secret
MAX_BODY_BYTES = 1024 * 1024
WAITING = 4
_PING_S = 2.0
_WATCH_S = 0.5
_SOCKET_TIMEOUT_S = 30.0


class Server(ThreadingHTTPServer):
    """A model behind a port; `used` is when somebody last asked, by time.monotonic()."""

    daemon_threads = True

    def __init__(
        self, talker: Talker, token: str, *, port: int = 0, waiting: int = WAITING
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.talker = talker
        self.turnstile = Turnstile(waiting)
        self.used = time.monotonic()
        self._token = f"Bearer {token}".encode()

    def knows(self, given: str) -> bool:
        """Whether the header is the one that opens this server."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no fault."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            logger.exception("A request failed.")


class Handler(BaseHTTPRequestHandler):
    """One connection: one request, one answer."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "prefloop"
    sys_version = ""
    timeout = _SOCKET_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Log no request: it is somebody's conversation."""

    def do_GET(self) -> None:
        """Tell which model is here, or how it is."""
        with self._refusals():
            self._check_token()
            if self.path == "/health":
                self._json(200, {"status": "ok", "inside": self.server.turnstile.inside})
            elif self.path == "/v1/models":
                one = {"id": self.server.talker.name, "object": "model", "owned_by": "prefloop"}
                self._json(200, {"object": "list", "data": [one]})
            else:
                raise Refused(404, "not_found", "There is nothing at this path.")

    def do_POST(self) -> None:
        """Give a reply, whole or piece by piece."""
        with self._refusals():
            self._check_token()
            if self.path != "/v1/chat/completions":
                raise Refused(404, "not_found", "There is nothing at this path.")
            asked = self.server.talker.asked(self._body())
            turnstile = self.server.turnstile
            self.server.used = time.monotonic()
            if not turnstile.enter():
                raise Refused(429, "busy", "The model is busy with others: ask again in a moment.")
            try:
                (self._stream if asked.stream else self._whole)(asked)
            finally:
                self.server.used = time.monotonic()
                turnstile.leave()

    # --- a reply ----------------------------------------------------------------------------------

    def _stream(self, asked: Asked) -> None:
        head = self._head("chat.completion.chunk")
        self._begin(200, "text/event-stream")
        ended: dict[str, Any] = {}
        with self._turn(b": waiting\n\n"):
            try:
                with contextlib.closing(self.server.talker.pieces(asked, ended)) as pieces:
                    self._event(head | _choice({"role": "assistant", "content": ""}))
                    for piece in pieces:
                        self._event(head | _choice({"content": piece}))
                        self._check_client()
            except RuntimeError as error:  # torch's own, such as memory that ran out
                logger.exception("A reply failed.")
                self._event(Refused(500, "failed", f"The model failed: {error}").body())
                return
        self._event(head | _choice({}, ended["finish_reason"]))
        if asked.tells_usage:
            self._event(head | {"choices": [], "usage": ended["usage"]})
        self._write(b"data: [DONE]\n\n")

    def _whole(self, asked: Asked) -> None:
        ended: dict[str, Any] = {}
        said = []
        with self._turn(b""):
            try:
                with contextlib.closing(self.server.talker.pieces(asked, ended)) as pieces:
                    for piece in pieces:
                        said.append(piece)
                        self._check_client()
            except RuntimeError as error:
                logger.exception("A reply failed.")
                raise Refused(500, "failed", f"The model failed: {error}") from None
        message = {"role": "assistant", "content": "".join(said)}
        choice = {"index": 0, "message": message, "finish_reason": ended["finish_reason"]}
        body = self._head("chat.completion") | {"choices": [choice], "usage": ended["usage"]}
        self._json(200, body)

    @contextlib.contextmanager
    def _turn(self, ping: bytes) -> Iterator[None]:
        """Have the model to ourselves; raises ConnectionError where the client left meanwhile."""
        turnstile = self.server.turnstile
        while not turnstile.take_turn(_PING_S):
            self._check_client()
            if ping:
                self._write(ping)
        try:
            yield
        finally:
            turnstile.end_turn()

    def _head(self, kind: str) -> dict[str, Any]:
        name = f"chatcmpl-{os.urandom(12).hex()}"
        model = self.server.talker.name
        return {"id": name, "object": kind, "created": int(time.time()), "model": model}

    # --- the connection ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        self.close_connection = True
        try:
            yield
        except Refused as refused:
            self._json(refused.status, refused.body())

    def _check_token(self) -> None:
        if not self.server.knows(self.headers.get("Authorization", "")):
            raise Refused(401, "invalid_api_key", "The token is missing, or not this server's.")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(411, "length_required", "Send the body's length.")
        if int(length) > MAX_BODY_BYTES:
            raise Refused(413, "too_large", f"Send at most {MAX_BODY_BYTES} bytes.")
        return self.rfile.read(int(length))

    def _check_client(self) -> None:
        """Raise ConnectionError if the client has gone: what nobody reads is not drawn."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if readable and not self.connection.recv(1, socket.MSG_PEEK):
            raise ConnectionAbortedError("the client left")

    def _begin(self, status: int, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()

    def _json(self, status: int, body: Mapping[str, Any]) -> None:
        raw = json.dumps(body, ensure_ascii=False).encode()
        self._begin(status, "application/json", len(raw))
        self._write(raw)

    def _event(self, body: Mapping[str, Any]) -> None:
        self._write(b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n")

    def _write(self, raw: bytes) -> None:
        self.wfile.write(raw)
        self.wfile.flush()


def _choice(delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def end_with_parent() -> None:
    """End this process within a second of its parent's end, whatever it is doing."""
    given = os.environ.get("PREFLOOP_LAUNCHER_PID")
    parent = int(given) if given else os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main(arguments: list[str] | None = None) -> None:
    """Load the model, say at which port it is, and serve it until nobody asks any more."""
    parser = argparse.ArgumentParser(prog="python -m training.recipes.serve", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", help="what requests call the model; else the folder's name")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--waiting", type=int, default=WAITING, help="requests that may wait")
    parser.add_argument("--idle-s", type=float, default=600.0, help="ends after so long unasked")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # Taken out of the environment, so that no library and no child can read it there.
    token = os.environ.pop(TOKEN, "")
    if len(token) < 16:
        raise SystemExit(f"Set {TOKEN} to a random text of at least 16 characters.")
    if not given.folder.is_dir():
        raise SystemExit(f"{given.folder} is not a folder on this machine.")
    end_with_parent()
    gpu = given.device == "auto" and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    try:
        talker = load_talker(given.folder, name=given.name or given.folder.name, device=device)
    except (rundir.RunFolderError, OSError, ValueError) as error:
        raise SystemExit(f"The model can't be served: {error}") from None
    serve(Server(talker, token, port=given.port, waiting=given.waiting), given.idle_s)


def serve(server: Server, idle_s: float) -> None:
    """Answer until nobody has asked for so many seconds."""
    threading.Thread(target=server.serve_forever, name="serve", daemon=True).start()
    sys.stdout.write(json.dumps({"port": server.server_address[1]}) + "\n")
    sys.stdout.flush()
    while server.turnstile.inside or time.monotonic() - server.used < idle_s:
        time.sleep(min(_WATCH_S, idle_s))
    logger.info("nobody asked for %s s", idle_s)
    server.shutdown()


if __name__ == "__main__":
    main()
