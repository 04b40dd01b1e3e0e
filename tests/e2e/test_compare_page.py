"""The ranking page against haste, thumbs, hostile replies and curious annotators.

What each key and gesture does is tested beside the view; here is what a whole session adds up to.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence

import pytest
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from labeling.models import ImportBatch, Judgement, Project, User
from labeling.services.imports import create_import, run_import
from tests.e2e import steps
from tests.e2e.witness import Witness
from tests.factories import PASSWORD, make_member, make_project, owner_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MODELS = ("quiet-harbour-7b", "loud-harbour-13b")


def import_replies(project: Project, replies: Sequence[Sequence[str]], prompt: str = "") -> None:
    """Import a prompt for each group of replies, as an uploaded file would be."""
    lines = [
        {
            "prompt": prompt or f"Question {number}: how do I get there?",
            "external_id": f"secret-key-{number}",
            "responses": [
                {"text": text, "model": MODELS[place % 2], "sampling": {"temperature": 0.77}}
                for place, text in enumerate(group)
            ],
        }
        for number, group in enumerate(replies)
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n"
    batch = create_import(
        actor=owner_of(project), project=project, file_name="replies.jsonl", chunks=[text.encode()]
    )
    assert run_import(batch_id=batch.pk).state == ImportBatch.State.SUCCEEDED


def plain_replies(groups: int, k: int = 4) -> list[list[str]]:
    """Return groups of k distinct replies."""
    return [[f"Take road {number}, then turn {n}." for n in range(k)] for number in range(groups)]


@pytest.fixture
def project() -> Project:
    """Return an empty project for comparisons of four."""
    return make_project(candidates_per_comparison=4)


@pytest.fixture
def annotator(project: Project) -> User:
    """Return a person who ranks in it."""
    return make_member(project)


@pytest.fixture
def watched(browser_context: BrowserContext, live_server: LiveServer) -> Witness:
    """Return a witness of everything that the profile of this test sees and asks."""
    found = Witness(live_server.url)
    found.watch(browser_context)
    return found


def open_ranking(page: Page, live_server: LiveServer, project: Project, annotator: User) -> None:
    """Sign in through the form and arrive at the first comparison."""
    steps.sign_in(page, live_server.url, (annotator.username, PASSWORD))
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    steps.expect_ready(page)


def test_double_enter_and_double_click_store_one_judgement_each(
    page: Page, live_server: LiveServer, project: Project, annotator: User, watched: Witness
) -> None:
    import_replies(project, plain_replies(3))
    open_ranking(page, live_server, project, annotator)
    first = steps.card_key(page)
    for key in ("1", "2", "3", "4", "Enter", "Enter", "Enter"):
        page.keyboard.press(key)
    steps.expect_next_card(page, first)
    second = steps.card_key(page)
    for key in "4321":
        page.keyboard.press(key)
    page.locator("[data-submit]").dblclick()
    steps.expect_next_card(page, second)
    expect(page.locator("#done-today")).to_have_text("2")
    stored = Judgement.objects.values_list("assignment__uid", flat=True)
    assert sorted(map(str, stored)) == sorted([first, second])
    assert watched.complaints == []


def test_keys_held_down_submit_nothing_twice(
    page: Page, live_server: LiveServer, project: Project, annotator: User
) -> None:
    """A sleeping cat on Enter: the key repeats, and the next card stays as it came."""
    import_replies(project, plain_replies(2))
    open_ranking(page, live_server, project, annotator)
    first = steps.card_key(page)
    for key in "1111":
        page.keyboard.press(key)
    for _ in range(12):  # without a release in between these are repeats
        page.keyboard.down("Enter")
    steps.expect_next_card(page, first)
    page.keyboard.up("Enter")
    assert Judgement.objects.count() == 1
    assert Judgement.objects.get().verdict == "tie"


@pytest.fixture
def phone(browser: Browser) -> "Iterator[PhoneTab]":
    """Return a tab of a phone: narrow, touched, without a mouse."""
    context = browser.new_context(
        viewport={"width": 390, "height": 760}, has_touch=True, is_mobile=True
    )
    yield PhoneTab(context)
    context.close()


class PhoneTab:
    """A phone's browser, and the finger on it."""

    def __init__(self, context: BrowserContext) -> None:
        """Open a tab."""
        self.page = context.new_page()
        self._wire = context.new_cdp_session(self.page)

    def drag(self, position: int, rank: int) -> None:
        """Drag a reply's letter onto a rank with one finger."""
        self.page.locator("#compare-card .handle").nth(position).scroll_into_view_if_needed()
        handle = self.page.locator("#compare-card .handle").nth(position).bounding_box()
        lane = self.page.locator(f'#compare-card [data-lane="{rank}"]').bounding_box()
        assert handle
        assert lane
        start = (handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
        end = (lane["x"] + lane["width"] / 2, lane["y"] + lane["height"] / 2)
        self._touch("touchStart", 0, start)
        # A finger takes its time and rests at the end; a flick would swallow the next tap.
        for moment, part in enumerate((0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0), start=1):
            x, y = (a + (b - a) * part for a, b in zip(start, end, strict=True))
            self._touch("touchMove", moment, (x, y))
        self._touch("touchEnd", 8)

    def _touch(self, kind: str, moment: int, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y} for x, y in points]
        told = {"type": kind, "touchPoints": touches, "timestamp": time.time() - 1 + moment / 10}
        self._wire.send("Input.dispatchTouchEvent", told)


def test_phone_ranks_by_tap_and_by_finger(
    phone: PhoneTab, live_server: LiveServer, project: Project, annotator: User
) -> None:
    long = " ".join(["It is a long way, and every stone of it is worth telling."] * 20)
    import_replies(project, [[f"{long} {n}" for n in range(4)], *plain_replies(1)])
    page = phone.page
    steps.sign_in(page, live_server.url, (annotator.username, PASSWORD))
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    expect(page.locator("#say")).to_have_text("New comparison: 4 replies.")
    first = steps.card_key(page)
    for position, rank in enumerate((2, 1, 1)):
        steps.candidates(page).nth(position).locator(".rank").nth(rank - 1).tap()
    phone.drag(3, 3)
    assert steps.badges(page) == ["2", "1=", "1=", "3"]
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.locator("[data-submit]").tap()
    steps.expect_next_card(page, first)
    judgement = Judgement.objects.get()
    order = judgement.assignment.shown_order
    assert judgement.tiers == [sorted([order[1], order[2]]), [order[0]], [order[3]]]


HOSTILE = (
    "<script>window.fooled = 1</script> and more",
    '<img src="/x" onerror="window.fooled = 2"> <svg onload="window.fooled = 3"></svg>',
    '[a link](javascript:window.fooled=4) <a href="javascript:window.fooled=5">another</a>',
    '<style>.dock { display: none }</style> ![](https://192.0.2.1/pixel.png) <div class="note">',
)


def test_hostile_replies_are_shown_as_text_and_run_nothing(
    page: Page, live_server: LiveServer, project: Project, annotator: User, watched: Witness
) -> None:
    import_replies(project, [HOSTILE], prompt=HOSTILE[1])
    open_ranking(page, live_server, project, annotator)
    for text in ("window.fooled = 1", "onerror", "javascript:window.fooled=4", ".dock {"):
        expect(steps.candidates(page).filter(has_text=text)).to_have_count(1)
    for link in page.locator(".prose a").all():
        assert re.match("https?:|mailto:", link.get_attribute("href") or "")
    expect(page.locator("[data-submit]")).to_be_visible()
    steps.rank_by_keys(page, (1, 2, 3, 4))
    assert page.evaluate("window.fooled") is None
    assert watched.complaints == []
    # The second wall: where such a text did become HTML, the page's policy would refuse it.
    page.evaluate("(html) => { document.body.innerHTML += html; }", HOSTILE[1])
    expect(page.locator("body > img")).to_have_count(1)
    assert page.evaluate("window.fooled") is None
    assert [c for c in watched.complaints if "refused by the policy: script-src" in c]


def far_away_ids() -> str:
    """Let row ids begin where no other number of a page lies; return how they begin."""
    with connection.cursor() as cursor:
        for table in (
            "prompt",
            "candidate",
            "candidatesource",
            "comparison",
            "comparisoncandidate",
        ):
            cursor.execute(f"ALTER SEQUENCE labeling_{table}_id_seq RESTART WITH 7313130001")
    return "731313000"


def test_no_answer_of_a_session_tells_a_model_or_a_row(
    page: Page, live_server: LiveServer, project: Project, annotator: User, watched: Witness
) -> None:
    """Ranked, tied, skipped, reloaded and emptied: every answer is read, headers included."""
    ids = far_away_ids()
    import_replies(project, plain_replies(3))
    open_ranking(page, live_server, project, annotator)
    answers: list[str] = []

    def read(route: Route) -> None:
        answer = route.fetch()
        answers.append(f"{answer.headers}\n{answer.text()}")
        route.fulfill(response=answer)

    page.route("**/*", read)
    page.reload()
    steps.expect_ready(page)
    steps.rank_by_keys(page, (1, 1, 2, 3))
    before = steps.card_key(page)
    page.keyboard.press("s")
    page.get_by_label("Another reason", exact=True).check()
    page.get_by_role("button", name="Skip it").click()
    steps.expect_next_card(page, before)
    steps.rank_by_keys(page, (4, 3, 2, 1))
    expect(page.get_by_role("heading", name="Nothing is left for you to rank")).to_be_visible()
    assert Judgement.objects.count() == 2
    assert len(answers) >= 4
    seen = "\n".join(answers)
    assert "Take road" in seen
    for secret in (*MODELS, "harbour", "0.77", "secret-key", ids):
        assert secret not in seen
    assert watched.complaints == []
