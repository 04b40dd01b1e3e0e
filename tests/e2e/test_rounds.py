"""A round through a browser: configured, started, ranked, read, promoted, rolled back.

Real recipes on a policy so small that each takes a second or two; only the accounts, the prompts
and that policy's run are made beside the browser.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import steps
from tests.e2e.witness import Witness
from tests.factories import PASSWORD
from tests.stack import LiveStack
from tests.training.rounds.beside import Beside, beside

LOOP = {"prompts": 6, "replies_per_prompt": 2, "evaluation_replies": 2, "preset": "tiny-cpu"}
LIMIT_MS = steps.RUN_LIMIT_MS


@pytest.fixture
def planted(live_stack: LiveStack) -> Iterator[Beside]:
    """Make the project and its people, and let its first policy be trained meanwhile."""
    with beside(live_stack) as one:
        one.ask("plant")
        yield one


def sign_in(browser: Browser, witness: Witness, url: str, name: str) -> Page:
    """Return a tab of somebody's own profile, at the project."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    witness.watch(context)
    page = context.new_page()
    steps.sign_in(page, url, (name, PASSWORD))
    page.goto(f"{url}/projects/small/")
    return page


def configure(page: Page) -> None:
    """Say in the form how the loop turns; how many rounds start by themselves is no manager's."""
    steps.open_tab(page, "Rounds")
    page.get_by_role("link", name="How the loop turns").click()
    page.get_by_role("link", name="online-dpo", exact=True).click()
    expect(page.locator("#id_rounds_ahead")).to_be_disabled()
    expect(page.locator("#id_labels")).to_have_value("round")
    steps.fill(page, LOOP)
    page.get_by_role("button", name="Save the loop", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Rounds")).to_be_visible()
    expect(page.get_by_role("button", name="Start a round")).to_have_count(0)


def promote_the_first(page: Page) -> None:
    steps.open_tab(page, "Rounds")
    page.locator("#id_model").select_option(label="seedling v1")
    page.locator("#id_note").fill("the first one")
    page.get_by_role("button", name="Make it the current policy").click()
    expect(page.locator("#current-title + p")).to_contain_text("seedling v1")


def expect_at(page: Page, state: str) -> None:
    """Stay on the round's page until it says that it stands there."""
    badge = page.locator("#round-status .badge[role=status]")
    expect(badge).to_have_text(state, timeout=LIMIT_MS)
    expect(page.locator("#round-status [role=alert]")).to_have_count(0)


def rank_all(page: Page, url: str) -> int:
    """Rank by keyboard what is asked; return how many comparisons that were."""
    page.goto(f"{url}/projects/small/compare/")
    steps.expect_ready(page)
    ranked = 0
    while page.locator("#compare-card form.sheet").count():
        steps.expect_ready(page)
        before = steps.card_key(page)
        page.keyboard.press("3" if ranked % 2 else "1")
        expect(page.locator("#say")).to_contain_text("is better")
        page.keyboard.press("Enter")
        steps.expect_next_card(page, before)
        ranked += 1
    return ranked


def read_round(page: Page, ranked: int) -> None:
    """Find what the round made, what it measured and what it took."""
    path = page.locator("#round-status ol.path")
    for name in ("sample", "reward", "dpo", "evaluate"):
        link = path.get_by_role("link", name=re.compile(rf"^{name} \d+$"))
        expect(link).to_have_count(1)
    expect(path.get_by_role("link", name=re.compile(r"^Snapshot \d+$"))).to_have_count(1)
    expect(path.locator("li", has_text="labelling")).to_contain_text(f"{ranked}/{ranked}")
    expect(page.locator("#round-status")).to_contain_text("Wins against seedling v1")
    took = page.locator("section", has=page.locator("#cost-title"))
    expect(took.locator("dt:text-is('Judgements') + dd")).to_have_text(str(ranked))
    expect(page.locator("section", has=page.locator("#loop-title"))).to_contain_text(
        "dpo starts from seedling v1, which is also the reference that its KL is measured to."
    )


def read_report(page: Page) -> None:
    """Find in the round's report whether it helped, and what it took; go back to the round."""
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Report of round 1")).to_be_visible()
    helped = page.locator("section", has=page.locator("#help-title"))
    expect(helped.get_by_role("status")).not_to_be_empty()
    expect(helped.locator("tbody tr").first).to_be_visible()
    page.get_by_role("link", name="The round", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Round 1")).to_be_visible()


@pytest.mark.browser
@pytest.mark.recipe
def test_a_round_turns_in_a_browser(
    browser: Browser, live_stack: LiveStack, witness: Witness, planted: Beside
) -> None:
    url = live_stack.url
    owner_name = planted.ask("people")
    manager = sign_in(browser, witness, url, "small-manager")
    configure(manager)
    steps.wait_until(lambda: planted.ask("grown"))
    owner = sign_in(browser, witness, url, owner_name)
    promote_the_first(owner)
    owner.get_by_role("button", name="Start a round").click()
    expect(owner.get_by_role("heading", level=1, name="Round 1")).to_be_visible()
    expect_at(owner, "labelling")
    annotator = sign_in(browser, witness, url, "small-annotator")
    ranked = rank_all(annotator, url)
    assert ranked == LOOP["prompts"]
    expect_at(owner, "deciding")
    read_round(owner, ranked)
    read_report(owner)
    owner.locator("#note").fill("it wins")
    owner.get_by_role("button", name="Promote seedling v2").click()
    expect_at(owner, "done")
    steps.open_tab(owner, "Rounds")
    current = owner.locator("section", has=owner.locator("#current-title"))
    expect(current.locator("#current-title + p")).to_contain_text("seedling v2")
    expect(current).to_contain_text("it wins")
    owner.get_by_role("button", name="Roll back to seedling v1").click()
    expect(current.locator("#current-title + p")).to_contain_text("seedling v1")
    expect(current.get_by_text("rolled back")).to_be_visible()
    assert witness.complaints == []
    for page in (owner, manager, annotator):
        page.context.close()
