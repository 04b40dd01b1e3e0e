"""Large letters, narrow screens, still pictures and the system's own colours.

640 x 400 is what is left of a screen of 1280 x 800 at 200 % zoom; 320 pixels are 400 % of it.
"""

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.e2e import steps
from tests.e2e.reading_matter import make_reading
from tests.e2e.test_accessibility import open_page, open_ranking
from tests.factories import owner_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SIZES = [(640, 400), (320, 640), (900, 700)]

# What can't be got at: each control, brought into view, must lie inside the window and be what a
# click in its middle meets; what holds a few words must hold all of them.
_UNREACHABLE = """() => {
  const open = document.querySelector(":popover-open") ?? document.body;
  const named = (e) => [e.localName, e.name, e.value, e.innerText?.slice(0, 30)].join(" ");
  const told = [];
  const controls = "a[href], button:not(.chip), input, select, textarea, summary, [tabindex='0']";
  for (const control of open.querySelectorAll(controls)) {
    const shown = control.checkVisibility({ visibilityProperty: true });
    if (!shown || control.type === "hidden" || control.matches(".skip-link")) continue;
    control.scrollIntoView({ block: "center", inline: "nearest" });
    const box = control.getBoundingClientRect();
    const across = box.left >= -1 && box.right <= innerWidth + 1;
    const inside = across && box.bottom > 0 && box.top < innerHeight;
    const middle = (Math.max(box.top, 0) + Math.min(box.bottom, innerHeight)) / 2;
    const met = document.elementFromPoint((box.left + box.right) / 2, middle);
    const label = met?.closest("label");
    const hit = met && [control.contains(met), met.contains(control), label?.contains(control)];
    if (!inside) told.push(`outside: ${named(control)} ${JSON.stringify(box)}`);
    else if (!hit?.some(Boolean)) told.push(`covered: ${named(control)} by ${met?.className}`);
  }
  const holders = ".point span, .lane, .tray, .button, .rank-badge, .stat";
  for (const box of open.querySelectorAll(holders)) {
    if (!box.checkVisibility()) continue;
    const cut = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (cut) told.push(`cut off: ${box.className} ${box.dataset.lane ?? ""} ${box.innerText}`);
  }
  if (document.scrollingElement.scrollWidth > innerWidth) {
    told.push(`the page is ${document.scrollingElement.scrollWidth} wide`);
  }
  scrollTo(0, 0);
  return told;
}"""


def unreachable(page: Page) -> dict[str, list[str]]:
    """Return what can't be got at in the state that the page shows, by the size of the window."""
    told = {}
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        found = page.evaluate(_UNREACHABLE)
        if found:
            told[f"{width}x{height}"] = found
    page.set_viewport_size({"width": 1280, "height": 800})
    return told


def test_ranking_nine_loses_nothing_at_high_zoom(page: Page, live_server: LiveServer) -> None:
    """Rated, all tied in one lane, all apart, beside the guidelines, and in each dialog."""
    project, annotator = make_reading(
        9, prompts=1, asks_ratings=True, asks_confidence=True, asks_demonstrations=True
    )
    open_ranking(page, live_server, annotator, project)
    assert unreachable(page) == {}
    for key in "555555555":
        page.keyboard.press(key)
    for key, name in {"?": "keys", "s": "skip", "x": "unrankable", "w": "own"}.items():
        page.keyboard.press(key)
        expect(page.locator(f"#{name}")).to_be_visible()
        assert unreachable(page) == {}, name
        page.keyboard.press("Escape")
    for ranks in ("111111111", "123456789"):
        for position, rank in enumerate(ranks):
            page.locator(f"[name=rank-{position}][value='{rank}']").focus()
            page.keyboard.press(rank)
        assert unreachable(page) == {}, ranks
    for key in ("j", "Enter", "u"):
        page.keyboard.press(key)
    expect(page.locator("form.sheet[data-revises]")).to_have_count(1)
    assert unreachable(page) == {}


def test_the_line_and_four_lose_nothing_at_high_zoom(page: Page, live_server: LiveServer) -> None:
    pair, annotator = make_reading(2, strength_scale=9)
    open_ranking(page, live_server, annotator, pair)
    assert unreachable(page) == {}
    four, other = make_reading(4)
    page.context.clear_cookies()
    open_ranking(page, live_server, other, four)
    for key in "1111":
        page.keyboard.press(key)
    page.evaluate("document.getElementById('break').hidden = false")  # as after an hour
    assert unreachable(page) == {}


def test_the_other_pages_lose_nothing_at_high_zoom(page: Page, live_server: LiveServer) -> None:
    project, annotator = make_reading(2, demonstrations_per_prompt=1)
    page.goto(f"{live_server.url}/login/")
    assert unreachable(page) == {}
    base = f"projects/{project.slug}/"
    open_page(page, live_server, annotator, f"{base}write/")
    expect(page.locator("#text")).to_be_focused()
    assert unreachable(page) == {}
    for key in ("s", "?"):
        page.keyboard.press("Escape")
        page.keyboard.press(key)
        assert unreachable(page) == {}, key
        page.keyboard.press("Escape")
    for place in ("", base, f"{base}me/", f"{base}guidelines/", "settings/"):
        page.goto(f"{live_server.url}/{place}")
        assert unreachable(page) == {}, place


def test_the_links_of_a_project_are_in_sight(page: Page, live_server: LiveServer) -> None:
    """Whoever may follow all of them sees all of them; on a phone they are pushed along."""
    project, _ = make_reading(2, demonstrations_per_prompt=1)
    open_page(page, live_server, owner_of(project), f"projects/{project.slug}/")
    links = page.locator("nav.tabs a")
    assert links.count() == 16
    for width in (1280, 900):
        page.set_viewport_size({"width": width, "height": 800})
        for link in links.all():
            expect(link).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 390, "height": 780})
    cut = page.locator("nav.tabs").evaluate("e => e.scrollWidth > e.clientWidth")
    shade = page.locator("nav.tabs").evaluate("e => getComputedStyle(e).backgroundImage")
    assert (cut, "gradient" in shade) == (True, True)
    assert page.evaluate("document.scrollingElement.scrollWidth") == 390
    links.last.focus()
    expect(links.last).to_be_in_viewport(ratio=1)


def test_nothing_moves_for_who_asks_for_stillness(page: Page, live_server: LiveServer) -> None:
    """A style that moves everything is planted: it holds, until the reader asks for stillness."""
    project, annotator = make_reading(4)
    open_ranking(page, live_server, annotator, project)
    page.evaluate(
        """() => [...document.styleSheets].at(-1).insertRule(
            "* { transition: opacity 2s; animation: none 2s infinite; scroll-behavior: smooth }")"""
    )
    moving = """() => [...document.querySelectorAll("*")].filter((e) => {
        const { transitionDuration: t, animationDuration: a, scrollBehavior } = getComputedStyle(e);
        return t !== "0s" || a !== "0s" || scrollBehavior !== "auto";
    }).length"""
    assert page.evaluate(moving) > 50
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0


@pytest.fixture
def forced(browser: Browser) -> Page:
    """Return a tab of a system that gives its own colours."""
    return browser.new_context(forced_colors="active").new_page()


def test_what_is_chosen_is_seen_in_the_systems_own_colours(
    forced: Page, live_server: LiveServer
) -> None:
    look = """(e) => {
      const { backgroundColor, color, outlineStyle, outlineWidth } = getComputedStyle(e);
      return { backgroundColor, color, outline: outlineStyle === "none" ? "0px" : outlineWidth };
    }"""
    four, annotator = make_reading(4)
    open_ranking(forced, live_server, annotator, four)
    for key in "12":
        forced.keyboard.press(key)
    assert steps.badges(forced) == ["1", "2", "", ""]
    numbers = forced.locator(".candidate").nth(1).locator(".rank span")
    chosen, other = numbers.nth(1).evaluate(look), numbers.nth(0).evaluate(look)
    assert chosen["backgroundColor"] != other["backgroundColor"]
    assert chosen["color"] != chosen["backgroundColor"]
    frames = [c.evaluate(look)["outline"] for c in steps.candidates(forced).all()]
    assert frames == ["0px", "0px", "3px", "0px"]
    forced.context.close()
