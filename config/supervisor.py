"""Starts the whole application on one machine, keeps it alive and stops it.

`python -m config.supervisor serve` starts PostgreSQL (unless DATABASE_URL names a server), the
web server, the workers of both queues and beat. `demo` does the same, then fills in the demo.
"""

import argparse
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config import embedded_postgres
from config.bind import Bind, BindError, answers, choose_bind
from config.keeper import Keeper, Program, spawn
from config.postgres_binaries import PostgresError
from config.processes import death_signal

BASE_DIR = Path(__file__).resolve().parent.parent
_READY_LIMIT_S = 120.0
_TICK_S = 0.1
# What would otherwise take every core in each of five processes.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# What the application writes below PREFLOOP_VAR; nothing else there is ever deleted.
_WRITTEN = (
    *("broker", "beat-schedule*", "exports", "log", "models", "runs", "secret_key"),
    *("static", "static.key", "uploads"),
)


class SupervisorError(Exception):
    """The application can't be started; the message names the remedy."""


@dataclass
class Asked:
    """Whether a signal asked this process to stop."""

    to_stop: bool = False

    def listen(self) -> None:
        """Take note of Ctrl-C, of `kill`, and of a closed terminal."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self.to_stop = True


@dataclass
class Supervisor:
    """Everything that one `make serve` or `make demo` runs."""

    var_dir: Path
    bind: Bind
    asked: Asked = field(default_factory=Asked)

    def __post_init__(self) -> None:
        """Prepare the folders."""
        self.keeper = Keeper(self.var_dir / "log", say)

    def run(self, *, demo: bool) -> int:
        """Start everything, wait for the signal to stop, stop everything; return the exit code."""
        began = time.monotonic()
        self.asked.listen()
        try:
            self._start()
            if not self._wait_until_ready():
                return 0
            say(f"ready after {time.monotonic() - began:.1f} s (logs: {self.keeper.log_dir})")
            if demo and not self._fill_demo():
                return 0 if self.asked.to_stop else 1
            say(f"Prefloop is at http://{self.bind.nearby}/ - Ctrl-C stops everything.")
            self._keep_until(lambda: False)
            return 0
        finally:
            say("stopping ...")
            self.keeper.stop()
            say("stopped")

    def _start(self) -> None:
        if not os.environ.get("DATABASE_URL"):
            self._start_postgres()
        self._prepare()
        for program in self._programs():
            self.keeper.add(program)

    def _start_postgres(self) -> None:
        say(embedded_postgres.announce(self.var_dir))
        start = functools.partial(embedded_postgres.start, self.var_dir)
        # SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one.
        signals = (signal.SIGINT, signal.SIGQUIT)
        self.keeper.add(Program("postgres", start, signals, order=1))

    def _prepare(self) -> None:
        command = [sys.executable, "-m", "config.prepare"]
        with self._foreground(command) as process:
            self._keep_until(lambda: process.poll() is not None)
        if process.returncode and not self.asked.to_stop:
            raise SupervisorError("The database or the static files could not be prepared.")

    def _programs(self) -> list[Program]:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        # The recipes that this worker starts inherit its environment.
        gpu_threads = _threads(cores or 1)
        short = _worker_command("default,serve", 2)
        return [
            self._program("web", web_command(self.bind), signal.SIGTERM, _threads(1)),
            self._program("worker", short, signal.SIGKILL, _threads(1)),
            self._program("gpu-worker", _worker_command("gpu", 1), signal.SIGKILL, gpu_threads),
            self._program("beat", self._beat_command(), signal.SIGTERM, _threads(1)),
        ]

    def _program(
        self, name: str, command: list[str], on_death: signal.Signals, threads: Mapping[str, str]
    ) -> Program:
        log = self.keeper.log_dir / f"{name}.log"
        env = {**threads, "PREFLOOP_VAR": str(self.var_dir), "PYTHONUNBUFFERED": "1"}
        start = functools.partial(spawn, command, cwd=BASE_DIR, log=log, env=env, on_death=on_death)
        return Program(name, start)

    def _beat_command(self) -> list[str]:
        schedule = str(self.var_dir / "beat-schedule")
        return [*_celery(), "beat", "--schedule", schedule, "--pidfile=", "--loglevel=INFO"]

    def _wait_until_ready(self) -> bool:
        """Poll the web server; False when asked to stop meanwhile."""
        give_up = time.monotonic() + _READY_LIMIT_S

        def answered() -> bool:
            if time.monotonic() > give_up:
                raise SupervisorError(
                    f"The web server does not answer; {self.keeper.log_dir / 'web.log'} says why."
                )
            return answers(self.bind.nearby)

        self._keep_until(answered)
        return not self.asked.to_stop

    def _fill_demo(self) -> bool:
        """Run `manage.py seed_demo`, which leaves data that is already there alone."""
        with self._foreground(
            [sys.executable, str(BASE_DIR / "manage.py"), "seed_demo"]
        ) as process:
            self._keep_until(lambda: process.poll() is not None)
        if process.returncode and not self.asked.to_stop:
            say("The demo could not be filled in; the lines above say why. Run `make demo` again.")
        return process.returncode == 0 and not self.asked.to_stop

    @contextlib.contextmanager
    def _foreground(self, command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
        """Run a command whose output belongs in the terminal; end it with the block."""
        process = subprocess.Popen(
            command,
            cwd=BASE_DIR,
            env={**os.environ, **_threads(1), "PREFLOOP_VAR": str(self.var_dir)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=death_signal(signal.SIGTERM),
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=5)

    def _keep_until(self, done: Callable[[], bool]) -> None:
        """Look after the programs until something is done or a signal asks to stop."""
        while not self.asked.to_stop and not done():
            self.keeper.tick()
            time.sleep(_TICK_S)


def say(line: str) -> None:
    """Print one line at once; a terminal that was closed is no reason to leave things running."""
    with contextlib.suppress(OSError):
        print(f"prefloop: {line}", flush=True)  # noqa: T201


def _threads(number: int) -> dict[str, str]:
    """Return limits for the numeric libraries, where the environment has none."""
    return {name: str(number) for name in _THREAD_VARIABLES if name not in os.environ}


def web_command(bind: Bind, application: str = "config.wsgi:application") -> list[str]:
    """Return the command line of the web server: two processes of four threads."""
    return [
        *(sys.executable, "-m", "gunicorn", application, "--bind", str(bind)),
        *("--worker-class", "gthread", "--workers", "2", "--threads", "4"),
        *("--graceful-timeout", "4", "--no-control-socket"),
    ]


def _celery() -> list[str]:
    return [sys.executable, "-m", "celery", "--app", "config.celery"]


def _worker_command(queues: str, concurrency: int) -> list[str]:
    name = queues.partition(",")[0]
    return [
        *(*_celery(), "worker", "--queues", queues, "--concurrency", str(concurrency)),
        *("--hostname", f"{name}@%h", "--loglevel=INFO"),
        # Workers need not know of each other: every claim is made in the database.
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def reset(var_dir: Path) -> None:
    """Delete everything this application wrote there, by name, with the embedded database."""
    if os.environ.get("DATABASE_URL"):
        raise SupervisorError("DATABASE_URL is set: empty that database with its own tools.")
    if embedded_postgres.is_running(var_dir):
        raise SupervisorError("The application is running: stop it first (Ctrl-C where it runs).")
    say(f"deleting all data in {var_dir} and its database")
    embedded_postgres.remove(var_dir)
    for name in _WRITTEN:
        for path in var_dir.glob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Run `serve`, `demo` or `reset`; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.supervisor", description=__doc__)
    parser.add_argument("what", choices=["serve", "demo", "reset"])
    what = parser.parse_args(arguments).what
    var_dir = Path(os.environ.get("PREFLOOP_VAR") or BASE_DIR / "var").resolve()
    try:
        if what == "reset":
            reset(var_dir)
            return 0
        return Supervisor(var_dir, choose_bind(may_move=what == "demo")).run(demo=what == "demo")
    except (SupervisorError, BindError, PostgresError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
