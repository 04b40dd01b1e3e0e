"""What tests in a browser have at hand: a watched profile, an account, and why one failed."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect
from playwright.sync_api import Error as PlaywrightError

from tests.e2e.accounts import make_first_account
from tests.e2e.witness import Witness
from tests.stack import LiveStack

# Generous: the machine trains while it answers.
expect.set_options(timeout=20_000)


@pytest.fixture
def witness(browser_context: BrowserContext, live_stack: LiveStack) -> Witness:
    """Return a witness of everything that the profile of this test sees and asks."""
    found = Witness(live_stack.url)
    found.watch(browser_context)
    return found


@pytest.fixture(scope="session")
def site_admin(live_stack: LiveStack) -> tuple[str, str]:
    """Return name and password of the first account, made as an installation makes it."""
    return make_first_account(live_stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what the page showed and how the server's logs end."""
    report = yield
    if report.failed and call.when == "call":
        report.sections += _evidence(getattr(item, "funcargs", {}))
    return report


def _evidence(fixtures: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    page, stack = fixtures.get("page"), fixtures.get("live_stack")
    if page is not None and "tmp_path" in fixtures:
        picture = fixtures["tmp_path"] / "failure.png"
        with suppress(PlaywrightError):  # a tab that is gone shows nothing
            page.screenshot(path=picture, full_page=True)
        found.append(("the page at the end", f"{page.url}\n{picture}"))
    if stack is not None:
        found.append(("the server's logs", stack.logs()))
    return found
