"""Take the pictures of the annotators' guide: `python -m tests.e2e.guide_pictures [folder]`.

Starts the whole application in a folder of its own and photographs what docs/annotators.md tells
of: the ranking page in its states, on a project that asks for the order alone, on one that asks for
everything, on one of two replies; the writing page; one's own figures.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import ARGUMENTS, find_chromium
from tests.e2e import steps
from tests.e2e.accounts import make_first_account
from tests.e2e.screenshots import DATA, IMAGES, PHONE, Photographer
from tests.stack import LiveStack, running_stack

SAMPLES = DATA / "samples.jsonl"


def pairs_file(folder: Path) -> Path:
    """Return a copy of the samples with two replies to each prompt."""
    path = folder / "pairs.jsonl"
    lines = map(json.loads, SAMPLES.read_text(encoding="utf-8").splitlines())
    rows = [{**line, "responses": line["responses"][:2]} for line in lines]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_world(page: Page, folder: Path) -> None:
    """Make the three projects and import their replies."""
    wanted = {
        "order": {"candidates_per_comparison": 4},
        "all": {"candidates_per_comparison": 3},
        "line": {"candidates_per_comparison": 2},
    }
    for slug, settings in wanted.items():
        steps.make_project(page, f"Everyday questions, {slug}", slug, **settings)
        steps.upload(page, pairs_file(folder) if slug == "line" else SAMPLES)
        steps.open_tab(page, "Settings")
        if slug == "all":
            for name in ("asks_ratings", "asks_confidence", "asks_demonstrations"):
                page.locator(f"#id_{name}").check()
            page.locator("#id_demonstrations_per_prompt").fill("1")
        if slug == "line":
            page.locator("#id_strength_scale").select_option("3")
        page.locator("#id_overlap").press("Enter")
        expect(page.locator(".notice.good, .messages .notice").first).to_be_visible()
        page.locator(".brand").click()


def opened(page: Page, stack: LiveStack, slug: str) -> None:
    """Open a project's ranking page and wait until it listens."""
    page.goto(f"{stack.url}/projects/{slug}/compare/")
    expect(page.locator(".candidate[data-current]")).to_have_count(1)


def press(page: Page, *keys: str) -> None:
    """Press one key after the other."""
    for key in keys:
        page.keyboard.press(key)


def order_pictures(camera: Photographer, page: Page, stack: LiveStack) -> None:
    """A card, how it is placed, read, and come back to."""
    opened(page, stack, "order")
    camera.shoot(page, "guide-card")
    press(page, "2", "1", "2")
    camera.shoot(page, "guide-placed")
    press(page, "ArrowLeft", "d")
    expect(page.locator("[data-base]")).to_have_count(1)
    camera.shoot(page, "guide-differences")
    press(page, "d", "g")
    camera.shoot(page, "guide-guidelines")
    press(page, "g", "ArrowRight", "ArrowRight", "ArrowRight", "3")
    before = steps.card_key(page)
    press(page, "Enter")
    steps.expect_next_card(page, before)
    press(page, "u")
    expect(page.locator("form.sheet[data-revises]")).to_have_count(1)
    camera.shoot(page, "guide-back")


def asked_pictures(camera: Photographer, page: Page, stack: LiveStack) -> None:
    """Ratings before ranks, a reply of one's own, the line between two, the writing page."""
    opened(page, stack, "all")
    press(page, "5", "2")
    camera.shoot(page, "guide-ratings")
    press(page, "w")
    page.locator("#own [data-copy='0']").click()
    camera.shoot(page, "guide-own")
    opened(page, stack, "line")
    press(page, "3")
    camera.shoot(page, "guide-line")
    page.goto(f"{stack.url}/projects/all/write/")
    expect(page.locator("textarea").first).to_be_visible()
    camera.shoot(page, "guide-write")
    page.goto(f"{stack.url}/projects/order/me/")
    camera.shoot(page, "guide-me")


def main() -> None:
    """Take all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ARGUMENTS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    expect.set_options(timeout=30_000)
    with (
        running_stack() as stack,
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as made,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        camera = Photographer(browser, folder, make_first_account(stack))
        page = camera.page(stack.url)
        make_world(page, Path(made))
        order_pictures(camera, page, stack)
        asked_pictures(camera, page, stack)
        phone = camera.page(stack.url, viewport=PHONE, device_scale_factor=2, has_touch=True)
        opened(phone, stack, "order")
        camera.shoot(phone, "guide-phone")
        browser.close()


if __name__ == "__main__":
    main()
