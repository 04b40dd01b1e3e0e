"""The ranking page in a real Chromium: what a person would miss if it broke."""

from typing import TYPE_CHECKING, Any

import pytest

from labeling.models import Assignment, Judgement, Project
from tests.factories import PASSWORD, make_comparison, make_member, make_project

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def project() -> Project:
    """Return a project with comparisons of two sizes: the first one met has nine candidates."""
    project = make_project()
    make_comparison(project, k=9)
    for _ in range(3):
        make_comparison(project, k=4)
    return project


@pytest.fixture
def ranking(page: "Page", live_server: "LiveServer", project: Project) -> "Page":
    """Return the ranking page of an annotator who signed in through the form."""
    user = make_member(project)
    page.goto(f"{live_server.url}/login/?next=/projects/{project.slug}/compare/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector(".candidate[data-current]")
    return page


def _press(page: "Page", keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def _said(page: "Page") -> str:
    return page.inner_text("#say")


def _uid(page: "Page") -> str:
    return page.get_attribute("form.sheet", "data-uid") or ""


def _next_card(page: "Page", uid: str) -> None:
    page.wait_for_selector(f'form.sheet:not([data-uid="{uid}"])')
    page.wait_for_selector('.desk[data-unsent="0"]')  # the server has it


def _stored(uid: str) -> list[list[int]]:
    """Return the tiers of the judgement on an assignment, in positions as they were shown."""
    order = Assignment.objects.get(uid=uid).shown_order
    tiers = Judgement.objects.get(assignment__uid=uid).tiers
    return [sorted(order.index(slot) for slot in tier) for tier in tiers]


def test_nine_are_ranked_with_ties_by_keyboard_alone(ranking: "Page") -> None:
    """Ranks 1 1 2 3 3 3 9 8 7 in the order shown; the next card takes the focus."""
    uid = _uid(ranking)
    _press(ranking, "112333987")
    assert _said(ranking).startswith("Reply I placed at rank 7.")
    ranking.keyboard.press("Enter")
    _next_card(ranking, uid)
    assert _stored(uid) == [[0, 1], [2], [3, 4, 5], [8], [7], [6]]
    assert ranking.evaluate("document.activeElement.name") == "rank-0"
    assert _said(ranking) == "Submitted. New comparison: 4 replies."
    assert ranking.inner_text("#done-today") == "1"
    judgement = Judgement.objects.get(assignment__uid=uid)
    assert [code for _, code, _ in judgement.events] == [
        *(f"k{rank}" for rank in "112333987"),
        "s",
    ]
    assert judgement.active_ms is not None


def test_arrows_choose_and_keys_take_back(ranking: "Page") -> None:
    _press(ranking, "1")
    ranking.keyboard.press("ArrowLeft")
    ranking.keyboard.press("Backspace")
    assert _said(ranking) == "Reply A taken back: not placed."
    ranking.keyboard.press("Tab")
    _press(ranking, "2")
    assert _said(ranking) == "Reply B placed at rank 2."
    assert ranking.inner_text(".count") == "1 of 9 placed"


def test_untouched_and_half_placed_orders_are_not_sent(ranking: "Page") -> None:
    uid = _uid(ranking)
    ranking.keyboard.press("Enter")
    assert _said(ranking) == "Not placed yet: A, B, C, D, E, F, G, H, I."
    _press(ranking, "12345678")
    ranking.keyboard.press("Enter")
    assert _said(ranking) == "Not placed yet: I."
    ranking.click("[data-submit]", force=True)  # it says that it is disabled, and explains why
    ranking.wait_for_timeout(200)
    assert _uid(ranking) == uid
    assert not Judgement.objects.exists()


def _drag(page: "Page", what: str, where: str) -> None:
    source, target = page.locator(what).bounding_box(), page.locator(where).bounding_box()
    assert source
    assert target
    page.mouse.move(source["x"] + 8, source["y"] + 8)
    page.mouse.down()
    page.mouse.move(target["x"] + 20, target["y"] + 30, steps=6)
    page.mouse.up()


def test_candidates_are_dragged_onto_ranks_and_back(ranking: "Page") -> None:
    _drag(ranking, ".handle[data-drag='0']", ".lane[data-lane='2']")
    assert _said(ranking) == "Reply A placed at rank 2."
    _drag(ranking, ".chip[data-drag='1']", ".lane[data-lane='2']")
    assert _said(ranking) == "Reply B placed at rank 2, tied with A."
    assert ranking.locator(".lane[data-lane='2'] .chip").count() == 2
    _drag(ranking, ".chip[data-drag='0']", ".tray")
    assert _said(ranking) == "Reply A taken back: not placed."


def test_click_places_and_a_second_click_takes_back(ranking: "Page") -> None:
    third = ranking.locator(".candidate[data-position='2'] .rank").nth(0)
    third.click()
    assert _said(ranking) == "Reply C placed at rank 1."
    third.click()
    assert _said(ranking) == "Reply C taken back: not placed."
    ranking.locator(".lane[data-lane='4']").click()
    assert _said(ranking) == "Reply C placed at rank 4."


def test_draft_survives_a_reload(ranking: "Page") -> None:
    uid = _uid(ranking)
    _press(ranking, "31")
    ranking.reload()
    ranking.wait_for_selector(".candidate[data-current]")
    assert _uid(ranking) == uid
    assert _said(ranking) == "Your unfinished ranking is back."
    assert ranking.inner_text(".count") == "2 of 9 placed"
    assert ranking.locator(".candidate[data-position='0'] input:checked").input_value() == "3"


def test_ranking_made_offline_is_delivered_later_and_stored_once(
    ranking: "Page", browser_context: Any
) -> None:
    uid = _uid(ranking)
    _press(ranking, "123456789")
    browser_context.set_offline(True)
    ranking.keyboard.press("Enter")
    ranking.wait_for_selector(".note:not([hidden])")
    assert "Your ranking is kept" in ranking.inner_text(".note")
    browser_context.set_offline(False)
    _next_card(ranking, uid)
    assert Judgement.objects.filter(assignment__uid=uid).count() == 1


def test_answer_that_was_lost_is_asked_for_again_and_stored_once(ranking: "Page") -> None:
    """The first answer never arrives, though the server took the judgement."""
    uid = _uid(ranking)
    lost: list[Any] = []

    def lose_once(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch())
        route.abort()

    ranking.route("**/compare/submit/", lose_once)
    _press(ranking, "123456789")
    ranking.keyboard.press("Enter")
    ranking.wait_for_selector(".note:not([hidden])")
    assert Judgement.objects.filter(assignment__uid=uid).count() == 1
    ranking.keyboard.press("Enter")
    _next_card(ranking, uid)
    assert Judgement.objects.filter(assignment__uid=uid).count() == 1


def test_ranking_that_was_made_in_another_tab_leads_on(ranking: "Page") -> None:
    """The other tab had the same card, and another opinion: it is told, and can go on."""
    other = ranking.context.new_page()
    other.goto(ranking.url)
    other.wait_for_selector(".candidate[data-current]")
    uid = _uid(ranking)
    assert _uid(other) == uid
    _press(other, "123456789")
    other.keyboard.press("Enter")
    _next_card(other, uid)
    _press(ranking, "987654321")
    ranking.keyboard.press("Enter")
    ranking.wait_for_selector(".note a:not([hidden])")
    assert "already judged" in ranking.inner_text(".note")
    ranking.click(".note a")
    ranking.wait_for_selector(".candidate[data-current]")
    assert _uid(ranking) == _uid(other)
    assert _stored(uid)[0] == [0]


def test_single_keys_keep_out_of_text_fields_and_dialogs(ranking: "Page") -> None:
    uid = _uid(ranking)
    ranking.keyboard.press("s")
    ranking.wait_for_selector("#skip:popover-open")
    ranking.fill("#skip-note", "")
    ranking.focus("#skip-note")
    _press(ranking, "12?gc")
    assert ranking.input_value("#skip-note") == "12?gc"
    assert ranking.inner_text(".count") == "0 of 9 placed"
    ranking.keyboard.press("Control+1")
    ranking.check("#skip [value='Other']")
    ranking.click("#skip .primary")
    _next_card(ranking, uid)
    assert Assignment.objects.get(uid=uid).skip_reason == "Other: 12?gc"


def test_help_opens_on_the_question_mark(ranking: "Page") -> None:
    ranking.keyboard.press("?")
    assert ranking.locator("#keys:popover-open").count() == 1
    ranking.keyboard.press("Escape")
    assert ranking.locator("#keys:popover-open").count() == 0


def test_nothing_moves_when_the_next_card_comes(ranking: "Page") -> None:
    uid = _uid(ranking)
    _press(ranking, "123456789")
    ranking.keyboard.press("Enter")
    _next_card(ranking, uid)
    boxes = """() => [".bar", ".talk", ".candidates", ".tray", ".lanes", "[data-submit]"].map((s) =>
        JSON.stringify(document.querySelector(s).getBoundingClientRect()))"""
    before, uid = ranking.evaluate(boxes), _uid(ranking)
    _press(ranking, "1234")
    ranking.keyboard.press("Enter")
    _next_card(ranking, uid)
    assert ranking.evaluate(boxes) == before


def test_page_works_without_a_script(browser: Any, live_server: Any, project: Project) -> None:
    user = make_member(project)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{live_server.url}/login/?next=/projects/{project.slug}/compare/")
    page.fill("[name=username]", user.username)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    uid = _uid(page)
    for position in range(9):
        page.locator(f".candidate[data-position='{position}'] .rank").nth(position // 2).click()
    page.click("[data-submit]")
    assert _uid(page) != uid
    assert _stored(uid) == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    context.close()
