"""The keeper with ten-line programs, and the supervisor with the real ones."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from config import supervisor
from config.bind import Bind, BindError, answers, choose_bind
from tests.stack import LiveStack, free_port, running_stack

REPOSITORY = Path(__file__).resolve().parents[2]

# A keeper of scripts: the test's folder, then one script a program. It prints what it says.
KEEP = """
import functools, signal, sys, time
from pathlib import Path
from config.keeper import Keeper, Program, spawn
folder = Path(sys.argv[1])
keeper = Keeper(folder, functools.partial(print, flush=True), stop_grace_s=1, orphan_grace_s=1)
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
for script in map(Path, sys.argv[2:]):
    start = functools.partial(
        spawn, [sys.executable, str(script)], cwd=folder, log=folder / f"{script.stem}.log",
        env={}, on_death=signal.SIGTERM)
    keeper.add(Program(script.stem, start))
while not asked:
    keeper.tick()
    time.sleep(0.05)
keeper.stop()
print("stopped", flush=True)
"""

# Each script appends its process number to <name>.pids, then lives as its name says.
NOTE = """
import os, signal, subprocess, sys, time
from pathlib import Path
def note(pid=os.getpid(), name=Path(__file__).stem):
    with open(f"{name}.pids", "a") as file:
        file.write(f"{pid}\\n")
note()
"""
STEADY = NOTE + "time.sleep(120)"
STUBBORN = NOTE + "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"
# Its own child starts a session of its own, as a recipe does, and doesn't watch its parent.
PARENT = (
    NOTE
    + """
child = subprocess.Popen(["sleep", "120"], start_new_session=True)
note(child.pid, "grandchild")
time.sleep(120)
"""
)
LOUD = NOTE + "print('2026-11-20 ERROR the sky is falling', flush=True); time.sleep(120)"


def _until(done: Callable[[], object], limit_s: float = 15.0) -> None:
    give_up = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > give_up:
            pytest.fail("nothing happened in time")
        time.sleep(0.02)


def _pids(folder: Path, name: str) -> list[int]:
    path = folder / f"{name}.pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _keeping(folder: Path, **scripts: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a keeper of these scripts until each of them noted its process number."""
    paths = []
    for name, text in scripts.items():
        paths.append(folder / f"{name}.py")
        paths[-1].write_text(text)
    with subprocess.Popen(
        [sys.executable, "-c", KEEP, str(folder), *map(str, paths)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as keeper:
        try:
            _until(lambda: all(_pids(folder, name) for name in scripts))
            yield keeper
        finally:
            keeper.kill()


def test_keeper_starts_again_what_died(tmp_path: Path) -> None:
    with _keeping(tmp_path, steady=STEADY, other=STEADY) as keeper:
        first = _pids(tmp_path, "steady")[0]
        os.kill(first, signal.SIGKILL)
        _until(lambda: len(_pids(tmp_path, "steady")) == 2)
        assert keeper.stdout is not None
        assert keeper.stdout.readline().startswith("steady was ended by SIGKILL; starting it again")
        assert _alive(_pids(tmp_path, "steady")[1])
        assert len(_pids(tmp_path, "other")) == 1


def test_keeper_waits_longer_each_time_a_program_dies(tmp_path: Path) -> None:
    """Pauses of 1 s and 2 s: the third start comes at least 3 s after the first."""
    with _keeping(tmp_path, brief=NOTE + "sys.exit(3)") as keeper:
        began = time.monotonic()
        _until(lambda: len(_pids(tmp_path, "brief")) == 3)
        assert time.monotonic() - began > 2.5
        assert keeper.stdout is not None
        assert "ended with exit code 3; starting it again in 1 s" in keeper.stdout.readline()
        assert "starting it again in 2 s" in keeper.stdout.readline()


def test_keeper_stops_all_it_started_and_nothing_else(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "120"])
    try:
        with _keeping(tmp_path, steady=STEADY, stubborn=STUBBORN, parent=PARENT) as keeper:
            _until(lambda: _pids(tmp_path, "grandchild"))
            keeper.terminate()
            output, _ = keeper.communicate(timeout=20)
            assert output.endswith("stopped\n")
        for name in ("steady", "stubborn", "parent", "grandchild"):
            assert not any(_alive(pid) for pid in _pids(tmp_path, name)), name
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_keeper_ends_the_orphan_of_a_program_that_was_killed(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux hands orphans to the keeper")
    with _keeping(tmp_path, parent=PARENT) as keeper:
        _until(lambda: _pids(tmp_path, "grandchild"))
        orphan = _pids(tmp_path, "grandchild")[0]
        os.kill(_pids(tmp_path, "parent")[0], signal.SIGKILL)
        _until(lambda: len(_pids(tmp_path, "parent")) == 2)
        assert _alive(orphan)  # in a session of its own: the restart leaves it to itself
        keeper.terminate()
        keeper.communicate(timeout=20)
        assert not _alive(orphan)


def test_programs_end_when_their_keeper_is_killed(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    with _keeping(tmp_path, steady=STEADY) as keeper:
        keeper.kill()
        keeper.wait()
        _until(lambda: not _alive(_pids(tmp_path, "steady")[0]))


def test_keeper_repeats_error_lines_with_the_programs_name(tmp_path: Path) -> None:
    with _keeping(tmp_path, loud=LOUD) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "[loud] 2026-11-20 ERROR the sky is falling\n"
        assert "the sky is falling" in (tmp_path / "loud.log").read_text()


# --- the address ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["8000", "localhost:", "localhost:port", "a:0", "a:65536"])
def test_bind_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BindError, match="must be host:port"):
        Bind.parse(text)


def test_bind_of_all_addresses_is_asked_on_this_machine() -> None:
    assert str(Bind.parse("0.0.0.0:81").nearby) == "127.0.0.1:81"
    assert str(Bind.parse("[::]:81").nearby) == "[::1]:81"


def test_taken_port_is_refused_or_left_by_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("config.bind._DEFAULT_BIND", f"127.0.0.1:{port}")
        monkeypatch.delenv("PREFLOOP_BIND", raising=False)
        assert port < choose_bind(may_move=True).port < port + 50
        with pytest.raises(BindError, match=r"taken by another program.*PREFLOOP_BIND"):
            choose_bind(may_move=False)
        monkeypatch.setenv("PREFLOOP_BIND", f"127.0.0.1:{port}")  # asked for by name: no moving
        with pytest.raises(BindError, match=r"taken by another program.*PREFLOOP_BIND"):
            choose_bind(may_move=True)


# --- the real programs ----------------------------------------------------------------------------


def _family(pid: int) -> list[psutil.Process]:
    return list(psutil.Process(pid).children(recursive=True))


def _supervise(stack: LiveStack, what: str = "serve") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "config.supervisor", what],
        cwd=REPOSITORY,
        env={**stack.environment, "PREFLOOP_BIND": f"127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_supervisor_serves_heals_and_stops_everything() -> None:
    """PostgreSQL, web, two workers and beat; a killed web server answers again."""
    with running_stack() as stack:
        names = " ".join(" ".join(process.cmdline()) for process in _family(stack.process.pid))
        for part in ("gunicorn", "--queues default", "--queues gpu", "beat", "/bin/postgres"):
            assert part in names
        second = _supervise(stack)
        assert second.returncode == 1
        assert "already running" in second.stdout
        refused = _supervise(stack, "reset")
        assert refused.returncode == 1
        assert "stop it first" in refused.stdout
        web = next(one for one in _family(stack.process.pid) if "gunicorn" in one.cmdline())
        web.kill()
        bind = Bind.parse(stack.url.removeprefix("http://"))
        _until(lambda: answers(bind), 30)
        family = _family(stack.process.pid)
        stack.process.terminate()
        assert stack.process.wait(timeout=20) == 0
        assert [one for one in family if one.is_running()] == []


def test_supervisor_that_is_killed_leaves_nothing_behind() -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    with running_stack() as stack:
        family = _family(stack.process.pid)
        assert len(family) > 8
        stack.process.kill()
        stack.process.wait()
        _, left = psutil.wait_procs(family, timeout=15)
        assert left == []


def test_reset_deletes_what_was_written_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name in ("runs", "broker", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / "secret_key").write_text("x")
    supervisor.reset(tmp_path)
    assert [found.name for found in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "file").exists()


def test_reset_with_another_database_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/prefloop")
    (tmp_path / "secret_key").write_text("x")
    with pytest.raises(supervisor.SupervisorError, match="its own tools"):
        supervisor.reset(tmp_path)
    assert (tmp_path / "secret_key").exists()
