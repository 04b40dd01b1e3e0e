"""What a person does on the pages, one function a deed. Every wait is for something seen."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

RUN_LIMIT_MS = 180_000


def sign_in(page: Page, url: str, account: tuple[str, str]) -> None:
    """Sign in through the form and arrive at the projects."""
    page.goto(url)
    page.get_by_label("Username").fill(account[0])
    page.get_by_label("Password").fill(account[1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Projects")).to_be_visible()


def make_project(page: Page, name: str, slug: str, **settings: int) -> None:
    """Make a project from the list of projects."""
    page.get_by_role("link", name="New project").click()
    page.locator("#id_name").fill(name)
    page.locator("#id_slug").fill(slug)
    fill(page, settings)
    page.get_by_role("button", name="Make the project").click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def open_tab(page: Page, name: str) -> None:
    """Go to another page of the project by its navigation."""
    page.get_by_role("navigation", name="Project").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name, exact=True)).to_be_visible()


def fill(page: Page, fields: Mapping[str, object]) -> None:
    """Fill fields by their names, opening the groups in which they are folded away."""
    for name, value in fields.items():
        field = page.locator(f"#id_{name}")
        group = page.locator("details:not([open])").filter(has=field)
        if group.count():
            group.locator("summary").click()
        field.fill(str(value))


def upload(page: Page, path: Path) -> dict[str, int]:
    """Import a file by the upload page, follow it to its report, and return what that says."""
    open_tab(page, "Imports")
    page.locator("#id_file").set_input_files(path)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("heading", level=1, name=path.name)).to_be_visible()
    status = page.locator("#import-status")
    expect(status.get_by_text("succeeded", exact=True)).to_be_visible(timeout=60_000)
    return read_stats(status)


def read_stats(place: Locator) -> dict[str, int]:
    """Return the figures that a page shows, by what stands beside them."""
    names = place.locator(".stat dt").all_inner_texts()
    values = place.locator(".stat dd").all_inner_texts()
    return {name: int(value) for name, value in zip(names, values, strict=True)}


def freeze(page: Page, kind: str) -> str:
    """Freeze all labels of a kind and return the snapshot's hash."""
    open_tab(page, "Snapshots")
    page.locator("#id_kind").select_option(label=kind)
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_role("heading", level=1, name=re.compile(r"Snapshot \d+"))).to_be_visible()
    return page.locator("dt:text-is('sha256') + dd").inner_text()


def start_run(page: Page, recipe: str, fields: Mapping[str, object]) -> str:
    """Start a run from the snapshot that is shown, and return the address of its page."""
    page.get_by_role("link", name="Train on this").click()
    expect(page.get_by_role("heading", level=1, name="Start a run")).to_be_visible()
    page.get_by_role("link", name=recipe, exact=True).click()
    expect(page.locator("a[aria-current]", has_text=re.compile(f"^{recipe}$"))).to_be_visible()
    fill(page, fields)
    page.get_by_role("button", name="Start the run").click()
    expect(
        page.get_by_role("heading", level=1, name=re.compile(rf"Run \d+ · {recipe}"))
    ).to_be_visible()
    return page.url


def wait_for_success(page: Page) -> None:
    """Stay on a run's page until it says how the run ended, which must be well."""
    badge = page.locator("#run-status .badge[role=status]")
    expect(badge).to_have_text(
        re.compile("succeeded|failed|stopped|cancelled"), timeout=RUN_LIMIT_MS
    )
    expect(badge).to_have_text("succeeded")


def wait_until(happened: Callable[[], object]) -> None:
    """Wait for what no page shows."""
    give_up = time.monotonic() + RUN_LIMIT_MS / 1000
    while not happened():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.2)


def candidates(page: Page) -> Locator:
    """Return the replies on the ranking page, in the order shown."""
    return page.locator("#compare-card .candidate")


def badges(page: Page) -> list[str]:
    """Return the rank that each reply bears, with = where it is tied; empty where not placed."""
    return page.locator("#compare-card .rank-badge").all_inner_texts()


def expect_ready(page: Page) -> None:
    """Wait until the ranking page listens to keys: then one of the replies is marked."""
    expect(page.locator("#compare-card .candidate[data-current]")).to_have_count(1)


def card_key(page: Page) -> str:
    """Return what tells this card from the next one."""
    key = page.locator("#compare-card form.sheet").get_attribute("data-uid")
    assert key
    return key


def expect_next_card(page: Page, before: str) -> None:
    """Wait until another card, or the end of the queue, is there, and the server has the last."""
    expect(page.locator(f'#compare-card form.sheet[data-uid="{before}"]')).to_have_count(0)
    expect(page.locator("#compare-card")).to_be_visible()
    expect(page.locator('.desk[data-unsent="0"]')).to_have_count(1)


def rank_by_keys(page: Page, ranks: Sequence[int]) -> None:
    """Place every reply by its digit, from the first to the last, and submit with Enter."""
    before = card_key(page)
    for _ in ranks:
        page.keyboard.press("ArrowLeft")
    for number, rank in enumerate(ranks):
        if number:
            expect(candidates(page).nth(number - 1).locator(".rank-badge")).not_to_be_empty()
        page.keyboard.press(str(rank))
    page.keyboard.press("Enter")
    expect_next_card(page, before)


def drag(page: Page, position: int, rank: int) -> None:
    """Drag a reply's letter onto a rank with the mouse."""
    handle = page.locator("#compare-card .handle").nth(position).bounding_box()
    lane = page.locator(f'#compare-card [data-lane="{rank}"]').bounding_box()
    assert handle
    assert lane
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(lane["x"] + lane["width"] / 2, lane["y"] + lane["height"] / 2, steps=8)
    page.mouse.up()
