"""A round of real recipes on the whole application, while things around it die.

One round is turned undisturbed. In each of the others something is done to it at eight points, one
in every state; what it has left in the end must be what the undisturbed one left: as many rows in
every table, as many tokens, the same weights.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.stack import LiveStack, running_stack
from tests.training.rounds.beside import Beside, beside
from tests.training.rounds.small import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.recipe]

LIMIT_S = 600.0
# A lost worker is noticed within seconds. More patience than heartbeats need on a busy machine: a
# worker that only was slow must not be given up.
QUICK = {"PREFLOOP_RUN_HEARTBEAT_S": "1", "PREFLOOP_RUN_LOST_AFTER_S": "8"}
LEARNING = {"max_steps": 60, "checkpoint_steps": 5}
LOOP: dict[str, Any] = {
    "preset": "tiny-cpu",
    "prompts": 0,
    "replies_per_prompt": 2,
    "evaluation_replies": 2,
    "recipes": {
        **{name: SMALL[name] for name in ("sample", "evaluate")},
        **{name: {**SMALL[name], **LEARNING} for name in ("reward", "dpo")},
    },
}
Harm = Callable[[LiveStack], None]


def wait_for(told: Callable[[], Any], what: str) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not told():
        assert time.monotonic() < give_up, f"it did not happen in time: {what}"
        time.sleep(0.2)


def under_way(one: Beside, recipe: str, step: int) -> bool:
    """Return whether a run has come so far, or further."""
    told = one.ask("stands")
    assert not told["errors"], told
    state, at = told["runs"].get(recipe, ["", 0])
    return bool(state == "succeeded" or at >= step)


def blocked(one: Beside, state: str) -> bool:
    """Return whether somebody waits for the project's row, or was through before it was held."""
    return bool(one.ask("waiting")) or one.ask("stands")["state"] != state


def turn(stack: LiveStack, harm: Harm) -> dict[str, Any]:
    """Turn a round from the first sample to the promotion, with harm done in every state."""
    with beside(stack) as one, beside(stack) as other:
        one.ask("plant")
        wait_for(lambda: one.ask("grown"), "the first policy")
        one.ask("begin", config=LOOP)
        with held(other):
            wait_for(lambda: under_way(one, "sample", 1), "sampling")
            harm(stack)
            other.ask("hold")  # a database that crashed holds nothing any more
            wait_for(lambda: blocked(one, "sampling"), "its replies are being taken in")
            harm(stack)
        wait_for(lambda: one.ask("stands")["state"] == "labelling", "labelling")
        half = one.ask("judge", most=8)
        harm(stack)
        assert one.ask("stands")["state"] == "labelling"
        with held(other):
            assert half == one.ask("judge", most=1000) == 8
            wait_for(lambda: blocked(one, "labelling"), "its labels are being frozen")
            harm(stack)
        for recipe, step in (("reward", 20), ("dpo", 20), ("evaluate", 1)):
            wait_for(lambda: under_way(one, recipe, step), recipe)  # noqa: B023
            harm(stack)
        wait_for(lambda: one.ask("stands")["state"] == "deciding", "deciding")
        harm(stack)
        one.ask("decide")
        assert one.ask("stands")["state"] == "done"
        return dict(one.ask("totals")) | {"losses": one.ask("losses")}


@contextmanager
def held(one: Beside) -> Iterator[None]:
    """Keep the project's row locked, so that whoever needs it waits in the middle of its deed."""
    one.ask("hold")
    yield
    one.ask("let_go")


# --- what is done to it --------------------------------------------------------------------------


def leave_alone(stack: LiveStack) -> None:
    pass


def programs(stack: LiveStack, *words: str) -> Iterator[psutil.Process]:
    """Yield the supervisor's own programs whose command lines hold a word."""
    for child in psutil.Process(stack.process.pid).children():
        if child.status() != psutil.STATUS_ZOMBIE and any(w in child.cmdline() for w in words):
            yield child


def kill_workers(stack: LiveStack) -> None:
    """Kill both workers outright; the supervisor starts others."""
    killed = list(programs(stack, "gpu", "default"))
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=10)


def empty_broker(stack: LiveStack) -> None:
    """Lose every message for three seconds, those on their way included."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for path in (stack.var_dir / "broker" / "queue").iterdir():
            path.unlink(missing_ok=True)
        time.sleep(0.02)


def restart_database(stack: LiveStack) -> None:
    """Let the database crash; the supervisor starts it again, and it recovers."""
    (process,) = postgres(stack)
    process.send_signal(signal.SIGQUIT)
    process.wait(20)


def postgres(stack: LiveStack) -> list[psutil.Process]:
    children = psutil.Process(stack.process.pid).children()
    return [child for child in children if child.name() == "postgres"]


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    with running_stack(**QUICK) as stack:
        return turn(stack, leave_alone)


@pytest.mark.parametrize(
    ("harm", "loses"),
    [(kill_workers, True), (empty_broker, False), (restart_database, False)],
)
def test_a_round_ends_as_if_nothing_had_happened(
    undisturbed: dict[str, Any], harm: Harm, loses: bool
) -> None:
    with running_stack(**QUICK) as stack:
        found = turn(stack, harm)
    assert found.pop("losses") >= 4 if loses else found.pop("losses") >= 0
    assert found == {name: value for name, value in undisturbed.items() if name != "losses"}
