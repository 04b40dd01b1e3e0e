"""The embedded server is started, stopped, killed and crowded, each time for real."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config import embedded_postgres
from config.embedded_postgres import AlreadyRunningError
from config.postgres_binaries import PostgresError
from config.postgres_cluster import Cluster

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def var_dir() -> Iterator[Path]:
    """Return a short folder of its own, with no cluster left behind."""
    folder = Path(tempfile.mkdtemp(prefix="pf-"))
    yield folder
    embedded_postgres.stop(folder)
    embedded_postgres.remove(folder)
    shutil.rmtree(folder)


def _connect(var_dir: Path) -> "psycopg.Connection[tuple[object, ...]]":
    wanted = embedded_postgres.django_database(var_dir)
    return psycopg.connect(
        host=wanted["HOST"], port=wanted["PORT"], user=wanted["USER"], dbname=wanted["NAME"]
    )


def _ask(var_dir: Path, question: str) -> object:
    with _connect(var_dir) as connection:
        row = connection.execute(question.encode()).fetchone()
        return row[0] if row else None


def test_running_answers_inside_the_block_and_not_after_it(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir, fsync=False):
        assert embedded_postgres.is_running(var_dir)
        assert _ask(var_dir, "SELECT current_database()::text") == "prefloop"
    assert not embedded_postgres.is_running(var_dir)


def test_running_stops_when_the_block_raises(var_dir: Path) -> None:
    with pytest.raises(KeyError), embedded_postgres.running(var_dir, fsync=False):
        raise KeyError
    assert not embedded_postgres.is_running(var_dir)


def test_start_again_keeps_the_data(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir), _connect(var_dir) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 41 + 1 AS number")
    with embedded_postgres.running(var_dir):
        assert _ask(var_dir, "SELECT number FROM kept") == 42


def test_cluster_is_utf8_and_private(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir, fsync=False):
        assert _ask(var_dir, "SHOW server_encoding") == "UTF8"
        assert _ask(var_dir, "SELECT upper('é')") == "É"
        assert _ask(var_dir, "SHOW listen_addresses") == ""
        assert _ask(var_dir, "SELECT rolsuper FROM pg_roles WHERE rolname = user") is False
        for folder in (Cluster.of(var_dir).home, Cluster.of(var_dir).socket_dir):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_start_after_the_server_was_killed(var_dir: Path) -> None:
    """A kill leaves postmaster.pid and the socket file; the data is recovered from the log."""
    process = embedded_postgres.start(var_dir)
    with _connect(var_dir) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    process.kill()
    process.wait()
    assert (Cluster.of(var_dir).data / "postmaster.pid").exists()
    with embedded_postgres.running(var_dir):
        assert _ask(var_dir, "SELECT number FROM kept") == 7


def test_start_with_a_stale_pid_file_that_names_a_living_process(var_dir: Path) -> None:
    """After a restart of the machine the number may be any program's: here it is this test's."""
    with embedded_postgres.running(var_dir, fsync=False):
        pass
    pid_file = Cluster.of(var_dir).data / "postmaster.pid"
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        pid_file.write_text(f"{sleeper.pid}\n{pid_file.parent}\n1\n5432\n\n\n", encoding="ascii")
        with embedded_postgres.running(var_dir, fsync=False):
            assert _ask(var_dir, "SELECT 1") == 1
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_start_twice_is_refused_with_the_remedy(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir, fsync=False):
        with pytest.raises(AlreadyRunningError, match=r"already running.*stop it with Ctrl-C"):
            embedded_postgres.start(var_dir)
        assert embedded_postgres.is_running(var_dir)


def test_remove_a_running_cluster_is_refused(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir, fsync=False):
        with pytest.raises(AlreadyRunningError, match="Stop the server first"):
            embedded_postgres.remove(var_dir)
        assert _ask(var_dir, "SELECT 1") == 1


def test_stop_without_a_server_leaves_the_process_of_a_stale_pid_alone(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir, fsync=False):
        pass
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (Cluster.of(var_dir).data / "postmaster.pid").write_text(f"{sleeper.pid}\n")
        embedded_postgres.stop(var_dir)
        time.sleep(0.2)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_long_path_gets_a_short_private_socket_folder(var_dir: Path) -> None:
    """The path of a Unix socket is limited to about a hundred bytes."""
    deep = var_dir / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    try:
        with embedded_postgres.running(deep, fsync=False):
            assert _ask(deep, "SELECT 1") == 1
            socket_path = Path(Cluster.of(deep).socket_path)
            assert len(str(socket_path)) < 104
            assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
    finally:
        embedded_postgres.remove(deep)


def test_long_path_of_an_ordinary_user_is_moved_to_tmp(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    assert Cluster.of(tmp_path / "x").home == tmp_path / "x" / "postgres"
    assert Cluster.of(deep).home == deep / "postgres"
    assert str(Cluster.of(deep).socket_dir).startswith("/tmp/prefloop-4321-")  # noqa: S108
    assert Cluster.of(Path("/v")).socket_dir == Path("/v/postgres/socket")


def test_socket_folder_that_others_may_enter_is_refused(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir, fsync=False):
        pass
    socket_dir = Cluster.of(var_dir).socket_dir
    socket_dir.chmod(0o755)
    with pytest.raises(PostgresError, match="mode 0700"):
        embedded_postgres.start(var_dir)


def test_cluster_of_another_major_version_is_refused(var_dir: Path) -> None:
    with embedded_postgres.running(var_dir, fsync=False):
        pass
    version = Cluster.of(var_dir).data / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(PostgresError, match=r"made by PostgreSQL 15.*demo-reset"):
        embedded_postgres.start(var_dir)
    assert version.read_text() == "15\n"


def test_failed_start_shows_the_servers_own_words(var_dir: Path) -> None:
    with pytest.raises(PostgresError, match='invalid value for parameter "shared_buffers"'):
        embedded_postgres.start(var_dir, settings={"shared_buffers": "a lot"})
    assert not embedded_postgres.is_running(var_dir)


def test_server_ends_with_a_parent_that_was_killed(var_dir: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child that its parent died")
    script = (
        "import sys, time; from pathlib import Path; from config import embedded_postgres as e\n"
        "e.start(Path(sys.argv[1])); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(var_dir)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        assert embedded_postgres.is_running(var_dir)
        parent.send_signal(signal.SIGKILL)
    give_up = time.monotonic() + 10
    while embedded_postgres.is_running(var_dir) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not embedded_postgres.is_running(var_dir)
    with embedded_postgres.running(var_dir, fsync=False):
        assert _ask(var_dir, "SELECT 1") == 1


def test_kept_secret_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    first = embedded_postgres.kept_secret(path)
    assert len(first) >= 50
    assert embedded_postgres.kept_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["secret"]


def test_kept_secret_is_one_for_all_who_come_at_once(tmp_path: Path) -> None:
    seen: list[str] = []
    barrier = threading.Barrier(12)

    def come() -> None:
        barrier.wait()
        seen.append(embedded_postgres.kept_secret(tmp_path / "secret"))

    threads = [threading.Thread(target=come) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 12
    assert len(set(seen)) == 1
