"""Take the pictures of the guides: `python -m tests.e2e.screenshots [folder, else docs/images]`.

Starts the whole application in a folder of its own, turns half the loop in the machine's Chromium
with the small files of tests/e2e/data, and photographs what a person sees on the way. Takes a few
minutes: the run in the picture is a real one.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser import ARGUMENTS, find_chromium
from tests.e2e import steps
from tests.e2e.accounts import make_first_account
from tests.stack import LiveStack, running_stack

DATA = Path(__file__).with_name("data")
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 780}
RANKED, RICH = 40, 520
TINY = {"max_length": 256}
SFT = TINY | {"name": "everyday-policy", "max_steps": 120}
DPO = TINY | {"name": "everyday-policy", "epochs": 12, "logging_steps": 2}
GUIDELINE = "Prefer what helps the person most: **right**, to the point, and kind."


class Photographer:
    """A signed-in browser of one look, and the folder for its pictures."""

    def __init__(self, browser: Browser, folder: Path, account: tuple[str, str]) -> None:
        """Prepare; nothing is opened yet."""
        self._browser, self._folder, self._account = browser, folder, account

    def page(self, url: str, **look: Any) -> Page:
        """Return a tab of that look, signed in, at the projects."""
        context = self._browser.new_context(**{"viewport": DESKTOP, **look})
        page = context.new_page()
        steps.sign_in(page, url, self._account)
        return page

    def shoot(self, page: Page, name: str) -> None:
        """Save what the page shows now, and say how large the file is."""
        path = self._folder / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        print(f"{path} ({path.stat().st_size // 1024} KiB)")  # noqa: T201


def beginning(text: str) -> str:
    """Return by what a reply is known again when it is shown without its marks."""
    return re.sub(r"[^\w ]", "", " ".join(text.split()))[:18]


def best_replies() -> set[str]:
    """Return the beginnings of the replies that deserve the first ranks."""
    with (DATA / "demonstrations.jsonl").open(encoding="utf-8") as file:
        return {beginning(text) for line in file for text in json.loads(line)["demonstrations"]}


def ranks_for(page: Page, best: set[str]) -> list[int]:
    """Return ranks for the card that is shown: the good replies first, the longer ones first."""
    texts = steps.candidates(page).locator("> .prose").all_inner_texts()
    merits = [(beginning(text) in best, len(text)) for text in texts]
    order = sorted(merits, reverse=True)
    return [order.index(merit) + 1 for merit in merits]


def prepare(page: Page) -> None:
    """Make the project, train its first policy, and import what is to be ranked."""
    steps.make_project(page, "Everyday questions", "everyday", candidates_per_comparison=4)
    steps.open_tab(page, "Guidelines")
    page.locator("#id_text").fill(GUIDELINE)
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("The next version is published.")).to_be_visible()
    steps.upload(page, DATA / "demonstrations.jsonl")
    steps.freeze(page, "demonstrations")
    steps.start_run(page, "sft", SFT)
    run = page.url
    steps.upload(page, DATA / "samples.jsonl")
    page.goto(run)
    steps.wait_for_success(page)


def open_ranking(page: Page, stack: LiveStack) -> None:
    """Open the ranking page and wait until it listens."""
    page.goto(f"{stack.url}/projects/everyday/compare/")
    expect(page.locator("#say")).to_have_text("New comparison: 4 replies.")


def rank_until_rich(page: Page, stack: LiveStack, best: set[str]) -> None:
    """Rank until a card comes that is worth a picture: two good replies, and much to read."""
    open_ranking(page, stack)
    for _ in range(RANKED):
        texts = steps.candidates(page).locator("> .prose").all_inner_texts()
        good = sum(beginning(text) in best for text in texts)
        if good > 1 and sum(map(len, texts)) > RICH:
            return
        steps.rank_by_keys(page, ranks_for(page, best))


def compare_pictures(camera: Photographer, stack: LiveStack, best: set[str]) -> None:
    """Photograph one ranked card by day, by night and on a phone."""
    looks: dict[str, dict[str, Any]] = {
        "compare": {},
        "compare-dark": {"color_scheme": "dark"},
        "compare-phone": {"viewport": PHONE, "device_scale_factor": 2, "has_touch": True},
    }
    for name, look in looks.items():
        page = camera.page(stack.url, **look)
        open_ranking(page, stack)
        ranks = ranks_for(page, best)
        for position in sorted(range(len(ranks)), key=ranks.__getitem__, reverse=True):
            rank = min(ranks[position], 3)  # the two worst share a rank
            steps.candidates(page).nth(position).locator(".rank").nth(rank - 1).click()
        if name == "compare-phone":
            page.evaluate("scrollTo(0, 0)")
        camera.shoot(page, name)
        page.context.close()


def run_pictures(camera: Photographer, page: Page, stack: LiveStack, best: set[str]) -> None:
    """Rank on, freeze and train; photograph the snapshot and the run while it is under way."""
    open_ranking(page, stack)
    for _ in range(RANKED):
        steps.rank_by_keys(page, ranks_for(page, best))
    page.goto(f"{stack.url}/projects/everyday/")
    steps.freeze(page, "preferences")
    camera.shoot(page, "snapshot")
    steps.start_run(page, "dpo", DPO)
    progress = page.locator("#run-status progress")
    expect(progress).not_to_have_attribute("value", "0", timeout=steps.RUN_LIMIT_MS)
    most = 0.6 * int(progress.get_attribute("max") or 1)
    page.wait_for_function(
        "most => document.querySelector('#run-status progress').value > most",
        arg=most,
        timeout=steps.RUN_LIMIT_MS,
    )
    camera.shoot(page, "run")


def main() -> None:
    """Take all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ARGUMENTS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    expect.set_options(timeout=30_000)
    with running_stack() as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        camera = Photographer(browser, folder, make_first_account(stack))
        page = camera.page(stack.url)
        best = best_replies()
        prepare(page)
        rank_until_rich(page, stack, best)
        compare_pictures(camera, stack, best)
        run_pictures(camera, page, stack, best)
        browser.close()


if __name__ == "__main__":
    main()
