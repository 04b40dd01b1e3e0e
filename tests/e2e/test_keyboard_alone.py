"""The pages of annotators by Tab, Enter and Space alone: all is reached, seen, and given back."""

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from labeling.models import Judgement
from tests.e2e import steps
from tests.e2e.reading_matter import make_reading
from tests.e2e.test_accessibility import open_page, open_ranking

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Where Tab should stop, in the order in which the page is read: one stop for a group of radio
# buttons, at the one that is chosen or else the first that may take the focus. The flags of a
# reply take it as soon as it has come to that reply.
_STOPS = """() => {
  const wanted = "a[href], button, input, select, textarea, summary, [tabindex]";
  const shown = (e) => e.type !== "hidden" && e.checkVisibility({ visibilityProperty: true });
  const may = [...document.querySelectorAll(wanted)].filter((e) =>
    (e.tabIndex >= 0 || e.matches(".flag input")) && !e.disabled && shown(e));
  const stop = (e) => e.type !== "radio" || e === (may.find((o) => o.name === e.name && o.checked)
    ?? may.find((o) => o.name === e.name));
  globalThis.stops = may.filter(stop);
  return stops.map((e) => `${e.localName} ${e.name ?? ""} ${e.innerText?.slice(0, 20) ?? ""}`);
}"""
# Which of the stops has the focus, and whether a line around it, around what stands for it, or
# around the reply it belongs to says so.
_HERE = """() => {
  const e = document.activeElement;
  const line = (box) => {
    const { outlineStyle, outlineWidth } = getComputedStyle(box);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
  };
  const around = [e, e.matches("input") && e.nextElementSibling, e.closest(".candidate")];
  const seen = around.some((box) => box && line(box));
  return { stop: stops.indexOf(e), seen, text: e.outerHTML.slice(0, 90) };
}"""


def walk(page: Page) -> list[dict[str, Any]]:
    """Press Tab through the page, from its beginning to its end, and return each stop."""
    wanted = page.evaluate(_STOPS)
    assert len(wanted) > 10
    page.evaluate("stops[0].focus()")
    found = [page.evaluate(_HERE)]
    for _ in wanted[1:]:
        page.keyboard.press("Tab")
        found.append(page.evaluate(_HERE))
    return found


def has_focus(page: Page) -> str:
    """Return the name, the id or the beginning of what has the focus."""
    return str(
        page.evaluate(
            """() => { const { name, id, outerHTML } = document.activeElement;
                return name || id || outerHTML.slice(0, 80) }"""
        )
    )


def assert_whole_walk(page: Page) -> None:
    """Walk the page by Tab: each control once, in the order of reading, always seen."""
    found = walk(page)
    assert [place["stop"] for place in found] == list(range(len(found))), found
    assert [place["text"] for place in found if not place["seen"]] == []


@pytest.mark.parametrize("k", [2, 4])
def test_tab_reaches_all_of_the_ranking_page(page: Page, live_server: LiveServer, k: int) -> None:
    """Ratings and flags first, then ranks; the frames of tables and formulas are on the way."""
    asked = {"asks_ratings": True, "asks_confidence": True, "asks_demonstrations": True}
    project, annotator = make_reading(k, strength_scale=3, **asked)
    open_ranking(page, live_server, annotator, project)
    assert_whole_walk(page)
    page.locator("[name=quality-0]").first.focus()
    for _ in range(k):
        page.keyboard.press("6")
    assert_whole_walk(page)


def test_tab_reaches_all_of_the_writing_page(page: Page, live_server: LiveServer) -> None:
    project, annotator = make_reading(2, demonstrations_per_prompt=1)
    open_page(page, live_server, annotator, f"projects/{project.slug}/write/")
    expect(page.locator("#text")).to_be_focused()
    assert_whole_walk(page)


def test_flags_are_set_by_tab_and_space(page: Page, live_server: LiveServer) -> None:
    project, annotator = make_reading(4, asks_ratings=True)
    open_ranking(page, live_server, annotator, project)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("[name=flag-0]").first).to_be_checked()
    expect(page.locator("#say")).to_have_text("Fails to follow the instruction: yes.")


def test_points_of_the_line_are_chosen_by_arrows(page: Page, live_server: LiveServer) -> None:
    """As in any group of radio buttons; elsewhere the arrows go from reply to reply."""
    project, annotator = make_reading(2, strength_scale=3)
    open_ranking(page, live_server, annotator, project)
    page.locator("[name=line]").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[name=line]").nth(1)).to_be_checked()
    expect(page.locator("#say")).to_have_text("A is clearly better: chosen.")
    page.locator(".candidate .prose").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".candidate .prose").nth(1)).to_be_focused()


def test_a_wide_table_is_scrolled_and_the_digits_still_rank(
    page: Page, live_server: LiveServer
) -> None:
    project, annotator = make_reading(4)
    open_ranking(page, live_server, annotator, project)
    frame = page.get_by_role("group", name="Table")
    position = int(frame.evaluate("(e) => e.closest('.candidate').dataset.position"))
    frame.focus()
    page.keyboard.press("ArrowRight")
    assert frame.evaluate("(e) => e.scrollLeft") > 0
    expect(frame).to_be_focused()
    page.keyboard.press("2")
    assert [bool(badge) for badge in steps.badges(page)] == [n == position for n in range(4)]


def test_dialogs_give_the_focus_back(page: Page, live_server: LiveServer) -> None:
    """To where it was when a key opened them, or to the button that did."""
    project, annotator = make_reading(4, asks_demonstrations=True)
    open_ranking(page, live_server, annotator, project)
    page.keyboard.press("ArrowRight")
    names = {"?": "keys", "s": "skip", "x": "unrankable", "m": "comment", "w": "own"}
    for key, name in names.items():
        page.keyboard.press(key)
        dialog = page.locator(f"#{name}")
        expect(dialog).to_be_visible()
        assert dialog.evaluate("(e) => e.contains(document.activeElement)"), name
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        assert has_focus(page) == "rank-1", name
    opener = page.get_by_role("button", name="Skip S")
    opener.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    with page.expect_response("**/guideline/"):  # that they were read
        page.keyboard.press("g")
    expect(page.locator("#guidelines")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#guidelines")).to_be_hidden()
    assert has_focus(page) == "rank-1"


def test_guidelines_that_cover_the_page_fold_when_left(page: Page, live_server: LiveServer) -> None:
    """On a phone nobody goes by Tab to what lies under them."""
    project, annotator = make_reading(4)
    page.set_viewport_size({"width": 390, "height": 780})
    open_ranking(page, live_server, annotator, project)
    with page.expect_response("**/guideline/"):  # that they were read
        page.keyboard.press("g")
    expect(page.locator("#guidelines")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#guidelines")).to_be_hidden()
    assert page.evaluate("document.activeElement.matches('.desk *')")


def test_all_is_announced_and_the_next_card_takes_the_focus(
    page: Page, live_server: LiveServer
) -> None:
    """Placed, tied, refused, submitted, the next one, skipped, nothing left."""
    project, annotator = make_reading(4)
    open_ranking(page, live_server, annotator, project)
    says = page.get_by_role("status").and_(page.locator("#say"))
    expect(says).to_have_text("New comparison: 4 replies.")
    heard = {
        "1": "Reply A placed at rank 1.",
        "Enter": "Not placed yet: B, C, D.",
        "2": "Reply B placed at rank 2.",
    }
    for key, sentence in heard.items():
        page.keyboard.press(key)
        expect(says).to_have_text(sentence)
    page.keyboard.press("2")
    expect(says).to_have_text("Reply C placed at rank 2, tied with B.")
    page.keyboard.press("3")
    expect(says).to_have_text("Reply D placed at rank 3. All placed. Press Enter to submit.")
    expect(page.locator('.desk[data-unsent="0"]')).to_have_count(1)
    before = steps.card_key(page)
    page.keyboard.press("Enter")
    steps.expect_next_card(page, before)
    expect(says).to_have_text("Submitted. New comparison: 4 replies.")
    assert has_focus(page) == "rank-0"
    page.keyboard.press("s")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(says).to_have_text("Nothing is left to rank.")
    expect(page.locator(".nothing-left")).to_be_focused()


def test_a_refusal_is_said_and_gives_the_focus_back(page: Page, live_server: LiveServer) -> None:
    """The card waits, inert, for an answer, which is no: what had the focus has it again."""
    project, annotator = make_reading(4, prompts=1)
    open_ranking(page, live_server, annotator, project)

    def refuse(route: Route) -> None:
        route.fulfill(status=422, body="<div class='note-text'>Not so.</div>")

    page.route("**/compare/submit/", refuse)
    for key in ("1", "2", "3", "4", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#say")).to_have_text("Not so.")
    expect(page.locator("form.sheet[inert]")).to_have_count(0)
    assert has_focus(page) == "rank-3"
    assert Judgement.objects.count() == 0
