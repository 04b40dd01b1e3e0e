"""An endpoint in a real Chromium: named, tested, dead, offered, and asked from the model's page."""

from typing import TYPE_CHECKING

import pytest

from tests.factories import PASSWORD, make_admin, make_project
from tests.openai_server import openai_server
from tests.training.endpoints.factories import KEY

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_admin_names_tests_and_offers_an_endpoint(
    page: "Page", live_server: "LiveServer"
) -> None:
    project = make_project(name="Everyday help")
    page.goto(f"{live_server.url}/login/?next=/endpoints/")
    page.fill("[name=username]", make_admin().username)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.click("text=New endpoint")
    with openai_server(key=KEY) as server:
        page.fill("[name=name]", "far")
        page.fill("[name=base_url]", server.url)
        page.fill("[name=model_name]", "tiny")
        page.fill("[name=key]", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#endpoint-form .errorlist")
        assert "private addresses" in page.inner_text("#endpoint-form")
        # Never shown again, not even to whoever has just typed it.
        assert page.input_value("[name=key]") == ""
        page.fill("[name=key]", KEY)
        page.check("[name=allows_private]")
        page.keyboard.press("Enter")
        page.wait_for_selector("#endpoint-state")
        page.click("text=Test the connection")
        page.wait_for_selector("#endpoint-state .badge.good")
    page.click("text=Test the connection")
    page.wait_for_selector("#endpoint-state .notice.bad")
    assert "Nobody answers" in page.inner_text("#endpoint-state")
    page.select_option("[name=project]", project.slug)
    page.click("#endpoint-offer button")
    page.click("#endpoint-offer a")
    page.wait_for_selector("#sample-form")
    assert "outside model" in page.inner_text(".page-head")
    assert KEY not in page.content()
