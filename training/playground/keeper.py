"""The child process that serves a model, as the worker keeps it: started, watched, ended.

The message that starts it holds no place in the worker: a thread of the worker's process keeps the
child, and the child ends with that process. The database may be away for a while; the child is
ended when it has been away so long that another worker may have taken the lease.
"""

import contextlib
import http.client
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from django.conf import settings
from django.db import connection

from labeling.domain.sentences import sentence as _
from training import launcher
from training.playground import services
from training.playground.models import ServedModel
from training.worker import DATABASE_AWAY, forget_connection

logger = logging.getLogger(__name__)
POLL_S = 0.5
_ASK_TIMEOUT_S = 2.0
_LOG_BYTES = 4000


class Child:
    """A model being served; `log` is where it writes what goes wrong."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self.port: int | None = None
        folder = Path(settings.SERVE_LOG_DIR)
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"serve-{served.pk}.log"
        words = [sys.executable, "-m", "training.recipes.serve", str(served.model.folder)]
        words += ["--name", str(served.model), "--device", settings.SERVE_DEVICE]
        # It ends by itself too, should nobody be left who could end it.
        words += ["--idle-s", str(2 * settings.SERVE_LEASE_S)]
        threads = str(min(settings.SERVE_THREADS, os.cpu_count() or 1))
        environment = launcher.environment() | {
            "PREFLOOP_SERVE_TOKEN": served.token,
            "PREFLOOP_LAUNCHER_PID": str(os.getpid()),
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                words,
                cwd=launcher.PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None

    def says_port(self) -> bool:
        """Whether it has just told its port: the model is loaded."""
        if self.port is not None or self.process.stdout is None:
            return False
        readable, _, _ = select.select([self.process.stdout], [], [], 0)
        line = self.process.stdout.readline() if readable else b""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self.port = int(json.loads(line)["port"])
        return self.port is not None

    def busy(self) -> bool:
        """Whether somebody waits for a reply of it."""
        if self.port is None:
            return False
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ASK_TIMEOUT_S)
        try:
            asked.request(
                "GET", "/health", headers={"Authorization": f"Bearer {self.served.token}"}
            )
            return bool(json.loads(asked.getresponse().read())["inside"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return False
        finally:
            asked.close()

    def last_words(self) -> str:
        """The end of its log."""
        with self.log.open("rb") as log:
            log.seek(max(self.log.stat().st_size - _LOG_BYTES, 0))
            return log.read().decode("utf-8", "replace").replace("\x00", "").strip()

    def end(self) -> None:
        """End it; a reply in its middle is lost."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def start_keeping(served: ServedModel) -> threading.Thread:
    """Keep a claimed lease from a thread of its own."""
    name = f"serve-{served.pk}"
    thread = threading.Thread(target=_keep_and_let_go, args=(served,), name=name, daemon=True)
    thread.start()
    return thread


def _keep_and_let_go(served: ServedModel) -> None:
    try:
        keep(served)
    except DATABASE_AWAY:
        logger.warning("The end of %s could not be put down; it will be found.", served)
    finally:
        connection.close()


def keep(served: ServedModel) -> None:
    """Serve a model as long as its lease lasts. Nothing that was started outlives this call."""
    child = Child(served)
    problem = ""
    try:
        problem = _watch(child)
    finally:
        child.end()
    services.end_served(served=served, problem=problem)


def _watch(child: Child) -> str:
    """Return why the child ended by itself; nothing where it is to end."""
    began = alive = time.monotonic()
    beat = 0.0
    while not child.ended():
        now = time.monotonic()
        if child.says_port():
            beat = 0.0
        if child.port is None and now - began > settings.SERVE_LOAD_S:
            late = _("The model was not loaded in time: use a smaller one, or raise the limit.")
            return f"{child.last_words()}\n{late}".strip()
        if now - beat >= settings.SERVE_HEARTBEAT_S:
            try:
                goes_on = _tell(child)
                alive = now
            except DATABASE_AWAY:
                forget_connection("a served model goes on for a while")
                goes_on = now - alive < settings.SERVE_LOST_AFTER_S
            if not goes_on:
                return ""
            beat = now
        time.sleep(POLL_S)
    return _why(child)


def _why(child: Child) -> str:
    """Return why a child ended that nobody had ended; people read the last line."""
    code = child.process.returncode
    if code == -signal.SIGKILL:
        killed = _("The model's process was killed, most often because memory ran out.")
        return f"{child.last_words()}\n{killed}".strip()
    return (child.last_words() or f"The model's process ended with code {code}.") if code else ""


def _tell(child: Child) -> bool:
    """Give a sign of life, and the port once it is known; returns whether to go on."""
    if not services.keep_lease(served=child.served, busy=child.busy()):
        return False
    if child.port is None:
        return True
    return services.mark_ready(served=child.served, port=child.port)
