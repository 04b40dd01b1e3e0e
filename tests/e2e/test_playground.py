"""The playground in the whole application: two real models talk, and their worker is killed."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.e2e import steps
from tests.e2e.accounts import make_first_account
from tests.stack import LiveStack, running_stack
from tests.training.playground.serving import make_tiny_policy

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOAD_MS = 120_000


def processes(stack: LiveStack, *words: str) -> list[psutil.Process]:
    """Return the application's living processes whose command line has all of the words."""
    found = []
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if all(word in line for word in words):
            found.append(process)
    return found


def until(holds: Callable[[], bool], limit_s: float = 60.0) -> bool:
    """Wait for something to become true."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.2)
    return False


def talk(page: Page, text: str, turns: int) -> None:
    """Say something to both, and wait until each has replied so often in all."""
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Send").click()
    for name in ("left", "right"):
        replies = page.locator(f"[data-column={name}] .theirs:not([aria-busy])")
        expect(replies).to_have_count(turns, timeout=LOAD_MS)
        expect(page.locator(f"[data-column={name}] .note.bad")).to_have_count(0)


def test_two_models_talk_and_a_killed_worker_leaves_none(page: Page, tmp_path: Path) -> None:
    make_tiny_policy(tmp_path / "policy")
    with running_stack(PREFLOOP_SERVE_HEARTBEAT_S="1", PREFLOOP_SERVE_LOST_AFTER_S="5") as stack:
        steps.sign_in(page, stack.url, make_first_account(stack))
        steps.make_project(page, "Talks", "talks")
        for name in ("one", "two"):
            stack.manage("register_model", "talks", name, str(tmp_path / "policy"))
        steps.open_tab(page, "Playground")
        talk(page, "Hello?", 1)
        assert len(processes(stack, "training.recipes.serve")) == 2
        for worker in processes(stack, "celery", "--queues default,serve"):
            os.kill(worker.pid, signal.SIGKILL)
        assert until(lambda: not processes(stack, "training.recipes.serve"))
        page.get_by_role("button", name="New conversation").click()
        talk(page, "Are you there again?", 1)
        assert len(processes(stack, "training.recipes.serve")) == 2
    assert until(lambda: not psutil.pid_exists(stack.process.pid))
