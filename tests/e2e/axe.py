"""axe-core, which looks at a page as people with a screen reader or weak eyes would meet it.

Its script comes from a development package and is handed to the page through the debugger's own
channel (Playwright's `evaluate`), which a content security policy does not rule: the policy stays
on, the application serves no byte of it, and nothing is fetched from elsewhere.
"""

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

SIZES = {"desktop": (1280, 800), "phone": (390, 780)}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# A dark page differs from a light one in the values of its colours alone: these rules read them.
OF_COLOUR = ["color-contrast", "link-in-text-block"]
# The one exception: the order of headings inside a text that somebody else wrote. Which level a
# reply begins with or jumps to is the writer's doing and part of what is judged: it is shown as it
# is. The page's own headings, each reply's name among them, are held to the rule.
_SOURCE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
_RUN = """async (wanted) => {
  const options = { runOnly: wanted, resultTypes: ["violations", "incomplete"] };
  const { violations, passes, incomplete, inapplicable } = await axe.run(document, options);
  const written = ({ target }) => document.querySelector(target[0])?.closest(".prose");
  const kept = (id, node) => !(id === "heading-order" && written(node));
  const told = (list) => list.map(({ id, nodes }) => ({
    id, nodes: nodes.filter((node) => kept(id, node)).map((node) => ({
      target: node.target.join(" "), html: node.html, why: node.failureSummary,
    })),
  }));
  const rules = [violations, passes, incomplete, inapplicable].flat().map(({ id }) => id);
  return { violations: told(violations), incomplete: told(incomplete), rules };
}"""


@dataclass
class Examiner:
    """Looks at states of pages in both sizes and both colour schemes, and notes what is wrong."""

    page: Page
    violations: list[str] = field(default_factory=list)
    undecided: dict[str, list[str]] = field(default_factory=dict)
    rules: set[str] = field(default_factory=set)

    def look(self, state: str) -> None:
        """Look at what the page shows now; `state` names it in what is noted."""
        for size, (width, height) in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            for scheme, wanted in (("light", TAGS), ("dark", OF_COLOUR)):
                self.page.emulate_media(color_scheme=scheme)
                self._look(f"{state}, {size}, {scheme}", wanted)
        self.page.emulate_media(color_scheme="light")
        width, height = SIZES["desktop"]
        self.page.set_viewport_size({"width": width, "height": height})

    def _look(self, state: str, wanted: list[str]) -> None:
        if not self.page.evaluate("Boolean(globalThis.axe)"):
            self.page.evaluate(_SOURCE)
        found = self.page.evaluate(_RUN, wanted)
        self.rules |= set(found["rules"])
        self.violations += _lines(state, found["violations"])
        for rule in found["incomplete"]:
            self.undecided.setdefault(rule["id"], []).extend(_lines(state, [rule]))


def _lines(state: str, rules: list[dict[str, Any]]) -> list[str]:
    return [
        f"{state}: {rule['id']}: {node['target']}: {node['html'][:160]} {node['why']}"
        for rule in rules
        for node in rule["nodes"]
    ]
