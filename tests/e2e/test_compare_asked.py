"""What a project may ask for besides the order, and what helps to read: keys, seen by a person."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from labeling.models import Demonstration, Judgement, Project, User
from labeling.services.projects import publish_guideline, update_project
from tests.e2e import steps
from tests.e2e.test_compare_page import import_replies
from tests.factories import PASSWORD, make_member, make_project, owner_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SAME = " ".join(f"word{n}" for n in range(60))
REPLIES = [
    f"{SAME}\n\nThe *capital* is Canberra.",
    f"{SAME}\n\nThe capital is Sydney, of course.",
    f"{SAME}\n\nIt is Canberra.",
]


def opened(page: Page, live_server: LiveServer, user: User, project: Project) -> None:
    """Sign in through the form and open the ranking page."""
    steps.sign_in(page, live_server.url, (user.username, PASSWORD))
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    expect(page.locator(".candidate[data-current]")).to_have_count(1)


def world(groups: list[list[str]], **settings: Any) -> tuple[Project, User]:
    """Return a project that asks for those settings, with its comparisons, and an annotator."""
    project = make_project(candidates_per_comparison=len(groups[0]))
    update_project(actor=owner_of(project), project=project, **settings)
    import_replies(project, groups)
    return project, make_member(project)


def press(page: Page, *keys: str) -> None:
    """Press one key after the other."""
    for key in keys:
        page.keyboard.press(key)


def submitted(page: Page) -> Judgement:
    """Submit with Enter; return the newest judgement once the server has it."""
    before = steps.card_key(page)
    page.keyboard.press("Enter")
    steps.expect_next_card(page, before)
    return Judgement.objects.latest("id")


def test_two_replies_are_placed_on_a_line_with_a_strength(
    page: Page, live_server: LiveServer
) -> None:
    groups = [["Yes.", "No."], ["Left.", "Right."], ["Up.", "Down."], ["In.", "Out."]]
    project, user = world(groups, strength_scale=3)
    opened(page, live_server, user, project)
    press(page, "Enter")
    expect(page.locator(".note")).to_contain_text("Choose a point on the line first.")
    press(page, "6")  # B is clearly better
    judgement = submitted(page)
    first, second = judgement.shown_order
    assert (judgement.tiers, judgement.strength) == ([[second], [first]], 2)
    press(page, "4")
    judgement = submitted(page)
    assert (judgement.verdict, judgement.strength) == ("tie", None)
    press(page, "b")
    assert submitted(page).verdict == "both_bad"
    page.locator('[title="A is much better"] input').check()
    judgement = submitted(page)
    assert (judgement.tiers[0], judgement.strength) == ([judgement.shown_order[0]], 3)


def test_ratings_and_flags_come_before_ranks_and_confidence_with_them(
    page: Page, live_server: LiveServer
) -> None:
    project, user = world([REPLIES, REPLIES], asks_ratings=True, asks_confidence=True)
    opened(page, live_server, user, project)
    expect(page.locator(".ranks").first).to_be_hidden()
    press(page, "5", "ArrowLeft", "Shift+2", "ArrowRight", "3")
    expect(page.locator("#say")).to_have_text("Reply B: quality 3 of 7.")
    press(page, "1", "3")  # the third reply's quality, then the first one's rank
    expect(page.locator(".ranks").first).to_be_visible()
    assert steps.badges(page) == ["3", "", ""]
    press(page, "2", "1", "Enter")
    expect(page.locator(".note")).to_contain_text("Say how sure you are first.")
    press(page, "k", "m")
    page.keyboard.type("The first one is short, 1 2 3.")
    press(page, "Escape")
    judgement = submitted(page)
    order = judgement.shown_order
    assert judgement.ratings[str(order[0])] == {"quality": 5, "flags": ["hallucination"]}
    assert [judgement.ratings[str(slot)]["quality"] for slot in order] == [5, 3, 1]
    assert (judgement.confidence, judgement.comment) == (2, "The first one is short, 1 2 3.")
    assert judgement.tiers == [[order[2]], [order[1]], [order[0]]]


def test_a_reply_of_ones_own_is_preferred_and_becomes_a_demonstration(
    page: Page, live_server: LiveServer
) -> None:
    project, user = world([REPLIES], asks_demonstrations=True)
    opened(page, live_server, user, project)
    press(page, "1", "1", "2", "w")
    page.locator("#own [data-copy='0']").click()
    page.keyboard.press("End")
    page.keyboard.type(" Really.")
    press(page, "Escape")
    judgement = submitted(page)
    assert judgement.tiers[0] == [3]  # slot K
    demonstration = Demonstration.objects.get()
    assert demonstration.messages[0]["content"][0]["text"].endswith("Really.")


def test_what_can_t_be_ranked_is_said_with_a_reason(page: Page, live_server: LiveServer) -> None:
    project, user = world([REPLIES])
    opened(page, live_server, user, project)
    press(page, "x")
    page.get_by_label("The prompt makes no sense").check()
    before = steps.card_key(page)
    page.locator("#unrankable .primary").click()
    steps.expect_next_card(page, before)
    judgement = Judgement.objects.get()
    assert judgement.verdict == "unrankable"
    assert judgement.unrankable_reason == "The prompt makes no sense"


def marked(page: Page, name: str) -> str:
    """Return the words that a highlight covers."""
    return str(
        page.evaluate(
            """(name) => [...(CSS.highlights.get(name) ?? [])].map((range) => {
                const text = range.startContainer.data;
                return text.slice(range.startOffset, range.endOffset);
            }).join(" | ")""",
            name,
        )
    )


def test_differences_are_marked_and_a_shared_beginning_is_folded(
    page: Page, live_server: LiveServer
) -> None:
    project, user = world([REPLIES])
    opened(page, live_server, user, project)
    texts = steps.candidates(page).locator(".prose").all_inner_texts()
    sydney = next(n for n, text in enumerate(texts) if "Sydney" in text)
    first = 0 if sydney else 1
    press(page, *["ArrowLeft"] * 3, *["ArrowRight"] * first, "d")
    expect(page.locator("[data-base]")).to_have_count(1)
    assert "of course" in marked(page, "differs")
    assert "Canberra" not in marked(page, "shared") or "Sydney" not in marked(page, "shared")
    folds = page.locator(".same-start")
    expect(folds).to_have_count(3)
    expect(folds.first).to_contain_text("The first 60 words are the same in all")
    expect(page.get_by_text("word7 ").first).to_be_hidden()
    folds.first.click()
    expect(page.get_by_text("word7 ").first).to_be_visible()
    press(page, "Escape")
    assert page.evaluate("CSS.highlights.size") == 0
    expect(page.locator(".same-start")).to_have_count(0)


def test_raw_layouts_alone_and_the_conversation_by_one_key_each(
    page: Page, live_server: LiveServer
) -> None:
    project, user = world([REPLIES])
    opened(page, live_server, user, project)
    press(page, "r")
    raw = page.locator(".candidate .raw").all_inner_texts()
    assert any("The *capital* is Canberra." in text for text in raw)
    press(page, "r")
    expect(page.locator(".raw")).to_have_count(0)
    expect(page.locator(".candidate em")).to_have_count(1)
    press(page, "v", "v")
    expect(page.locator(".candidate:visible")).to_have_count(1)
    page.reload()  # what a reader prefers is kept
    expect(page.locator(".candidate:visible")).to_have_count(1)
    press(page, "v", "f")
    expect(page.locator(".candidate:visible")).to_have_count(1)
    expect(page.locator(".talk")).to_be_hidden()
    press(page, "ArrowRight")
    expect(page.locator(".candidate:visible")).to_have_attribute("data-position", "1")
    press(page, "Escape", "c")
    expect(page.locator(".candidate:visible")).to_have_count(3)
    expect(page.locator(".compare.talk-open")).to_have_count(1)
    expect(page.locator(".length").first).to_have_text(re.compile(r"6[0-9]"))


def test_replies_scroll_together_when_asked(page: Page, live_server: LiveServer) -> None:
    long = [f"{n} " + "A sentence that goes on.\n\n" * 120 for n in range(3)]
    project, user = world([long])
    opened(page, live_server, user, project)
    tops = "[...document.querySelectorAll('.candidate')].map((c) => c.scrollTop > 100)"
    page.evaluate("document.querySelector('.candidate').scrollTop = 600")
    assert page.evaluate(tops) == [True, False, False]
    press(page, "y")
    page.evaluate("document.querySelector('.candidate').scrollTop = 800")
    page.wait_for_function(f"() => {tops}.every(Boolean)")


def test_guidelines_open_beside_the_work_and_tell_when_they_changed(
    page: Page, live_server: LiveServer
) -> None:
    project, user = world([REPLIES, REPLIES])
    opened(page, live_server, user, project)
    expect(page.locator(".changed")).to_be_visible()
    with page.expect_response("**/compare/guideline/"):
        press(page, "g")
    expect(page.locator("#guidelines")).to_be_visible()
    expect(steps.candidates(page).first).to_be_visible()
    page.reload()
    expect(page.locator(".changed")).to_be_hidden()
    publish_guideline(actor=owner_of(project), project=project, text="Prefer the **shorter** one.")
    page.reload()
    expect(page.locator(".changed")).to_be_visible()


def test_a_break_is_suggested_after_an_hour_of_work(page: Page, live_server: LiveServer) -> None:
    project, user = world([REPLIES, REPLIES, REPLIES])
    opened(page, live_server, user, project)
    account = page.locator(".desk").get_attribute("data-account")
    page.evaluate(
        "(name) => localStorage.setItem(name, JSON.stringify({ms: 3599999, at: Date.now()}))",
        f"prefloop-worked:{account}",
    )
    press(page, "1", "2", "3")
    submitted(page)
    expect(page.locator("#break")).to_contain_text("a good moment for a break")
    page.get_by_role("button", name="All right").click()
    expect(page.locator("#break")).to_be_hidden()
    press(page, "1", "2", "3")
    submitted(page)
    expect(page.locator("#break")).to_be_hidden()
