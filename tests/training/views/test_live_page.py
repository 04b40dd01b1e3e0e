"""The live page in a real browser: it moves by itself, and rests when the run has ended."""

import threading

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.factories import make_project, owner_of
from tests.training.factories import STEPS, make_run, use_recipe
from training import tasks
from training.models import TrainingRun

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def opened(page, live_server, run: TrainingRun) -> None:
    """Sign the run's owner in and open the run's page."""
    client = Client()
    client.force_login(owner_of(run.project))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    page.context.add_cookies([cookie | {"url": live_server.url}])
    page.goto(live_server.url + reverse("training:run_detail", args=[run.project.slug, run.uid]))


def trained_beside(run: TrainingRun) -> threading.Thread:
    """Let a worker's task run in a thread."""

    def work() -> None:
        try:
            tasks.train(run.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_the_page_follows_the_run_and_then_asks_no_more(monkeypatch, tmp_path, live_server, page):
    from playwright.sync_api import expect

    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=1.0)
    run = make_run(make_project())
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    opened(page, live_server, run)
    badge = page.locator("#run-status .badge[role=status]")
    expect(badge).to_have_text("queued")
    thread = trained_beside(run)
    expect(badge).to_have_text("running", timeout=15_000)
    expect(page.locator("#run-status path.line").first).to_be_visible(timeout=15_000)
    expect(badge).to_have_text("succeeded", timeout=30_000)
    thread.join()
    expect(page.get_by_role("link", name="base v2")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(4500)
    assert asked == []
    assert complaints == []


def test_stop_and_go_on_by_mouse(monkeypatch, tmp_path, live_server, page):
    from playwright.sync_api import expect

    monkeypatch.setattr(tasks.train, "apply_async", lambda args, expires: None)
    use_recipe(monkeypatch, tmp_path, STEPS, PAUSE=1.0)
    run = make_run(make_project())
    thread = trained_beside(run)
    opened(page, live_server, run)
    page.get_by_role("button", name="Stop").click()
    badge = page.locator("#run-status .badge[role=status]")
    expect(badge).to_have_text("stopped", timeout=30_000)
    thread.join()
    page.get_by_role("button", name="Go on").click()
    expect(badge).to_have_text("queued")
    thread = trained_beside(run)
    expect(badge).to_have_text("succeeded", timeout=30_000)
    thread.join()
    run.refresh_from_db()
    assert [attempt.outcome for attempt in run.attempts.all()] == ["stopped", "succeeded"]
