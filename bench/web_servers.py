"""What bench-web runs against: one throw-away cluster, several databases, one gunicorn each."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.reporting import say
from bench.web_world import Plan, order
from config import embedded_postgres
from config.bind import Bind, answers
from config.postgres_cluster import PORT, Cluster
from config.processes import death_signal
from config.supervisor import web_command

REPOSITORY = Path(__file__).resolve().parent.parent
_READY_LIMIT_S = 60
# While the worlds are made nothing needs to survive a crash; the measurements flush as production.
_FILLING = {
    **{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"},
    **{"max_wal_size": "8GB", "maintenance_work_mem": "512MB"},
}
_CONTROL = re.compile(
    r"(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|START TRANSACTION)\b", re.IGNORECASE
)
_LOGGED = re.compile(r"^\S+ \S+ \S+ \[\d+\] LOG:  (?:statement|execute [^:]+): (.*)$")


def superuser_dsn(var_dir: Path, database: str) -> str:
    """Return how to reach one database of the cluster as its superuser."""
    folder = Cluster.of(var_dir).socket_dir
    return f"host={folder} port={PORT} user=postgres dbname={database}"


def environment(var_dir: Path, database: str) -> dict[str, str]:
    """Return the environment of the product's processes: its defaults, as in production."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFLOOP_", "DJANGO_"))}
    folder = Cluster.of(var_dir).socket_dir
    user = embedded_postgres.USER
    return {
        **kept,
        "PREFLOOP_VAR": str(var_dir),
        "DATABASE_URL": f"postgresql://{user}@/{database}?host={folder}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    }


@contextmanager
def filling(var_dir: Path) -> Iterator[None]:
    """Run the cluster for making worlds: fast, and safe against nothing."""
    process = embedded_postgres.start(var_dir, settings=_FILLING)
    try:
        yield
    finally:
        embedded_postgres.stop(var_dir)
        process.wait()


def make_database(var_dir: Path, database: str) -> dict[str, str]:
    """Make a database with the product's schema; return the environment that leads to it."""
    with psycopg.connect(superuser_dsn(var_dir, "postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {database} OWNER {embedded_postgres.USER}")
    env = environment(var_dir, database)
    _run("config.prepare", env)
    return env


def make_world(var_dir: Path, database: str, plan: Plan) -> None:
    """Make a database with the product's schema and the world of the plan in it."""
    began = time.monotonic()
    env = make_database(var_dir, database)
    _run("bench.web_world", env, order(plan, superuser_dsn(var_dir, database)))
    with psycopg.connect(superuser_dsn(var_dir, database)) as server:
        row = server.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        size = (row.fetchone() or ("?",))[0]
    say(
        f"world {database}: {plan.comparisons:,} comparisons, {plan.judged:,} of them judged, "
        f"{size}, {time.monotonic() - began:.0f} s"
    )


def _run(module: str, env: dict[str, str], document: str = "") -> None:
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=REPOSITORY,
        env=env,
        input=document,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{module} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


@dataclass(frozen=True)
class Server:
    """One gunicorn on one database."""

    name: str
    database: str
    port: int


@contextmanager
def serving(var_dir: Path, name: str, database: str, application: str) -> Iterator[Server]:
    """Run the supervisor's own gunicorn command for an application on one database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    bind = Bind("127.0.0.1", port)
    log = var_dir / "log" / f"{name}.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            web_command(bind, application),
            cwd=REPOSITORY,
            env=environment(var_dir, database),
            stdout=file,
            stderr=file,
            preexec_fn=death_signal(signal.SIGTERM),
        )
    try:
        _wait_until_ready(bind, process, log)
        yield Server(name, database, port)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_ready(bind: Bind, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = time.monotonic() + _READY_LIMIT_S
    while not answers(bind):
        if process.poll() is not None or time.monotonic() > give_up:
            raise SystemExit(
                f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}"
            )
        time.sleep(0.1)


@contextmanager
def logged_statements(var_dir: Path) -> Iterator[list[str]]:
    """Have PostgreSQL log every statement; the list is filled when the block ends.

    Transaction control is left out.
    """
    log = Cluster.of(var_dir).log
    found: list[str] = []
    _log_statements(var_dir, "all")
    start = log.stat().st_size
    try:
        yield found
    finally:
        _log_statements(var_dir, "none")
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        for line in file:
            logged = _LOGGED.match(line)
            if logged and not _CONTROL.match(logged.group(1)):
                found.append(logged.group(1))
            elif line.startswith("\t") and found:
                found[-1] += " " + line.strip()


def _log_statements(var_dir: Path, what: str) -> None:
    with psycopg.connect(superuser_dsn(var_dir, "postgres"), autocommit=True) as server:
        server.execute(f"ALTER SYSTEM SET log_statement = '{what}'")
        server.execute("SELECT pg_reload_conf()")
    time.sleep(0.5)  # every backend has to hear of it
