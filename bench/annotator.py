"""`make bench-annotator`: how long an annotator waits for the next card, in a real Chromium.

Two hundred real comparisons of four replies are ranked by keyboard, without a pause. Measured in
the page, from the keydown of Enter to the second animation frame after the new card is there; the
boxes that must stay are compared before and after. Beside it, in the same run, the same page with
the address blocked that leases a card ahead: there the next card comes with the answer alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.annotator_world import ANNOTATORS, PASSWORD
from bench.reporting import finish, machine, say, versions
from bench.web_servers import REPOSITORY, filling, make_database, serving
from config import embedded_postgres
from tests.browser import ARGUMENTS, find_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SAMPLES = REPOSITORY.parent / "shared" / "data" / "oasst_samples.jsonl"
GOALS = {"p95_ms": 100, "layout_shift": 0, "first_load_kb": 150, "requests": 12}
STEPS, PLAIN_STEPS = 200, 100
VIEWPORT = {"width": 1440, "height": 900}

# The times and boxes of each swap, taken where a person would see it. A layout shift counts with
# and without recent input, by how far one of the boxes went.
_WATCH = """() => {
  const BOXES = [".bar", ".talk", ".tray", ".actions", ".also", "[data-submit]"];
  const boxes = () => BOXES.map((name) => {
    const { x, y, width, height } = document.querySelector(name).getBoundingClientRect();
    return [x, y, width, height];
  });
  const uid = () => document.querySelector("form.sheet")?.dataset.uid;
  window.swaps = [];
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, sources } of list.getEntries()) {
      const moved = sources
        .filter(({ node }) => node instanceof Element && node.matches(BOXES.join()))
        .map(({ previousRect: a, currentRect: b }) =>
          Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y)));
      window.shifts.push({ value, moved: Math.max(0, ...moved) });
    }
  }).observe({ type: "layout-shift", buffered: true });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const [from, before, old] = [event.timeStamp, boxes(), uid()];
    const look = () => {
      if (uid() === old) return;
      observer.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => {
        const ms = performance.now() - from;
        const after = uid() ? boxes() : before;
        const moves = before.flatMap((box, n) => box.map((v, k) => Math.abs(v - after[n][k])));
        const px = Math.max(...moves);
        window.swaps.push({ ms, px });
      }));
    };
    const observer = new MutationObserver(look);
    observer.observe(document.querySelector(".compare"), { childList: true, subtree: true });
  }, { capture: true });
}"""


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least this share (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(len(ordered) * share * 100) // 100) - 1)]


@contextmanager
def signed_in(browser: "Browser", url: str, name: str) -> Iterator["Page"]:
    """Return a tab of a fresh profile in which the account has signed in through the form."""
    context = browser.new_context(viewport=VIEWPORT, base_url=url)
    page = context.new_page()
    page.goto("/login/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_url(f"{url}/")
    yield page
    context.close()


def first_load(page: "Page", path: str) -> dict[str, Any]:
    """Open the ranking page with an empty cache; return what came over the wire till all is quiet.

    Bytes are those transferred: headers and compressed bodies.
    """
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    addresses: dict[str, str] = {}
    sizes: dict[str, int] = {}
    wire.on(
        "Network.requestWillBeSent",
        lambda e: addresses.update({e["requestId"]: e["request"]["url"]}),
    )
    wire.on(
        "Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]})
    )
    page.goto(path)
    page.wait_for_selector(".candidate[data-current]")
    page.wait_for_load_state("networkidle")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": False})
    wire.detach()
    own = page.url.split("/projects/")[0]
    return {
        "requests": len(addresses),
        "kb": sum(sizes.values()) / 1024,
        "elsewhere": [url for url in addresses.values() if not url.startswith((own, "data:"))],
        "files": {addresses[n].removeprefix(own): size for n, size in sizes.items()},
    }


def rank(page: "Page", steps: int) -> dict[str, list[float]]:
    """Rank so many comparisons by keyboard; return what was measured at each swap."""
    page.evaluate(_WATCH)
    for step in range(1, steps + 1):
        for number in (2, 1, 4, 3):
            page.keyboard.press(str(number))
        page.keyboard.press("Enter")
        page.wait_for_function("n => window.swaps.length >= n", arg=step)
    page.wait_for_selector('.desk[data-unsent="0"]')
    swaps = page.evaluate("window.swaps")
    shifts = page.evaluate("window.shifts")
    return {
        "ms": [round(swap["ms"], 1) for swap in swaps],
        "px": [swap["px"] for swap in swaps],
        "shift_px": [shift["moved"] for shift in shifts],
        "shift_value": [shift["value"] for shift in shifts],
    }


def spoken(found: dict[str, list[float]]) -> str:
    """Return median and 95th percentile in words."""
    median, late = percentile(found["ms"], 0.5), percentile(found["ms"], 0.95)
    return f"median {median} ms, p95 {late} ms"


def measure(
    browser: "Browser", url: str, slug: str, steps: int, plain_steps: int
) -> dict[str, Any]:
    """Measure the first load, the page as it is, and the page without cards leased ahead."""
    path = f"/projects/{slug}/compare/"
    with signed_in(browser, url, ANNOTATORS[0]) as page:
        load = first_load(page, path)
        say(f"first load: {load['requests']} requests, {load['kb']:.1f} KB")
        swift = rank(page, steps)
        say(f"ahead:   {spoken(swift)}")
    with signed_in(browser, url, ANNOTATORS[1]) as page:
        page.route("**/compare/ahead/**", lambda route: route.abort())
        page.goto(path)
        page.wait_for_selector(".candidate[data-current]")
        plain = rank(page, plain_steps)
        say(f"blocked: {spoken(plain)}")
    return {"first_load": load, "ahead": swift, "blocked": plain}


def world(var_dir: Path) -> str:
    """Make the database and the project in it; return the project's short name."""
    with filling(var_dir):
        env = make_database(var_dir, "bench_annotator")
        done = subprocess.run(
            [sys.executable, "-m", "bench.annotator_world", str(SAMPLES)],
            cwd=REPOSITORY,
            env=env,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    made = json.loads(done.stdout.splitlines()[-1])
    say(f"{made['comparisons']} comparisons of real replies")
    return str(made["slug"])


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    chromium = find_chromium()
    if not SAMPLES.exists() or chromium is None:
        lacks = "the real samples (../shared/data)" if chromium else "Chromium"
        say(f"skipped: {lacks} can't be found")
        return
    from playwright.sync_api import sync_playwright

    say(f"machine: {machine()}")
    with (
        tempfile.TemporaryDirectory(prefix="prefloop-bench-") as folder,
        sync_playwright() as player,
    ):
        var_dir = Path(folder)
        slug = world(var_dir)
        process = embedded_postgres.start(var_dir)
        browser = player.chromium.launch(
            executable_path=chromium, args=ARGUMENTS, chromium_sandbox=os.getuid() != 0
        )
        try:
            with serving(
                var_dir, "annotator", "bench_annotator", "config.wsgi:application"
            ) as server:
                url = f"http://127.0.0.1:{server.port}"
                found = measure(browser, url, slug, steps, min(steps, PLAIN_STEPS))
        finally:
            browser.close()
            embedded_postgres.stop(var_dir)
            process.wait()
            embedded_postgres.remove(var_dir)
    report(found)


def report(found: dict[str, Any]) -> None:
    """Print the figures with their goals and write the result."""
    swift = found["ahead"]
    summary = {
        "p95_ms": percentile(swift["ms"], 0.95),
        "layout_shift": max(*swift["px"], *swift["shift_px"], 0),
        "first_load_kb": round(found["first_load"]["kb"], 1),
        "requests": found["first_load"]["requests"],
    }
    for name, goal in GOALS.items():
        say(f"{name} {summary[name]}, goal at most {goal}")
    finish("bench-annotator", summary, {**found, "versions": versions("playwright")})


if __name__ == "__main__":
    main()
