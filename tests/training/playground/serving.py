"""Stand-ins for a served model: a server that says what it is told, and leases made by hand."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from django.utils import timezone

from training.models import ModelVersion
from training.playground.models import ServedModel

TOKEN = "the child's own token"


class Speaker(ThreadingHTTPServer):
    """Streams `words`, `pause_s` apart; keeps what it was asked and whether a client left.

    Until `turn` is set it says only that the client has to wait.
    """

    daemon_threads = True

    def __init__(self, words: list[str], pause_s: float, status: int, breaks_off: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.words, self.pause_s, self.status = words, pause_s, status
        self.breaks_off = breaks_off
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.left = threading.Event()
        self.turn = threading.Event()
        self.turn.set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Speaker

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Stream the words as chunks of a chat completion."""
        server = self.server
        server.tokens.append(self.headers["Authorization"])
        server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(server.status)
        self.end_headers()
        if server.status != 200:
            self.wfile.write(b'{"error": {"message": "no room"}}')
            return
        try:
            while not server.turn.wait(0.05):
                self.wfile.write(b": waiting\n\n")
            for word in server.words:
                self._chunk({"delta": {"content": word}, "finish_reason": None})
                time.sleep(server.pause_s)
            if server.breaks_off:
                return
            self._chunk({"delta": {}, "finish_reason": "stop"})
            self.wfile.write(b"data: [DONE]\n\n")
        except ConnectionError:
            server.left.set()

    def _chunk(self, choice: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        self.wfile.flush()


@contextmanager
def speaking(
    *words: str, pause_s: float = 0.0, status: int = 200, breaks_off: bool = False
) -> Iterator[Speaker]:
    """Run a stand-in for a served model."""
    server = Speaker(list(words), pause_s, status, breaks_off)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def lease(model: ModelVersion, state: str = "ready", **fields: Any) -> ServedModel:
    """Return a model's lease as a worker on this machine would have left it."""
    now = timezone.now()
    given = {
        "port": 1 if state == "ready" else None,
        "token": TOKEN if state in ("ready", "loading") else "",
        "worker": f"{socket.gethostname()}:1",
        "lease_until": now + timedelta(seconds=600),
        "asked_at": now,
        "heartbeat_at": now if state in ("ready", "loading") else None,
    }
    row, _ = ServedModel.objects.update_or_create(
        model=model, defaults={**given, "state": state, **fields}
    )
    return row


def make_tiny_policy(folder: Path) -> None:
    """Write a policy with random weights, which says letters of no meaning."""
    from training.configs import parse_config
    from training.recipes.loading import new_policy, new_tokenizer, save_model

    shape = parse_config(
        "sft",
        {"init": "scratch", "vocab_size": 300, "hidden_size": 32, "layers": 2, "heads": 2}
        | {"kv_heads": 1, "intermediate_size": 64, "max_positions": 96, "max_length": 96},
    )
    tokenizer = new_tokenizer(["red blue green cat dog bird"] * 4, 300, 96)
    save_model(new_policy(shape, tokenizer), tokenizer, folder)
