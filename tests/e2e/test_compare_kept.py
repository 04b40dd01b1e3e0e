"""Nothing that was said is lost: bad networks, closed tabs, lost leases, second thoughts."""

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from labeling.models import Assignment, Comparison, Judgement, Project, User
from labeling.services.assignments import expire_leases
from tests.e2e import steps
from tests.factories import PASSWORD, make_comparison, make_member, make_project

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def project() -> Project:
    """Return a project with five comparisons of four."""
    project = make_project()
    for _ in range(5):
        make_comparison(project, k=4)
    return project


@pytest.fixture
def annotator(project: Project) -> User:
    """Return somebody who ranks in the project."""
    return make_member(project)


@pytest.fixture
def ranking(page: Page, live_server: LiveServer, project: Project, annotator: User) -> Page:
    """Return the ranking page with a card on it and one leased ahead."""
    steps.sign_in(page, live_server.url, (annotator.username, PASSWORD))
    with page.expect_response("**/compare/ahead/**"):
        page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    steps.expect_ready(page)
    return page


def press(page: Page, keys: str) -> None:
    """Press one key after the other."""
    for key in keys:
        page.keyboard.press(key)


def stored(uid: str) -> list[Judgement]:
    """Return the judgements of an assignment, oldest first."""
    return list(Judgement.objects.filter(assignment__uid=uid).order_by("id"))


def test_next_card_is_there_before_the_answer(ranking: Page) -> None:
    """The request is on its way; the next card does not wait for it."""
    first = steps.card_key(ranking)
    held: list[Route] = []
    ranking.route("**/compare/submit/", lambda route: held.append(route))
    press(ranking, "1234")
    ranking.keyboard.press("Enter")
    second = steps.card_key(ranking)
    assert second != first
    assert stored(first) == []
    expect(ranking.locator('.desk[data-unsent="1"]')).to_have_count(1)
    held[0].continue_()
    steps.expect_next_card(ranking, first)
    assert len(stored(first)) == 1
    assert steps.card_key(ranking) == second


def test_rankings_of_a_closed_tab_are_delivered_by_the_next_one(
    ranking: Page, browser_context: BrowserContext, project: Project
) -> None:
    """Two cards are ranked without a network and the tab is closed: both arrive, once, in order."""
    uids, url = [steps.card_key(ranking)], ranking.url
    browser_context.set_offline(True)
    press(ranking, "4321")
    ranking.keyboard.press("Enter")
    uids.append(steps.card_key(ranking))
    press(ranking, "1122")
    ranking.keyboard.press("Enter")
    expect(ranking.locator("#unsent")).to_have_text("2 not sent yet")
    expect(ranking.locator("form.sheet[inert]")).to_have_count(1)
    page = browser_context.new_page()
    ranking.close()
    assert Judgement.objects.count() == 0
    browser_context.set_offline(False)
    page.goto(url)
    for uid in uids:
        steps.expect_next_card(page, uid)
    assert [len(stored(uid)) for uid in uids] == [1, 1]
    order = Assignment.objects.get(uid=uids[0]).shown_order
    assert stored(uids[0])[0].tiers == [[order[3]], [order[2]], [order[1]], [order[0]]]
    assert steps.card_key(page) not in uids
    assert Assignment.objects.filter(state="leased").count() <= 2


def test_somebody_else_on_the_same_browser_sends_nothing_of_the_first(
    ranking: Page, browser_context: BrowserContext, project: Project, live_server: LiveServer
) -> None:
    first = steps.card_key(ranking)
    browser_context.set_offline(True)
    press(ranking, "1234")
    ranking.keyboard.press("Enter")
    expect(ranking.locator("#unsent")).to_be_visible()
    browser_context.clear_cookies()
    browser_context.set_offline(False)
    other = make_member(project)
    page = browser_context.new_page()
    steps.sign_in(page, live_server.url, (other.username, PASSWORD))
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    steps.expect_ready(page)
    expect(page.locator("#unsent")).to_be_hidden()
    assert stored(first) == []


def test_lost_lease_is_told_and_the_ranking_is_taken_all_the_same(
    page: Page, live_server: LiveServer, project: Project, annotator: User
) -> None:
    """The lease ran out on the server while its half was not over on the page's own clock."""
    steps.sign_in(page, live_server.url, (annotator.username, PASSWORD))
    page.clock.install()
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    steps.expect_ready(page)
    uid = steps.card_key(page)
    press(page, "12")
    Assignment.objects.filter(uid=uid).update(expires_at=timezone.now())
    assert expire_leases() == 1
    page.clock.fast_forward("16:00")
    press(page, "3")
    page.clock.run_for(31_000)
    expect(page.locator(".note")).to_contain_text("Your lease on this comparison has ended")
    press(page, "4")
    page.keyboard.press("Enter")
    page.clock.run_for(1000)
    steps.expect_next_card(page, uid)
    assert [judgement.surplus for judgement in stored(uid)] == [False]


def test_undo_goes_back_one_by_one_and_a_change_supersedes(ranking: Page) -> None:
    """Two are judged; the older one is changed; the card in work waits with its half ranking."""
    first = steps.card_key(ranking)
    press(ranking, "1234")
    ranking.keyboard.press("Enter")
    steps.expect_next_card(ranking, first)
    second = steps.card_key(ranking)
    press(ranking, "1111")
    ranking.keyboard.press("Enter")
    steps.expect_next_card(ranking, second)
    third = steps.card_key(ranking)
    press(ranking, "21")
    ranking.keyboard.press("u")
    expect(ranking.locator(f'form.sheet[data-uid="{second}"]')).to_have_count(1)
    assert steps.badges(ranking) == ["1=", "1=", "1=", "1="]
    ranking.keyboard.press("u")
    expect(ranking.locator(f'form.sheet[data-uid="{first}"]')).to_have_count(1)
    assert steps.badges(ranking) == ["1", "2", "3", "4"]
    press(ranking, "4")
    ranking.keyboard.press("Enter")
    expect(ranking.locator(f'form.sheet[data-uid="{third}"]')).to_have_count(1)
    assert steps.badges(ranking) == ["2", "1", "", ""]
    old, new = stored(first)
    assert new.supersedes == old
    assert [len(tier) for tier in old.tiers] == [1, 1, 1, 1]
    assert [len(tier) for tier in new.tiers] == [1, 1, 2]
    assert Comparison.objects.get(pk=old.comparison_id).judgement_count == 1
    ranking.keyboard.press("u")
    expect(ranking.locator("form.sheet[data-revises]")).to_have_count(1)
    ranking.keyboard.press("Escape")
    expect(ranking.locator(f'form.sheet[data-uid="{third}"]')).to_have_count(1)


def test_signed_out_in_between_keeps_the_ranking_until_signed_in_again(
    ranking: Page, browser_context: BrowserContext, live_server: LiveServer, annotator: User
) -> None:
    uid = steps.card_key(ranking)
    cookies = [c for c in browser_context.cookies() if c["name"] == "sessionid"]
    browser_context.clear_cookies(name="sessionid")
    press(ranking, "1234")
    ranking.keyboard.press("Enter")
    expect(ranking.locator(".note:not([hidden])")).to_contain_text("You are signed out")
    assert stored(uid) == []
    browser_context.add_cookies(cookies)
    ranking.evaluate("dispatchEvent(new Event('online'))")
    expect(ranking.locator('.desk[data-unsent="0"]')).to_have_count(1)
    assert len(stored(uid)) == 1


def test_empty_queue_looks_again_by_itself(
    page: Page, live_server: LiveServer, annotator: User, project: Project
) -> None:
    Comparison.objects.filter(project=project).update(state="withdrawn", open_slots=0)
    steps.sign_in(page, live_server.url, (annotator.username, PASSWORD))
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    expect(page.locator(".nothing-left")).to_be_visible()
    make_comparison(project, k=4)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".candidate")).to_have_count(4)
