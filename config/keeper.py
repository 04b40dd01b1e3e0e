"""Keeps programs alive: starts them, starts them again when they die, stops all of them."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from config.postgres_binaries import PostgresError
from config.processes import adopt_orphans, death_signal

Say = Callable[[str], None]

_KILL_GRACE_S = 2.0
_LONGEST_PAUSE_S = 30.0
_HEALTHY_AFTER_S = 30.0
_LARGEST_LOG = 20 * 1024 * 1024
_ERROR_LINE = re.compile(r"\b(ERROR|CRITICAL|FATAL|PANIC)\b")


@dataclass(frozen=True)
class Program:
    """One process to keep: how it is started, and the signals that ask it to end.

    Programs with the same `order` are stopped together, lower ones first.
    """

    name: str
    start: Callable[[], "subprocess.Popen[bytes]"]
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    order: int = 0


@dataclass
class _Kept:
    program: Program
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    pause: float = 0.0
    read_to: int = 0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Keeper:
    """The programs of one supervisor; `say` prints one line for the person at the terminal."""

    log_dir: Path
    say: Say
    # After each signal. A worker asks its training run for a checkpoint meanwhile.
    stop_grace_s: float = 8.0
    # A run whose worker is gone notices by itself; then it must go.
    orphan_grace_s: float = 4.0
    _all: list[_Kept] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the log folder, and ask that grandchildren be handed to this process."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        adopt_orphans()

    def add(self, program: Program) -> None:
        """Start a program and keep it from now on."""
        kept = _Kept(program, self.log_dir / f"{program.name}.log")
        kept.read_to = _size(kept.log)
        _start(kept)
        self._all.append(kept)

    def tick(self) -> None:
        """Start again what died (after a growing pause) and repeat new error lines of the logs."""
        for kept in self._all:
            self._repeat_errors(kept)
            if kept.process is None:
                self._start_when_due(kept)
            elif not kept.alive:
                self._bury(kept, kept.process)

    def stop(self) -> None:
        """End every program and every process that one of them left behind."""
        family = _descendants()
        for order in sorted({kept.program.order for kept in self._all}):
            together = [kept for kept in self._all if kept.program.order == order]
            _stop_together(together, self.stop_grace_s)
            _end_orphans(family, spared=self._all, grace_s=self.orphan_grace_s)
        for kept in self._all:
            self._repeat_errors(kept)
        self._all.clear()

    def _bury(self, kept: _Kept, process: "subprocess.Popen[bytes]") -> None:
        _signal_group(process, signal.SIGKILL)  # its own children must not meet their successors
        _reap_orphans(self._all)
        lived = time.monotonic() - kept.started
        kept.pause = 1.0 if lived > _HEALTHY_AFTER_S else min(_LONGEST_PAUSE_S, kept.pause * 2 or 1)
        kept.process = None
        self.say(
            f"{kept.program.name} {_ending(process.returncode)}; starting it again in "
            f"{kept.pause:.0f} s ({kept.log} says more)"
        )
        kept.started = time.monotonic()

    def _start_when_due(self, kept: _Kept) -> None:
        if time.monotonic() < kept.started + kept.pause:
            return
        try:
            _start(kept)
        except (OSError, PostgresError) as error:
            kept.pause = min(_LONGEST_PAUSE_S, kept.pause * 2)
            kept.started = time.monotonic()
            self.say(f"{kept.program.name} can't be started: {error}")

    def _repeat_errors(self, kept: _Kept) -> None:
        for line in _new_lines(kept):
            if _ERROR_LINE.search(line):
                self.say(f"[{kept.program.name}] {line}")


def spawn(
    command: list[str],
    *,
    cwd: Path,
    log: Path,
    env: Mapping[str, str],
    on_death: signal.Signals,
) -> "subprocess.Popen[bytes]":
    """Start a command in its own session with its output in a log.

    `on_death` is what it is sent when this process dies without having stopped it.
    """
    if _size(log) > _LARGEST_LOG:
        log.rename(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=death_signal(on_death),
        )


def _start(kept: _Kept) -> None:
    kept.process = kept.program.start()
    kept.started = time.monotonic()


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _new_lines(kept: _Kept) -> Iterable[str]:
    """Return the whole lines written to the log since the last call."""
    size = _size(kept.log)
    if size < kept.read_to:  # a new file
        kept.read_to = 0
    if size == kept.read_to:
        return []
    with kept.log.open("rb") as file:
        file.seek(kept.read_to)
        text = file.read(size - kept.read_to)
    whole = text[: text.rfind(b"\n") + 1]
    kept.read_to += len(whole)
    return whole.decode(errors="replace").splitlines()


# --- ending --------------------------------------------------------------------------------------


def _stop_together(programs: list[_Kept], grace_s: float) -> None:
    """Ask with each program's signals in turn, then kill what is left with its group."""
    rounds = max((len(kept.program.stop_signals) for kept in programs), default=0)
    for number in range(rounds):
        for kept in programs:
            if kept.process and kept.alive and number < len(kept.program.stop_signals):
                kept.process.send_signal(kept.program.stop_signals[number])
        _wait(lambda: not any(kept.alive for kept in programs), grace_s)
    for kept in programs:
        if kept.process:
            _signal_group(kept.process, signal.SIGKILL)
    _wait(lambda: not any(kept.alive for kept in programs), _KILL_GRACE_S)


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _descendants() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def _end_orphans(family: list[psutil.Process], *, spared: list[_Kept], grace_s: float) -> None:
    """End what the stopped programs left behind, but not the programs that still run."""
    kept_alive = {
        one.pid
        for kept in spared
        if kept.process and kept.alive
        for one in _with_children(kept.process.pid)
    }
    orphans = [one for one in {*family, *_descendants()} if one.pid not in kept_alive]
    _, left = psutil.wait_procs(orphans, timeout=grace_s)
    for one in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(left, timeout=_KILL_GRACE_S)


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _reap_orphans(programs: list[_Kept]) -> None:
    """Take the exit status of adopted processes that ended, so that none stays a zombie."""
    own = {kept.process.pid for kept in programs if kept.process}
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.pid not in own and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def _wait(done: Callable[[], bool], limit_s: float) -> None:
    give_up = time.monotonic() + limit_s
    while not done() and time.monotonic() < give_up:
        time.sleep(0.05)
