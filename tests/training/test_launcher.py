"""The launcher, with a few lines of Python in place of a recipe."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from training import launcher, rundir

PRELUDE = """
import json, os, pathlib, signal, subprocess, sys, time
from training import rundir
folder = pathlib.Path(sys.argv[1])
def metric(step):
    rundir.append_metric(folder, step=step, total=9, values={"loss": 1.0})
def result(status):
    rundir.write_json_atomic(folder / "result.json", {"status": status})
"""
IGNORE_SIGTERM = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rundir.prepare(tmp_path, recipe="sft", config={"threads": 1}, inputs={}, rows=[], seed=1)
    return tmp_path


def _launch(folder: Path, script: str, **changes: Any) -> launcher.Outcome:
    settings: dict[str, Any] = {
        "on_metrics": lambda rows: None,
        "should_stop": lambda: None,
        "heartbeat": lambda: None,
        "poll_s": 0.02,
        "command": [sys.executable, "-c", PRELUDE + script, str(folder)],
    }
    return launcher.launch(folder, "sft", **settings | changes)


def _once_there(path: Path, wish: launcher.Wish) -> Callable[[], launcher.Wish | None]:
    return lambda: wish if path.exists() else None


def _gone(pid: int) -> bool:
    """Whether the process has ended; one that only waits to be reaped counts as ended."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_launch_hands_on_metrics_in_order_while_it_runs(folder: Path) -> None:
    steps: list[int] = []
    beats: list[float] = []

    def on_metrics(rows: list[rundir.Metrics]) -> None:
        steps.extend(row.step for row in rows)
        if steps == [1]:  # the script goes on only after its first row was seen
            (folder / "seen").touch()

    outcome = _launch(
        folder,
        'metric(1)\nwhile not (folder / "seen").exists(): time.sleep(0.01)\n'
        'print("hello"); metric(2); metric(3); result("succeeded")',
        on_metrics=on_metrics,
        heartbeat=lambda: beats.append(time.monotonic()),
    )
    assert (outcome.status, outcome.exit_code, outcome.signal) == ("succeeded", 0, None)
    assert outcome.result == {"status": "succeeded"}
    assert steps == [1, 2, 3]
    assert beats
    assert outcome.log_tail == "hello"


def test_exit_0_without_a_result_is_a_failure(folder: Path) -> None:
    outcome = _launch(folder, "pass")
    assert (outcome.status, outcome.exit_code) == ("failed", 0)
    assert "result.json" in outcome.reason


def test_result_of_a_failed_program_does_not_count(folder: Path) -> None:
    outcome = _launch(folder, 'result("succeeded"); sys.exit(3)')
    assert (outcome.status, outcome.exit_code, outcome.result) == ("failed", 3, None)


def test_unreadable_result_is_a_failure(folder: Path) -> None:
    outcome = _launch(folder, '(folder / "result.json").write_text("{")')
    assert outcome.status == "failed"
    assert "result.json" in outcome.reason


def test_failure_keeps_exit_code_and_last_40_lines(folder: Path) -> None:
    outcome = _launch(folder, 'print("\\n".join(map(str, range(100)))); sys.exit(7)')
    assert (outcome.status, outcome.exit_code) == ("failed", 7)
    assert outcome.log_tail.splitlines() == [str(n) for n in range(60, 100)]


def test_killed_child_is_told_by_its_signal(folder: Path) -> None:
    outcome = _launch(folder, "os.kill(os.getpid(), signal.SIGKILL)")
    assert (outcome.status, outcome.exit_code, outcome.signal) == ("failed", None, 9)
    assert "memory" in outcome.reason


def test_stop_lets_the_recipe_finish_its_step(folder: Path) -> None:
    script = """
terminated = []
signal.signal(signal.SIGTERM, lambda *_: terminated.append(1))
(folder / "up").touch()
while not terminated: time.sleep(0.01)
assert rundir.stop_requested(folder)
result("stopped")
"""
    outcome = _launch(folder, script, should_stop=_once_there(folder / "up", "stop"))
    assert (outcome.status, outcome.exit_code) == ("stopped", 0)
    assert outcome.result == {"status": "stopped"}


def test_stop_ends_a_recipe_that_does_not_listen(folder: Path) -> None:
    script = IGNORE_SIGTERM + '(folder / "up").touch(); time.sleep(60)'
    wish = _once_there(folder / "up", "stop")
    start = time.monotonic()
    outcome = _launch(folder, script, should_stop=wish, stop_grace_s=0.3)
    assert time.monotonic() - start < 10
    assert (outcome.status, outcome.signal) == ("stopped", signal.SIGKILL)
    assert "anew" in outcome.reason


def test_cancel_ends_a_grandchild_that_ignores_sigterm(folder: Path) -> None:
    deaf = IGNORE_SIGTERM + "print(1, flush=True); time.sleep(60)"
    script = f"""
child = subprocess.Popen([sys.executable, "-c", {deaf!r}], stdout=subprocess.PIPE)
child.stdout.readline()
(folder / "pid.tmp").write_text(str(child.pid))
(folder / "pid.tmp").rename(folder / "pid")
time.sleep(60)
"""
    wish = _once_there(folder / "pid", "cancel")
    start = time.monotonic()
    outcome = _launch(folder, script, should_stop=wish)
    assert time.monotonic() - start < 10
    assert outcome.status == "cancelled"
    assert _gone(int((folder / "pid").read_text()))


def test_cancel_kills_a_recipe_that_ignores_sigterm_within_10_s(folder: Path) -> None:
    script = IGNORE_SIGTERM + '(folder / "up").touch(); time.sleep(60)'
    asked: list[float] = []

    def wish() -> launcher.Wish | None:
        if (folder / "up").exists():
            asked.append(time.monotonic())
            return "cancel"
        return None

    outcome = _launch(folder, script, should_stop=wish)
    assert time.monotonic() - asked[0] < 10
    assert (outcome.status, outcome.signal) == ("cancelled", signal.SIGKILL)


def test_cancel_overrides_a_stop_that_takes_long(folder: Path) -> None:
    script = IGNORE_SIGTERM + '(folder / "up").touch(); time.sleep(60)'
    wishes = iter(["stop", "stop", *["cancel"] * 1000])

    def wish() -> Any:
        return next(wishes) if (folder / "up").exists() else None

    assert _launch(folder, script, should_stop=wish).status == "cancelled"


def test_exception_in_a_callback_ends_the_child(folder: Path) -> None:
    def on_metrics(rows: list[rundir.Metrics]) -> None:
        raise RuntimeError("the database is away")

    script = '(folder / "pid").write_text(str(os.getpid())); metric(1); time.sleep(60)'
    with pytest.raises(RuntimeError, match="away"):
        _launch(folder, script, on_metrics=on_metrics)
    assert _gone(int((folder / "pid").read_text()))
    os.close(rundir.lock(folder))


def test_nothing_that_was_started_outlives_a_success(folder: Path) -> None:
    script = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
(folder / "pid").write_text(str(child.pid))
result("succeeded")
"""
    assert _launch(folder, script).status == "succeeded"
    assert _gone(int((folder / "pid").read_text()))


def test_child_sees_no_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings")
    monkeypatch.setenv("PREFLOOP_SECRET_KEY", "secret")
    outcome = _launch(folder, "print(json.dumps(dict(os.environ)))", env={"EXTRA": "1"})
    assert "secret" not in outcome.log_tail
    assert "config.settings" not in outcome.log_tail
    assert '"EXTRA": "1"' in outcome.log_tail
    assert '"OMP_NUM_THREADS": "1"' in outcome.log_tail


def test_later_attempt_goes_back_to_the_checkpoint_and_keeps_the_log(folder: Path) -> None:
    for step in (1, 2, 3):
        rundir.append_metric(folder, step=step, total=9, values={})
    path = rundir.checkpoint_path(folder, 2)
    path.mkdir(parents=True)
    rundir.mark_complete(path, {"step": 2})
    (folder / rundir.LOG).write_text("first attempt")
    rundir.request_stop(folder)
    steps: list[int] = []
    outcome = _launch(
        folder,
        'metric(3); result("stopped" if rundir.stop_requested(folder) else "succeeded")',
        on_metrics=lambda rows: steps.extend(row.step for row in rows),
    )
    assert outcome.status == "succeeded"
    assert steps == [1, 2, 3]
    assert (folder / "train.1.log").read_text() == "first attempt"


def test_run_that_already_succeeded_is_not_started_again(folder: Path) -> None:
    rundir.append_metric(folder, step=1, total=1, values={})
    rundir.write_json_atomic(folder / rundir.RESULT, {"status": "succeeded", "steps": 1})
    steps: list[int] = []
    outcome = _launch(
        folder, "raise SystemExit(1)", on_metrics=lambda rows: steps.extend(r.step for r in rows)
    )
    assert (outcome.status, steps) == ("succeeded", [1])


def test_folder_with_a_living_recipe_is_left_alone(folder: Path) -> None:
    held = rundir.lock(folder)
    try:
        outcome = _launch(folder, 'result("succeeded")', lock_wait_s=0.1)
        assert outcome.status == "failed"
        assert "still works" in outcome.reason
        assert _launch(folder, "", should_stop=lambda: "cancel").status == "cancelled"
    finally:
        os.close(held)
    assert _launch(folder, 'result("succeeded")').status == "succeeded"
