"""axe-core finds nothing wrong with any page that annotators use, in any state of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from labeling.models import Project, User
from tests.e2e import steps
from tests.e2e.axe import Examiner
from tests.e2e.reading_matter import make_reading
from tests.e2e.witness import Witness
from tests.factories import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# What axe leaves to people, and why that is so here. Contrast: where text stands over or under
# something else, is a single letter of a formula, or is cut by a frame that scrolls; the same
# colours are decided wherever they stand free. Size of a target: letters in a lane of a phone are
# small; they are there to be dragged by who likes that, and the numbers beside each reply, which
# are large, do the same.
LEFT_TO_PEOPLE = {"color-contrast", "target-size"}


@pytest.fixture
def examiner(
    page: Page, browser_context: BrowserContext, live_server: LiveServer
) -> Iterator[Examiner]:
    """Return an examiner; at the end it must have found nothing, under the policy all the time."""
    witness = Witness(live_server.url)
    witness.watch(browser_context)
    found = Examiner(page)
    yield found
    assert found.violations == [], "\n".join(found.violations)
    assert set(found.undecided) <= LEFT_TO_PEOPLE, found.undecided
    assert {"color-contrast", "target-size", "label", "region", "heading-order"} <= found.rules
    assert [c for c in witness.complaints if "refused by the policy" in c] == []


def open_page(page: Page, live_server: LiveServer, user: User, place: str) -> None:
    """Sign in on the way to a page."""
    page.goto(f"{live_server.url}/login/?next=/{place}")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def open_ranking(page: Page, live_server: LiveServer, user: User, project: Project) -> None:
    """Sign in on the way to the ranking page and wait until it listens."""
    open_page(page, live_server, user, f"projects/{project.slug}/compare/")
    steps.expect_ready(page)


def look_at_dialogs(page: Page, examiner: Examiner, dialogs: dict[str, str]) -> None:
    """Open each dialog by its key, look, and close it again."""
    for key, name in dialogs.items():
        page.keyboard.press(key)
        expect(page.locator(f"#{name}")).to_be_visible()
        examiner.look(name)
        page.keyboard.press("Escape")
        expect(page.locator(f"#{name}")).to_be_hidden()


def test_ranking_four(page: Page, live_server: LiveServer, examiner: Examiner) -> None:
    """A card as it comes, refused, read in every way, and with each dialog open."""
    project, annotator = make_reading(4)
    open_ranking(page, live_server, annotator, project)
    examiner.look("a card")
    for key in ("1", "1", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".note")).to_be_visible()
    examiner.look("not all placed")
    dialogs = {"?": "keys", "s": "skip", "x": "unrankable", "m": "comment", "g": "guidelines"}
    look_at_dialogs(page, examiner, dialogs)
    for key, state in {"d": "differences", "r": "raw", "f": "alone", "c": "conversation"}.items():
        page.keyboard.press(key)
        examiner.look(state)
        page.keyboard.press(key)
    for state in ("rows", "one at a time"):
        page.keyboard.press("v")
        examiner.look(state)


def test_ranking_nine_with_all_that_is_asked(
    page: Page, live_server: LiveServer, examiner: Examiner
) -> None:
    """Rated, flagged, ranked with ties, judged, gone back to, and nothing left."""
    project, annotator = make_reading(
        9, prompts=1, asks_ratings=True, asks_confidence=True, asks_demonstrations=True
    )
    open_ranking(page, live_server, annotator, project)
    page.keyboard.press("Shift+1")
    examiner.look("ratings")
    for key in "555555555" + "123123111" + "j":
        page.keyboard.press(key)
    examiner.look("nine placed")
    look_at_dialogs(page, examiner, {"w": "own"})
    page.keyboard.press("Enter")
    expect(page.locator(".nothing-left")).to_be_visible()
    examiner.look("nothing left")
    page.keyboard.press("u")
    expect(page.locator("form.sheet[data-revises]")).to_have_count(1)
    examiner.look("an old judgement")


def test_the_line_between_two(page: Page, live_server: LiveServer, examiner: Examiner) -> None:
    project, annotator = make_reading(2, strength_scale=9)
    open_ranking(page, live_server, annotator, project)
    examiner.look("the line")
    page.keyboard.press("3")
    examiner.look("a point chosen")


def test_writing(page: Page, live_server: LiveServer, examiner: Examiner) -> None:
    """A prompt, a reply, its preview, each dialog, a correction, and nothing left."""
    project, annotator = make_reading(2, prompts=1, demonstrations_per_prompt=1)
    open_page(page, live_server, annotator, f"projects/{project.slug}/write/")
    expect(page.locator("#text")).to_be_focused()
    examiner.look("a prompt")
    page.locator("#text").fill("Go *north*.\n\n|a|\n|-|\n|1|\n")
    page.keyboard.press("Alt+p")
    expect(page.locator("#shown")).to_be_visible()
    examiner.look("preview")
    look_at_dialogs(page, examiner, {"s": "skip", "?": "keys"})
    page.keyboard.press("Control+Enter")
    expect(page.locator(".nothing-left")).to_be_visible()
    examiner.look("nothing left to write")
    page.get_by_role("link", name="Correct your last reply").click()
    expect(page.locator("form[data-corrects]")).to_have_count(1)
    examiner.look("a correction")


def test_around_the_work(page: Page, live_server: LiveServer, examiner: Examiner) -> None:
    """Login, projects, the project, one's own work and settings; refused where they can be."""
    project, annotator = make_reading(2, shows_agreement=True, demonstrations_per_prompt=1)
    page.goto(f"{live_server.url}/login/")
    examiner.look("login")
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    examiner.look("login refused")
    open_ranking(page, live_server, annotator, project)
    before = steps.card_key(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    steps.expect_next_card(page, before)
    base = f"projects/{project.slug}/"
    for place in ("", base, f"{base}me/", f"{base}guidelines/", "settings/", "settings/password/"):
        answer = page.goto(f"{live_server.url}/{place}")
        assert answer is not None
        assert answer.status == 200, place
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        examiner.look(place or "projects")
    page.goto(f"{live_server.url}/settings/")
    page.locator("[name=time_zone]").fill("Nowhere")
    page.locator("main form .button.primary").first.click()
    expect(page.locator(".errorlist")).to_be_visible()
    examiner.look("settings refused")


def test_the_examiner_sees_what_is_wrong(page: Page, live_server: LiveServer) -> None:
    """A label taken away is missed; grey on grey is seen, in the dark too."""
    page.goto(f"{live_server.url}/login/")
    page.evaluate("document.querySelector('label[for=id_username]').remove()")
    page.evaluate("document.documentElement.style.setProperty('--ink', '#777')")
    examiner = Examiner(page)
    examiner.look("broken")
    told = "\n".join(examiner.violations)
    assert "broken, desktop, light: label" in told
    assert "broken, phone, dark: color-contrast" in told
