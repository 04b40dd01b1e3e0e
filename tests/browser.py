"""A real Chromium for tests: the machine's own, shut off from everything but this machine."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.server_gate import Gate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # containers give /dev/shm 64 MB
]


def find_chromium() -> str | None:
    """Return the browser's path: PREFLOOP_CHROMIUM, else the first known name on PATH."""
    given = os.environ.get("PREFLOOP_CHROMIUM")
    if given:
        return given if Path(given).exists() else None
    return next((path for path in map(shutil.which, _NAMES) if path), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium; without one skip, or fail under PREFLOOP_REQUIRE_BROWSER=1."""
    path = find_chromium()
    if path is None:
        reason = (
            "no Chromium found: install the package `chromium` of this machine, "
            "or set PREFLOOP_CHROMIUM to the program"
        )
        if os.environ.get("PREFLOOP_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator["Browser"]:
    """Return one browser for the session."""
    from playwright.sync_api import sync_playwright

    # Chromium's sandbox refuses to start as root, which is what most containers run as.
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    # Playwright keeps an event loop in this thread, which Django takes for an async caller.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(
            executable_path=chromium, args=ARGUMENTS + as_root, headless=True
        )
        yield instance
        instance.close()


def _only_loopback(route: "Route") -> None:
    if urlsplit(route.request.url).hostname in _LOOPBACK:
        route.continue_()
    else:
        route.abort()


@pytest.fixture(autouse=True)
def server_gate(request: pytest.FixtureRequest) -> Iterator[None]:
    """Shut the test's own server before its tables are emptied.

    A page sends its last words when it closes, and they arrive when they like: a request that
    reads a table while it is emptied is a deadlock.
    """
    if "live_server" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("transactional_db")  # first, so that it is emptied after the yield
    gate = Gate.before(request.getfixturevalue("live_server"))
    yield
    gate.shut()


@pytest.fixture
def browser_context(browser: "Browser") -> Iterator["BrowserContext"]:
    """Return a fresh profile that can reach this machine alone."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.route("**/*", _only_loopback)
    yield context
    context.close()


@pytest.fixture
def page(browser_context: "BrowserContext") -> "Page":
    """Return a fresh tab in a fresh profile."""
    return browser_context.new_page()
