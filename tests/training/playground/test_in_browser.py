"""Two models beside each other in a real browser: streamed, stopped, gone on with, kept."""

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import OfferedPrompt
from labeling.services.offers import offer_prompt
from tests.e2e.axe import Examiner
from tests.factories import make_project, owner_of
from tests.training.factories import make_model
from tests.training.playground.serving import lease, speaking
from training.playground import tasks

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def sign_in(page, live_server, project) -> None:
    client = Client()
    client.force_login(owner_of(project))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value}
    page.context.add_cookies([cookie | {"url": live_server.url}])


def test_two_replies_stream_beside_each_other(monkeypatch, live_server, page):
    from playwright.sync_api import expect

    monkeypatch.setattr(tasks, "ring_served", lambda pk: None)
    project = make_project()
    left, right = make_model(project, name="left"), make_model(project, name="right")
    sign_in(page, live_server, project)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    hostile = "<img src=x onerror=alert(1)> "
    with (
        speaking(hostile, "**one** ", "two") as short,
        speaking(*["word "] * 400, pause_s=0.05) as endless,
    ):
        lease(left, port=short.port)
        url = reverse("training:playground", args=[project.slug])
        page.goto(f"{live_server.url}{url}?left={left.pk}&right={right.pk}")
        message = page.get_by_label("Your message")
        page.get_by_label("The project may keep what I ask").check()
        message.fill("Why is the sky blue?")
        message.press("Control+Enter")
        first, second = (page.locator(f"[data-column={name}] .said") for name in ("left", "right"))
        expect(first.locator(".prose strong")).to_have_text("one")
        assert first.locator("img").count() == 0
        assert hostile.strip() in first.inner_text()
        # The other model is still being loaded: its side says so, and asks again by itself.
        expect(second.locator(".note")).to_contain_text("worker")
        lease(right, port=endless.port)
        expect(second.locator(".plain-text").last).to_contain_text("word word", timeout=10_000)
        expect(page.get_by_role("status")).to_contain_text("joined the project's prompts")
        page.keyboard.press("Escape")
        expect(second.locator(".note")).to_contain_text("Stopped")
        assert endless.left.wait(10)
        endless.words = ["Again."]
        message.fill("And at night?")
        page.get_by_role("button", name="Send").click()
        expect(second.locator(".prose")).to_have_text("Again.")
        expect(first.locator(".prose")).to_have_count(2)
    # Each model was told its own side of the conversation, what was stopped included.
    roles = [[turn["role"] for turn in server.asked[-1]["messages"]] for server in (short, endless)]
    assert roles == [["user", "assistant", "user"]] * 2
    assert short.asked[-1]["messages"][1]["content"].endswith("**one** two")
    assert OfferedPrompt.objects.count() == 1
    refused = [text for text in complaints if "429" not in text]
    assert refused == []


@pytest.mark.slow
def test_axe_finds_nothing_wrong(live_server, page):
    from playwright.sync_api import expect

    project = make_project()
    model = make_model(project, name="left")
    sign_in(page, live_server, project)
    held = [{"role": "user", "content": "Write to me@example.org"}]
    offer_prompt(actor=owner_of(project), project=project, messages=held, consent="Yes.")
    examiner = Examiner(page)
    with speaking("Hello **there**") as speaker:
        lease(model, port=speaker.port)
        page.goto(live_server.url + reverse("training:playground", args=[project.slug]))
        page.get_by_text("How replies are drawn").click()
        examiner.look("nothing said yet")
        page.get_by_label("Your message").fill("Hello?")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".prose strong")).to_be_visible()
        examiner.look("a reply")
    page.goto(live_server.url + reverse("training:playground_prompts", args=[project.slug]))
    examiner.look("messages given")
    assert examiner.violations == [], "\n".join(examiner.violations)
