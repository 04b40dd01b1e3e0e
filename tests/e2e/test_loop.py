"""The whole loop once, by hand: a file in, rankings, models, samples, and a sample ranked.

Everything below goes through a real Chromium; only the first account is made beside it, as an
installation makes it.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import steps
from tests.e2e.witness import Witness
from tests.stack import LiveStack

DATA = Path(__file__).with_name("data")
K = 4
# A tiny model and a few short steps: what is tested is the way, not the model. Texts of up to 512
# tokens fit; the longer ones of real data are left out, and the page says how many.
TINY = {"max_length": 512, "logging_steps": 1, "threads": 1}
SHAPE = {"hidden_size": 64, "layers": 2, "max_steps": 20, "per_device_batch_size": 8}
SFT = TINY | SHAPE | {"name": "loop-policy"}
REWARD = TINY | {"name": "loop-reward", "max_steps": 5, "per_device_batch_size": 4}
DPO = TINY | {"name": "loop-policy", "max_steps": 120, "per_device_batch_size": 2}
SAMPLE = {"limit": 3, "max_new_tokens": 24, "max_length": 512}


def samples_file() -> Path:
    """Return the real outputs where they lie beside the repository, else the project's own."""
    given = os.environ.get("PREFLOOP_SHARED_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"
    real = folder / "oasst_samples.jsonl"
    return real if real.is_file() else DATA / "samples.jsonl"


def import_demonstrations(page: Page) -> None:
    """Import replies to learn from; the same file again adds nothing and says so."""
    path = DATA / "demonstrations.jsonl"
    lines = path.read_bytes().count(b"\n")
    report = steps.upload(page, path)
    assert (report["Taken"], report["Refused"], report["New prompts"]) == (lines, 0, lines)
    report = steps.upload(page, path)
    assert (report["Taken"], report["Duplicates"], report["New prompts"]) == (0, lines, 0)


def import_samples(page: Page) -> None:
    """Import model outputs; each prompt's distinct ones become comparisons of K."""
    path = samples_file()
    report = steps.upload(page, path)
    assert report["Taken"] == path.read_bytes().count(b"\n")
    assert report["New comparisons"] >= report["New candidates"] / K / 2
    assert report["New candidates"] >= K * report["New comparisons"]


def rank_in_every_way(page: Page) -> None:
    """Rank by arrows and digits with a tie, by clicks, by dragging; an untouched order stays."""
    page.get_by_role("navigation", name="Project").get_by_role("link", name="Rank").click()
    steps.expect_ready(page)
    expect(steps.candidates(page)).to_have_count(K)
    first = steps.card_key(page)
    page.keyboard.press("Enter")
    expect(page.locator("#say")).to_have_text("Not placed yet: A, B, C, D.")
    page.locator("[data-submit]").click(force=True)  # it says itself that it is not ready
    expect(page.locator("#say")).to_have_text("Not placed yet: A, B, C, D.")
    assert steps.card_key(page) == first, "an untouched order was taken"

    page.keyboard.press("ArrowRight")
    page.keyboard.press("2")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.keyboard.press("3")
    assert steps.badges(page) == ["1", "2=", "2=", "3"]
    page.keyboard.press("Enter")
    steps.expect_next_card(page, first)
    expect(page.locator("#done-today")).to_have_text("1")

    second = steps.card_key(page)
    for position, rank in enumerate((4, 3, 2, 1)):
        steps.candidates(page).nth(position).locator(".rank").nth(rank - 1).click()
    assert steps.badges(page) == ["4", "3", "2", "1"]
    page.locator("[data-submit]").click()
    steps.expect_next_card(page, second)

    third = steps.card_key(page)
    for position, rank in enumerate((2, 1, 1, 3)):
        steps.drag(page, position, rank)
    assert steps.badges(page) == ["2", "1=", "1=", "3"]
    page.locator("[data-submit]").click()
    steps.expect_next_card(page, third)

    for ranks in ((1, 2, 3, 4), (4, 3, 2, 1), (2, 2, 1, 3)):
        steps.rank_by_keys(page, ranks)
    expect(page.locator("#done-today")).to_have_text("6")


def watch_live(page: Page) -> None:
    """See progress and curve move on one and the same page, from the queue to success."""
    page.evaluate("window.neverReloaded = true")
    progress = page.locator("#run-status progress")
    curve = page.locator("#run-status .plot path.line").first
    expect(progress).not_to_have_attribute("value", "0", timeout=steps.RUN_LIMIT_MS)
    expect(curve).to_be_visible()
    seen, drawn = progress.get_attribute("value"), curve.get_attribute("d")
    assert int(seen) < int(progress.get_attribute("max")), "the run was over at the first look"
    expect(progress).not_to_have_attribute("value", seen)
    expect(curve).not_to_have_attribute("d", drawn)
    expect(page.locator("#run-status .log")).to_contain_text("data:")
    steps.wait_for_success(page)
    assert progress.get_attribute("value") == progress.get_attribute("max")
    # Three pairs were tied; what was too long for the model is told there as well.
    expect(page.locator("#run-status dt:text-is('Left out') + dd")).to_contain_text("tie 3")
    assert page.evaluate("window.neverReloaded"), "the page was loaded anew"


def open_made_model(page: Page) -> str:
    """Follow a finished run to what it made, and return the hash of the weights."""
    page.locator("#run-status .notice.good a").click()
    expect(page.get_by_text("Where it is from")).to_be_visible()
    sha256 = page.locator(".page-head .hash").inner_text()
    assert re.fullmatch("[0-9a-f]{64}", sha256)
    return sha256


def sample_and_queue(page: Page) -> None:
    """Have the model that is shown reply to some prompts, and its replies queued."""
    steps.fill(page, SAMPLE)
    page.get_by_role("button", name="Sample", exact=True).click()
    expect(
        page.get_by_role("heading", level=1, name=re.compile(r"Run \d+ · sample"))
    ).to_be_visible()
    steps.wait_for_success(page)
    expect(page.locator("#run-status")).to_contain_text("comparisons queued")


def rank_a_fresh_sample(page: Page) -> tuple[str, list[str]]:
    """Rank the two cards that were leased before, then the first fresh one; return its texts."""
    page.get_by_role("link", name="Rank them").click()
    steps.expect_ready(page)
    for _ in range(2):
        steps.rank_by_keys(page, (1, 2, 3, 4))
    expect(steps.candidates(page)).to_have_count(K)
    asked = page.locator("#compare-card .talk .turn.user").last.locator(".prose").inner_text()
    texts = steps.candidates(page).locator("> .prose").all_inner_texts()
    steps.rank_by_keys(page, (2, 1, 1, 3))
    return asked, texts


def expect_provenance(page: Page, asked: str, texts: list[str], model: str, sha256: str) -> None:
    """Find the ranked sample among its prompt's candidates, with the weights that wrote it."""
    page.locator("header .where a").click()
    steps.open_tab(page, "Prompts")
    beginning = " ".join(asked.split())[:60]
    link = page.locator("a.clip").filter(has_text=beginning)
    while not link.count():
        page.get_by_role("link", name="Next").click()
    link.first.click()
    for text in texts:
        candidate = page.locator("li.card", has=page.locator(".prose")).filter(has_text=text).last
        candidate.locator("summary").click()
        expect(candidate.locator(".sources")).to_contain_text(model)
        expect(candidate.locator(".sources .hash")).to_have_text(sha256[:12])


@pytest.mark.browser
@pytest.mark.recipe
def test_loop_turns_in_a_browser(
    page: Page, live_stack: LiveStack, site_admin: tuple[str, str], witness: Witness, tmp_path: Path
) -> None:
    steps.sign_in(page, live_stack.url, site_admin)
    steps.make_project(page, "Loop", "loop", candidates_per_comparison=K)
    import_demonstrations(page)
    steps.freeze(page, "demonstrations")
    sft = steps.start_run(page, "sft", SFT)
    # The policy is trained while people rank.
    import_samples(page)
    rank_in_every_way(page)

    page.goto(sft)
    steps.wait_for_success(page)
    base = open_made_model(page)

    labels = steps.freeze(page, "preferences")
    snapshot = page.url
    reward = steps.start_run(page, "reward", REWARD)
    page.goto(snapshot)
    steps.start_run(page, "dpo", DPO)
    watch_live(page)
    trained = open_made_model(page)
    assert trained != base
    line = page.locator("section", has_text="Where it is from")
    expect(line).to_contain_text(labels[:12])
    expect(line).to_contain_text(base[:12])
    model = page.url

    page.goto(reward)
    steps.wait_for_success(page)
    open_made_model(page)

    page.goto(model)
    sample_and_queue(page)
    asked, texts = rank_a_fresh_sample(page)
    expect_provenance(page, asked, texts, "loop-policy v2", trained)
    assert witness.complaints == []
