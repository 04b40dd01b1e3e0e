"""The writing page in a real Chromium: what a person would miss if it broke."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from labeling.models import Demonstration, Project, WritingAssignment
from labeling.services.projects import publish_guideline
from labeling.services.writing import expire_writing_leases
from tests.e2e.axe import Examiner
from tests.factories import PASSWORD, make_member, make_project, make_prompts, owner_of
from tests.labeling.services.test_writing import run_out

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def project() -> Project:
    """Return a project that wants one reply to each of four prompts."""
    project = make_project(demonstrations_per_prompt=1)
    make_prompts(project, 4, candidates=0)
    return project


def _sign_in(page: "Page", live_server: Any, project: Project) -> None:
    user = make_member(project)
    page.goto(f"{live_server.url}/login/?next=/projects/{project.slug}/write/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")


@pytest.fixture
def writing(page: "Page", live_server: Any, project: Project) -> Iterator["Page"]:
    """Give the writing page of an annotator who signed in through the form."""
    _sign_in(page, live_server, project)
    page.wait_for_selector("#text:focus")
    yield page
    page.context.set_offline(True)
    page.wait_for_timeout(300)  # the server ends what it is at before its tables are emptied


def _said(page: "Page") -> str:
    return page.inner_text("#say")


def _shows(page: "Page", selector: str, text: str) -> None:
    page.locator(selector, has_text=re.compile(f"^{re.escape(text)}$")).wait_for(state="attached")


def _uid(page: "Page") -> str:
    return page.get_attribute("form.leaf", "data-uid") or ""


def _next_prompt(page: "Page", uid: str) -> None:
    page.wait_for_selector(f'form.leaf:not([data-uid="{uid}"])')


def _stored(uid: str) -> list[str]:
    rows = Demonstration.objects.filter(assignment__uid=uid).order_by("id")
    return [row.messages[0]["content"][0]["text"] for row in rows]


def test_reply_is_typed_sent_by_key_and_the_next_prompt_is_there(writing: "Page") -> None:
    uid = _uid(writing)
    writing.keyboard.type("First line,\nand a second.")
    _shows(writing, ".words", "5 words")
    writing.keyboard.press("Control+Enter")
    _next_prompt(writing, uid)
    assert _stored(uid) == ["First line,\nand a second."]
    assert _said(writing) == "New prompt. Write your reply."
    assert writing.evaluate("document.activeElement.id") == "text"
    assert writing.input_value("#text") == ""
    assert (writing.inner_text("#done-today"), writing.inner_text("#left")) == ("1", "2")
    assert Demonstration.objects.get().active_ms is not None


def test_draft_survives_a_reload(writing: "Page") -> None:
    uid = _uid(writing)
    writing.keyboard.type("Half a rep")
    writing.reload()
    writing.wait_for_selector("#text:focus")
    assert _uid(writing) == uid
    assert writing.input_value("#text") == "Half a rep"
    assert _said(writing) == "Your unfinished reply is back."
    writing.keyboard.type("ly.")
    writing.keyboard.press("Control+Enter")
    _next_prompt(writing, uid)
    assert _stored(uid) == ["Half a reply."]


def test_draft_is_on_the_server_for_another_machine(writing: "Page", browser: Any) -> None:
    """It is sent at a pause; a browser that knows nothing of it gets it with the page."""
    uid = _uid(writing)
    with writing.expect_response("**/write/draft/"):
        writing.keyboard.type("Begun elsewhere.")
    _shows(writing, ".kept", "Draft kept")
    assert WritingAssignment.objects.get(uid=uid).draft == "Begun elsewhere."
    writing.evaluate("localStorage.clear()")
    writing.reload()
    writing.wait_for_selector("#text:focus")
    assert writing.input_value("#text") == "Begun elsewhere."


def _draft_arrives(page: "Page", uid: str, text: str) -> None:
    """Wait for a draft that comes on its own, after its page is gone."""
    for _ in range(50):
        if WritingAssignment.objects.get(uid=uid).draft == text:
            return
        page.wait_for_timeout(100)
    raise AssertionError(WritingAssignment.objects.get(uid=uid).draft)


def test_draft_goes_to_the_server_when_the_page_is_left(writing: "Page", live_server: Any) -> None:
    uid = _uid(writing)
    writing.keyboard.type("Left in haste.")
    writing.goto(f"{live_server.url}/settings/")
    _draft_arrives(writing, uid, "Left in haste.")


def test_later_text_of_another_machine_wins_over_what_this_browser_kept(writing: "Page") -> None:
    uid = _uid(writing)
    writing.keyboard.type("Old.")
    writing.goto("about:blank")
    _draft_arrives(writing, uid, "Old.")
    WritingAssignment.objects.filter(uid=uid).update(draft="Newer.", draft_revision=5)
    writing.go_back()
    writing.wait_for_selector("#text:focus")
    assert writing.input_value("#text") == "Newer."


def test_blank_reply_is_not_sent(writing: "Page") -> None:
    uid = _uid(writing)
    writing.keyboard.type("  ")
    writing.keyboard.press("Control+Enter")
    writing.wait_for_selector(".note:not([hidden])")
    assert "Write a reply first" in writing.inner_text(".note")
    assert _uid(writing) == uid
    assert not Demonstration.objects.exists()


def test_reply_sent_offline_is_delivered_later_and_stored_once(
    writing: "Page", browser_context: Any
) -> None:
    uid = _uid(writing)
    writing.keyboard.type("Written on a train.")
    browser_context.set_offline(True)
    writing.keyboard.press("Control+Enter")
    writing.wait_for_selector(".note:not([hidden])")
    assert "Your reply is kept" in writing.inner_text(".note")
    browser_context.set_offline(False)
    _next_prompt(writing, uid)
    assert _stored(uid) == ["Written on a train."]


def test_reply_whose_answer_was_lost_is_sent_again_and_stored_once(writing: "Page") -> None:
    uid = _uid(writing)
    lost: list[Any] = []

    def lose_once(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch())
        route.abort()

    writing.route("**/write/submit/", lose_once)
    writing.keyboard.type("Said once.")
    writing.keyboard.press("Control+Enter")
    _next_prompt(writing, uid)
    assert lost
    assert _stored(uid) == ["Said once."]


def test_reply_that_waits_is_delivered_by_the_next_page(
    writing: "Page", browser_context: Any, live_server: Any
) -> None:
    """The tab was closed before the network came back, and the lease has run out since."""
    uid, url = _uid(writing), writing.url
    writing.keyboard.type("Kept for later.")
    browser_context.set_offline(True)
    writing.keyboard.press("Control+Enter")
    writing.wait_for_selector(".note:not([hidden])")
    writing.goto("about:blank")
    browser_context.set_offline(False)
    WritingAssignment.objects.filter(uid=uid).update(state="expired")
    writing.goto(url)
    _shows(writing, "#say", "A reply that had waited in this browser was delivered.")
    assert _uid(writing) != uid
    assert _stored(uid) == ["Kept for later."]


def test_lost_lease_is_told_and_the_reply_still_taken(writing: "Page") -> None:
    uid = _uid(writing)
    run_out(uid)
    assert expire_writing_leases() == 1
    writing.keyboard.type("Slow work.")
    writing.wait_for_selector(".note:not([hidden])")
    assert "Your lease on this prompt has ended" in writing.inner_text(".note")
    writing.keyboard.press("Control+Enter")
    _next_prompt(writing, uid)
    assert _stored(uid) == ["Slow work."]


def test_preview_shows_and_leaves_the_text_by_key_and_by_button(writing: "Page") -> None:
    writing.keyboard.type("A **bold** word <b>shown</b>")
    writing.keyboard.press("Alt+p")
    writing.wait_for_selector("#shown strong")
    assert writing.inner_text("#shown") == "A bold word <b>shown</b>"
    assert writing.is_hidden("#text")
    writing.keyboard.press("p")  # the focus is out of the text: the single key speaks
    assert writing.evaluate("document.activeElement.id") == "text"
    writing.keyboard.type(".")
    assert writing.input_value("#text") == "A **bold** word <b>shown</b>."
    writing.click("[data-act=preview]")
    writing.wait_for_selector("#shown strong")
    assert writing.get_attribute("[data-act=preview]", "aria-pressed") == "true"


def test_single_keys_keep_out_of_the_text_and_work_outside(writing: "Page") -> None:
    writing.keyboard.type("?spegu")
    assert writing.input_value("#text") == "?spegu"
    assert not writing.locator(":popover-open").count()
    writing.keyboard.press("Escape")
    writing.keyboard.press("?")
    assert writing.locator("#keys:popover-open").count() == 1
    writing.keyboard.press("Escape")
    writing.keyboard.press("g")
    assert writing.locator("#guidelines details[open]").count() == 0
    writing.keyboard.press("e")
    assert writing.evaluate("document.activeElement.id") == "text"


def test_skip_by_key_takes_a_reason_and_brings_the_next(writing: "Page") -> None:
    uid = _uid(writing)
    writing.keyboard.press("Escape")
    writing.keyboard.press("s")
    writing.wait_for_selector("#skip:popover-open")
    writing.fill("#skip-note", "se?g")
    writing.check("#skip [value='Other']")
    writing.click("#skip .primary")
    _next_prompt(writing, uid)
    assert WritingAssignment.objects.get(uid=uid).skip_reason == "Other: se?g"


def test_last_reply_is_corrected(writing: "Page") -> None:
    uid = _uid(writing)
    writing.keyboard.type("Frist.")
    writing.keyboard.press("Control+Enter")
    _next_prompt(writing, uid)
    current = _uid(writing)
    writing.keyboard.type("Half")
    writing.keyboard.press("Escape")
    writing.keyboard.press("u")
    writing.wait_for_selector("form.leaf[data-corrects]")
    writing.wait_for_selector("#text:focus")
    assert writing.input_value("#text") == "Frist."
    writing.fill("#text", "First.")
    writing.keyboard.press("Control+Enter")
    writing.wait_for_selector(f'form.leaf[data-uid="{current}"]')
    assert _stored(uid) == ["Frist.", "First."]
    assert writing.input_value("#text") == "Half"
    assert writing.url.endswith("/write/")


def test_new_guidelines_are_noticed(writing: "Page", project: Project) -> None:
    publish_guideline(actor=owner_of(project), project=project, text="Be brief.")
    uid = _uid(writing)
    writing.keyboard.type("A reply.")
    writing.keyboard.press("Control+Enter")
    _next_prompt(writing, uid)
    assert "The guidelines have changed" in writing.inner_text(".note")
    writing.click(".note a")
    writing.wait_for_selector("#guidelines[data-version='2']")
    assert "Be brief." in writing.inner_text("#guidelines")


def test_nothing_left_is_said(writing: "Page") -> None:
    for _ in range(4):
        uid = _uid(writing)
        writing.keyboard.type("A reply.")
        writing.keyboard.press("Control+Enter")
        writing.wait_for_selector(f'#write-card:not(:has([data-uid="{uid}"]))')
    assert "Nothing is left for you to write" in writing.inner_text("#write-card")
    assert Demonstration.objects.count() == 4


def test_axe_finds_nothing_in_any_state(writing: "Page") -> None:
    """On desktop and phone, light and dark."""
    examiner = Examiner(writing)
    examiner.look("new prompt")
    writing.keyboard.type("A **bold** reply.")
    writing.keyboard.press("Alt+p")
    writing.wait_for_selector("#shown strong")
    examiner.look("preview")
    writing.keyboard.press("p")
    for opener, dialog in (("?", "#keys"), ("s", "#skip")):
        writing.keyboard.press("Escape")
        writing.keyboard.press(opener)
        writing.wait_for_selector(f"{dialog}:popover-open")
        examiner.look(dialog)
        writing.keyboard.press("Escape")
    uid = _uid(writing)
    writing.keyboard.press("Control+Enter")
    _next_prompt(writing, uid)
    writing.keyboard.press("Control+Enter")
    writing.wait_for_selector(".note:not([hidden])")
    examiner.look("refused")
    writing.click("[data-act=correct]")
    writing.wait_for_selector("form.leaf[data-corrects]")
    examiner.look("correction")
    assert examiner.violations == []
    assert examiner.rules >= {"color-contrast", "label", "button-name"}


def test_page_works_without_a_script(browser: Any, live_server: Any, project: Project) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    _sign_in(page, live_server, project)
    uid = _uid(page)
    page.fill("#text", "**Plain**\nwork")
    page.click("[data-act=preview]")
    assert page.inner_text("#shown strong") == "Plain"
    page.click("text=Keep as a draft")
    assert page.input_value("#text") == "**Plain**\nwork"
    page.click("[data-submit]")
    assert _uid(page) != uid
    assert _stored(uid) == ["**Plain**\nwork"]
    context.close()


@pytest.mark.parametrize(("width", "height"), [(390, 780), (640, 400), (1280, 800), (1920, 1080)])
def test_nothing_overflows_at_any_width(writing: "Page", width: int, height: int) -> None:
    """640 by 400 is a screen of 1280 by 800 at 200 % zoom."""
    writing.set_viewport_size({"width": width, "height": height})
    assert writing.evaluate("document.documentElement.scrollWidth") <= width
    text = writing.locator("#text").bounding_box()
    submit = writing.locator("[data-submit]").bounding_box()
    assert text
    assert submit
    assert text["height"] >= 140
    assert submit["x"] + submit["width"] <= width
    assert submit["y"] + submit["height"] <= height
