"""Two runs chosen from the list and held against each other, by the keyboard alone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from labeling.models import Project
from tests.e2e.axe import Examiner
from tests.e2e.test_accessibility import examiner as examiner
from tests.e2e.test_accessibility import open_page
from tests.e2e.test_reflow import unreachable
from tests.factories import make_project, owner_of
from tests.training.curves import make_family
from training.models import TrainingRun

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def family(settings: Settings, tmp_path: Path) -> tuple[Project, list[TrainingRun]]:
    """Return a project with two PPO runs and a DPO run, evaluated."""
    settings.RUN_DIR, settings.MODEL_DIR = tmp_path / "runs", tmp_path / "models"
    project = make_project()
    return project, make_family(project)


def go_by_tab(page: Page, name: str) -> None:
    """Press Tab until the control of that name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate(
            "document.activeElement.ariaLabel ?? document.activeElement.innerText.trim()"
        )
        if here == name:
            return
    raise AssertionError(f"Tab does not come to {name}")


def test_two_runs_are_chosen_and_compared_by_the_keyboard(
    page: Page, live_server: LiveServer, family: tuple[Project, list[TrainingRun]]
) -> None:
    project, (first, second, dpo) = family
    TrainingRun.objects.filter(pk=dpo.pk).update(state="running")  # so that the list asks again
    open_page(page, live_server, owner_of(project), f"projects/{project.slug}/runs/")
    expect(page.get_by_role("heading", level=1, name="Runs")).to_be_visible()
    go_by_tab(page, f"Compare ppo {second.pk}")
    page.keyboard.press("Space")
    with page.expect_response(re.compile("/runs/.page=1")):  # the list in its newest state
        pass
    go_by_tab(page, f"Compare ppo {first.pk}")
    page.keyboard.press("Space")
    go_by_tab(page, "Compare the chosen runs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Runs side by side")).to_be_visible()
    names = page.locator("#run-columns thead").first.get_by_role("columnheader")
    expect(names).to_have_text([re.compile(f"ppo {second.pk}"), re.compile(f"ppo {first.pk}")])
    drawn = page.get_by_role("img", name=re.compile("^Reward by the reward model"))
    expect(drawn).to_be_visible()
    for style in ("run-1", "run-2"):
        expect(drawn.locator(f"path.{style}").first).to_be_visible()
    go_by_tab(page, "The points in figures")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name=re.compile("n = 64"))).to_be_visible()


def test_the_page_is_fit_for_everybody_and_every_size(
    page: Page,
    live_server: LiveServer,
    family: tuple[Project, list[TrainingRun]],
    examiner: Examiner,
) -> None:
    project, runs = family
    chosen = "&".join(f"run={run.uid}" for run in runs)
    base = f"projects/{project.slug}/runs/"
    open_page(page, live_server, owner_of(project), base)
    expect(page.get_by_role("heading", level=1, name="Runs")).to_be_visible()
    examiner.look("the list")
    page.goto(f"{live_server.url}/{base}compare/?{chosen}")
    expect(page.get_by_role("heading", level=1, name="Runs side by side")).to_be_visible()
    examiner.look("side by side")
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true })")
    examiner.look("unfolded")
    assert unreachable(page) == {}
    page.set_viewport_size({"width": 390, "height": 780})
    rows = page.locator("#run-columns table").first.locator("tbody tr")
    assert rows.evaluate_all("(rows) => Math.max(...rows.map((row) => row.offsetHeight))") < 90
