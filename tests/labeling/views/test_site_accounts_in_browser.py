"""Accounts in a real Chromium: from a name to a person who is signed in, and out again."""

from typing import TYPE_CHECKING

import pytest

from labeling.models import User
from tests.factories import PASSWORD, make_admin

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_account_is_made_handed_on_and_reset(
    page: "Page", browser: "Browser", live_server: "LiveServer"
) -> None:
    page.goto(f"{live_server.url}/login/?next=/accounts/")
    page.fill("[name=username]", make_admin().username)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.fill("#account-form [name=username]", "zoe")
    page.click("#account-form button.primary")
    link = page.input_value("#password-link")
    assert link.startswith(live_server.url)

    context = browser.new_context()
    person = context.new_page()
    person.goto(link)
    person.fill("[name=password]", "an altogether other secret")
    person.fill("[name=again]", "an altogether other secret")
    person.click("button.primary")
    person.wait_for_selector("text=No projects yet")

    page.reload()
    assert page.query_selector("#password-link") is None
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("text=Make site admin")
    page.wait_for_selector("text=Take the admin's rights away")
    page.click("text=Reset the password")
    page.wait_for_selector("#password-link")
    person.goto(f"{live_server.url}/settings/")
    assert "/login/" in person.url
    context.close()
    user = User.objects.get(username="zoe")
    assert (user.is_superuser, user.has_usable_password()) == (True, False)
