"""The whole application as people start it, for tests that go through a browser."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from config import embedded_postgres
from config.bind import Bind, answers
from config.processes import death_signal

REPOSITORY = Path(__file__).resolve().parent.parent
_READY_LIMIT_S = 120.0
_STOP_LIMIT_S = 30


@dataclass(frozen=True)
class LiveStack:
    """A running application: its address, its folder, and how to run manage.py beside it."""

    url: str
    var_dir: Path
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes]"

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py against this application and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=dict(self.environment),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise AssertionError(f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def logs(self) -> str:
        """Return the end of every log, to explain a failure."""
        paths = sorted((self.var_dir / "log").glob("*.log"))
        tails = (path.read_text(errors="replace").splitlines()[-40:] for path in paths)
        ends = (
            "\n".join([f"== {path.name}", *tail]) for path, tail in zip(paths, tails, strict=True)
        )
        return "\n".join(ends)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_stack(**settings: str) -> Iterator[LiveStack]:
    """Run the supervisor with a folder and a port of its own; extra settings are environment."""
    with tempfile.TemporaryDirectory(prefix="prefloop-e2e-", ignore_cleanup_errors=True) as name:
        var_dir = Path(name)
        bind = Bind("127.0.0.1", free_port())
        environment = {
            **{key: value for key, value in os.environ.items() if key != "DATABASE_URL"},
            **{"PREFLOOP_VAR": name, "PREFLOOP_BIND": str(bind), **settings},
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "config.supervisor", "serve"],
            cwd=REPOSITORY,
            env=environment,
            start_new_session=True,
            preexec_fn=death_signal(signal.SIGTERM),
        )
        stack = LiveStack(f"http://{bind}", var_dir, environment, process)
        try:
            _wait_until_ready(stack, bind)
            yield stack
        finally:
            process.terminate()
            process.wait(timeout=_STOP_LIMIT_S)
            embedded_postgres.remove(var_dir)


def _wait_until_ready(stack: LiveStack, bind: Bind) -> None:
    give_up = time.monotonic() + _READY_LIMIT_S
    while not answers(bind):
        if stack.process.poll() is not None or time.monotonic() > give_up:
            pytest.fail(f"the application did not start:\n{stack.logs()}")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def live_stack() -> Iterator[LiveStack]:
    """Return one whole running application for the session: web, workers, beat, database."""
    with running_stack() as stack:
        yield stack
