"""Starts a recipe as a child process in a session of its own, follows it, and ends it.

Knows files, signals and exit codes; nothing of the database, the broker or torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from labeling.domain.sentences import sentence as _
from training import rundir

Status = Literal["succeeded", "failed", "stopped", "cancelled"]
Wish = Literal["stop", "cancel"]

CANCEL_GRACE_S = 5.0
LOG_LINES = 40
PROJECT = Path(__file__).resolve().parents[1]

# What a recipe may see of this process's environment: paths, locale and accelerators. Passwords,
# tokens, database addresses and Django's settings are not among them.
_ENVIRONMENT = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "TZ",
        "TMPDIR",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "SYSTEMROOT",
        "HF_HOME",
        "XDG_CACHE_HOME",
        "PREFLOOP_GIT_COMMIT",
    ]
)
_ENVIRONMENT_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "HIP_", "ROCR_", "PYTORCH_")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended; `reason` is one sentence for the person who reads the run's page."""

    status: Status
    reason: str
    exit_code: int | None = None
    signal: int | None = None
    result: Mapping[str, Any] | None = None
    log_tail: str = ""


@dataclass(frozen=True, kw_only=True)
class _Watch:
    """What the caller wants to hear and how patient it is, in seconds."""

    on_metrics: Callable[[list[rundir.Metrics]], None]
    should_stop: Callable[[], Wish | None]
    heartbeat: Callable[[], None]
    stop_grace_s: float
    poll_s: float
    heartbeat_s: float


def launch(
    folder: Path,
    recipe: str,
    *,
    on_metrics: Callable[[list[rundir.Metrics]], None],
    should_stop: Callable[[], Wish | None],
    heartbeat: Callable[[], None],
    stop_grace_s: float = 120.0,
    poll_s: float = 0.5,
    heartbeat_s: float = 5.0,
    lock_wait_s: float = 60.0,
    env: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
) -> Outcome:
    """Run a recipe in its prepared folder to the end and tell how it ended.

    `on_metrics` gets every row of the run once, in order, those of earlier attempts up to the
    checkpoint from which this one goes on included: the receiver drops what it had before.
    `should_stop` is asked at every poll. `env` is added to the recipe's small environment;
    `command` replaces the recipe. Whatever happens, an exception in a callback included, nothing
    that was started outlives this call.
    """
    watch = _Watch(
        on_metrics=on_metrics,
        should_stop=should_stop,
        heartbeat=heartbeat,
        stop_grace_s=stop_grace_s,
        poll_s=poll_s,
        heartbeat_s=heartbeat_s,
    )
    finished = _already_finished(folder)
    if finished:
        _hand_on(folder, 0, watch)
        return finished
    held = _wait_for_lock(folder, watch, lock_wait_s)
    if isinstance(held, Outcome):
        return held
    try:
        rundir.rewind(folder)
        head = rundir.read_json(folder / rundir.CONFIG)
        words = list(command) if command else _command(folder, recipe, head)
        return _run(folder, words, _environment(head, env, held), held, watch)
    finally:
        os.close(held)


def _already_finished(folder: Path) -> Outcome | None:
    """The outcome of a run whose worker died after the recipe had succeeded."""
    result = rundir.read_result(folder)
    if result is None or result.get("status") != "succeeded":
        return None
    reason = _("The recipe had already finished in an earlier attempt.")
    log = rundir.tail_log(folder, LOG_LINES)
    return Outcome(status="succeeded", reason=reason, exit_code=0, result=result, log_tail=log)


def _wait_for_lock(folder: Path, watch: _Watch, wait_s: float) -> int | Outcome:
    """The folder's lock, as soon as a recipe that lost its worker has let go of it."""
    end = time.monotonic() + wait_s
    while True:
        try:
            return rundir.lock(folder)
        except rundir.RunFolderBusy as busy:
            wish = watch.should_stop()
            if wish:
                status: Status = "cancelled" if wish == "cancel" else "stopped"
                return Outcome(status=status, reason=_("Ended before the recipe was started."))
            if time.monotonic() > end:
                return Outcome(
                    status="failed", reason=_("{busy} End it, then start again.", busy=busy.args[0])
                )
        watch.heartbeat()
        time.sleep(watch.poll_s)


def _command(folder: Path, recipe: str, head: Mapping[str, Any]) -> list[str]:
    module = f"training.recipes.{recipe}"
    processes = int(head["config"].get("processes", 1))
    if processes == 1:
        return [sys.executable, "-m", module, str(folder)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*torchrun, f"--nproc_per_node={processes}", "-m", module, str(folder)]


def environment() -> dict[str, str]:
    """What a child of ours that loads torch may see of this process's environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)
    }
    return {**kept, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}


def _environment(
    head: Mapping[str, Any], extra: Mapping[str, str] | None, lock: int
) -> dict[str, str]:
    kept = environment()
    kept["PREFLOOP_RUN_LOCK"] = str(lock)
    kept["PREFLOOP_LAUNCHER_PID"] = str(os.getpid())
    threads = int(head["config"].get("threads", 0))
    if threads:
        kept["OMP_NUM_THREADS"] = kept["MKL_NUM_THREADS"] = str(threads)
    return kept | dict(extra or {})


def _run(
    folder: Path, words: Sequence[str], env: Mapping[str, str], lock: int, watch: _Watch
) -> Outcome:
    with rundir.rotate_log(folder).open("wb") as log:
        child = subprocess.Popen(
            words,
            cwd=PROJECT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )
    try:
        wish, offset = _follow(folder, child, watch)
    finally:
        _kill_group(child.pid)
        child.wait()
    _hand_on(folder, offset, watch)
    outcome = _outcome(folder, child.returncode, wish)
    return replace(outcome, log_tail=rundir.tail_log(folder, LOG_LINES))


def _follow(folder: Path, child: subprocess.Popen[bytes], watch: _Watch) -> tuple[Wish | None, int]:
    """Hand on metrics and pass on wishes until the child ends; returns wish and metrics offset."""
    offset, next_beat, deadline = 0, 0.0, float("inf")
    wish: Wish | None = None
    while not _exited(child.pid):
        now = time.monotonic()
        if now >= deadline:
            break
        offset = _hand_on(folder, offset, watch)
        if now >= next_beat:
            watch.heartbeat()
            next_beat = now + watch.heartbeat_s
        asked = watch.should_stop()
        if asked and wish != "cancel" and asked != wish:
            wish = asked
            grace = _ask_to_end(folder, child, wish, watch)
            deadline = min(deadline, now + grace)
        time.sleep(watch.poll_s)
    return wish, offset


def _hand_on(folder: Path, offset: int, watch: _Watch) -> int:
    """Give new metric rows to the caller; returns how far they were read."""
    rows, offset = rundir.read_metrics_from(folder, offset)
    if rows:
        watch.on_metrics(rows)
    return offset


def _ask_to_end(folder: Path, child: subprocess.Popen[bytes], wish: Wish, watch: _Watch) -> float:
    """Pass the wish on to the child; returns how many seconds it has to end by itself."""
    if wish == "cancel":
        _signal_group(child.pid, signal.SIGTERM)
        return CANCEL_GRACE_S
    rundir.request_stop(folder)
    if "torch.distributed.run" not in map(str, child.args if isinstance(child.args, list) else ()):
        # torchrun answers SIGTERM by ending its processes, so there the file alone must do.
        os.kill(child.pid, signal.SIGTERM)
    return watch.stop_grace_s


def _exited(pid: int) -> bool:
    """Whether the child has ended, without reaping it: its number stays its group's till then."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _kill_group(pid: int) -> None:
    """End whatever is left of the child's group; the child itself is not reaped yet."""
    _signal_group(pid, signal.SIGKILL)


def _outcome(folder: Path, code: int, wish: Wish | None) -> Outcome:
    number = -code if code < 0 else None
    exit_code = None if number else code
    ended = Outcome(status="failed", reason="", exit_code=exit_code, signal=number)
    if wish == "cancel":
        return replace(
            ended, status="cancelled", reason=_("Cancelled; nothing of it runs any more.")
        )
    try:
        result = rundir.read_result(folder)
    except rundir.RunFolderError as problem:
        return replace(
            ended, reason=_("The result can't be read: {problem}", problem=problem.args[0])
        )
    if result is not None and code == 0:
        status: Status = "stopped" if result.get("status") == "stopped" else "succeeded"
        return replace(ended, status=status, reason=_end_reason(status), result=result)
    if wish == "stop":
        return replace(ended, status="stopped", reason=_stop_reason(folder))
    return replace(ended, reason=_failure_reason(code, number))


def _end_reason(status: Status) -> str:
    if status == "stopped":
        return _("Stopped after a whole step; it can go on from its checkpoint.")
    return _("The recipe finished.")


def _stop_reason(folder: Path) -> str:
    checkpoint = rundir.newest_checkpoint(folder)
    if checkpoint is None:
        return _("Stopped before its first checkpoint; it would start anew.")
    return _("Ended before it could save; it can go on from step {step}.", step=checkpoint.step)


def _failure_reason(code: int, number: int | None) -> str:
    if number is None:
        if code == 0:
            return _(
                "The recipe ended without {result}, so it did not finish; read its log.",
                result=rundir.RESULT,
            )
        return _("The recipe failed with exit code {code}; the end of its log says why.", code=code)
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        return _("The recipe was killed ({name}), most often because memory ran out.", name=name)
    return _("The recipe was ended by {name}.", name=name)
