"""Hostile text on every page that shows such text: nothing runs, nothing leaves, all stays usable.

The same look-out is then set before a build without its walls, to show that it sees what it is
there to see.
"""

import json
import re
from typing import Any

import pytest
from csp.middleware import CSPMiddleware
from django.test import Client
from markdown_it import MarkdownIt
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from labeling.domain.content import text_of
from labeling.models import Export, FlagSet, ImportBatch, Judgement, Project, Snapshot, Tag, User
from labeling.services import prompts as prompt_service
from labeling.services.assignments import claim_next
from labeling.services.exports import request_export, write_export
from labeling.services.imports import create_import, run_import
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.projects import publish_guideline
from labeling.services.snapshots import freeze_snapshot
from tests.e2e import steps
from tests.e2e.hostile import (
    LEAK,
    LOADING,
    PAYLOADS,
    RESTYLING,
    RUNNING,
    LookOut,
    numbered,
    shared_out,
)
from tests.factories import PASSWORD, make_member, make_project, owner_of
from tests.training.factories import make_model, make_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

K = 9
HOSTILE = shared_out(numbered(), K)
HUGE = [
    "W" * 100_000,
    "\u200b\u200c" * 50_000,
    "🎉" * 20_000,
    ">" * 10_000 + " end",
    "[" * 10_000 + "]" * 10_000,
    "\u202e" + "abc " * 5_000,
    "|a" * 200 + "|\n" + "|-" * 200 + "|\n" + "|" + "W" * 5_000 + "|\n",
    "```\n" + "x" * 50_000 + "\n```",
    "$" + "x+" * 800 + "x$",
]
PLAIN = [f"Take road {n}." for n in range(K)]


def send(project: Project, lines: list[dict[str, Any]], name: str = "replies.jsonl") -> ImportBatch:
    """Import lines as an uploaded file would be."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    batch = create_import(
        actor=owner_of(project), project=project, file_name=name, chunks=[text.encode()]
    )
    return run_import(batch_id=batch.pk)


def line(replies: list[str], talk: list[str], n: int = 0) -> dict[str, Any]:
    """Return one prompt with replies; the names around them are hostile too."""
    names = [p for p in numbered() if "\n" not in p and len(p) < 120]
    roles = ("user", "assistant")
    messages = [
        {"role": roles[turn % 2], "content": text} for turn, text in enumerate([*talk, "So?"])
    ]
    return {
        "prompt": [*messages, {"role": "user", "content": f"{n}"}][: 2 * (len(talk) // 2) + 1],
        "external_id": f"{n} {names[2 * n]}"[:150],
        "author": f"{n} {names[2 * n + 1]}"[:150],
        "responses": [
            {"text": text, "model": names[place * 3 + n], "sampling": {"temperature": 0.7}}
            for place, text in enumerate(replies)
        ],
    }


@pytest.fixture
def project() -> Project:
    """Return a project whose every text is hostile, but for the first card."""
    project = make_project(candidates_per_comparison=K, description=numbered()[5])
    publish_guideline(actor=owner_of(project), project=project, text="\n\n".join(numbered()))
    lines = [
        line(PLAIN, ["Which way?"]),
        line(HOSTILE, shared_out(numbered(), 3), 1),
        line(HUGE, ["And now?"], 2),
    ]
    assert send(project, lines).state == ImportBatch.State.SUCCEEDED
    Project.objects.filter(pk=project.pk).update(name=numbered()[0])
    Tag.objects.create(project=project, name=numbered()[10][:60])
    project.refresh_from_db()
    return project


@pytest.fixture
def look_out(browser_context: BrowserContext, live_server: LiveServer) -> LookOut:
    """Return a look-out over everything that the profile of this test does."""
    found = LookOut(live_server.url)
    found.watch(browser_context)
    return found


def sign_in(page: Page, live_server: LiveServer, user: User) -> None:
    """Sign in through the form."""
    steps.sign_in(page, live_server.url, (user.username, PASSWORD))


def open_ranking(page: Page, live_server: LiveServer, project: Project) -> None:
    """Open the ranking page and wait until it listens."""
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    steps.expect_ready(page)


_BOXES = """() => [".bar", ".dock", ".talk", ".candidates", "[data-submit]"].map((name) => {
  const { x, y, width, height } = document.querySelector(name).getBoundingClientRect();
  return [name, x, y, width, height].join(" ");
})"""


def shown(page: Page) -> str:
    """Return all that the replies on the ranking page show."""
    return "\n".join(steps.candidates(page).locator("> .prose").all_text_contents())


def test_the_list_is_long_enough() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 60


def test_the_ranking_page_shows_hostile_text_and_stays_as_it_is(
    page: Page, live_server: LiveServer, project: Project, look_out: LookOut
) -> None:
    """By a swap, by a load, raw, compared, in a comment and in the guidelines; then submitted."""
    sign_in(page, live_server, make_member(project))
    open_ranking(page, live_server, project)
    boxes = page.evaluate(_BOXES)
    steps.rank_by_keys(page, range(1, K + 1))
    assert page.evaluate(_BOXES) == boxes
    look_out.look(page)
    text = shown(page)
    for payload in RUNNING:
        for wanted in re.findall(r"hit\(\d+\)", numbered([payload])[0]):
            assert wanted in text
    for key in "rrdd":  # raw and back, compared and back
        page.keyboard.press(key)
        look_out.look(page)
    page.keyboard.press("g")
    expect(page.locator("#guidelines")).to_be_visible()
    look_out.look(page)
    page.keyboard.press("g")
    page.reload()
    steps.expect_ready(page)
    assert page.evaluate(_BOXES) == boxes
    look_out.look(page)
    page.locator("#comment-text").evaluate("(box, text) => (box.value = text)", HOSTILE[0])
    steps.rank_by_keys(page, range(K, 0, -1))
    assert Judgement.objects.count() == 2
    assert Judgement.objects.order_by("pk").last().comment.split() == HOSTILE[0].split()
    # The third card: words that never end, in every way.
    assert page.evaluate(_BOXES) == boxes
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert "W" * 100_000 in shown(page)
    look_out.look(page)
    page.keyboard.press("u")  # back to the comment that was just written
    expect(page.locator("form.sheet[data-revises]")).to_have_count(1)
    look_out.look(page)
    assert look_out.findings == {}


def test_flag_labels_and_the_writing_page_run_nothing(
    page: Page, live_server: LiveServer, project: Project, look_out: LookOut
) -> None:
    flags: list[dict[str, Any]] = [
        {"key": f"f{n}", "label": text[:80]} for n, text in enumerate(numbered()[:12])
    ]
    FlagSet.objects.create(project=project, version=2, flags=flags)
    asked = {"asks_ratings": True, "asks_demonstrations": True, "asks_confidence": True}
    Project.objects.filter(pk=project.pk).update(**asked)
    sign_in(page, live_server, make_member(project))
    open_ranking(page, live_server, project)
    expect(page.get_by_text(flags[0]["label"], exact=True).first).to_be_visible()
    look_out.look(page)
    page.goto(f"{live_server.url}/projects/{project.slug}/write/")
    look_out.look(page)
    if page.locator("#text").count():
        page.locator("#text").fill("\n\n".join(numbered()))
        page.locator("[data-act=preview]").click()
        expect(page.locator("#shown")).to_be_visible()
        look_out.look(page)
    assert look_out.findings == {}


def judged(project: Project, note: str) -> Snapshot:
    """Let the owner rank the first card, with a hostile comment, and freeze that."""
    owner = owner_of(project)
    card = claim_next(actor=owner, project=project)
    assert card is not None
    submit_judgement(
        actor=owner,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[n] for n in range(K)], touched=True, comment=HOSTILE[1]),
        idempotency_key="first",
    )
    return freeze_snapshot(actor=owner, project=project, note=note)


def test_the_pages_of_managers_run_nothing(
    page: Page, live_server: LiveServer, project: Project, look_out: LookOut, tmp_path: Any
) -> None:
    """Prompts with their models, imports and what they refuse, snapshots, runs, models, the log."""
    owner = owner_of(project)
    bad: list[dict[str, Any]] = [
        {"prompt": [{"role": payload, "content": "x"}]} for payload in numbered()
    ]
    bad += [{"prompt": "x", payload: 1} for payload in numbered()[:40]]
    refused = send(project, bad, name=f"{numbered()[5]}.jsonl")
    assert refused.state == ImportBatch.State.REFUSED
    snapshot = judged(project, note=numbered()[6])
    run = make_run(project, snapshot=snapshot, base_model=make_model(project, name=numbered()[7]))
    run.log_tail, run.error = "\n".join(numbered()), numbered()[0] + numbered()[5]
    run.state = "failed"
    run.save()
    export = request_export(actor=owner, snapshot=snapshot, format="kway", container="jsonl")
    write_export(export_id=export.pk)
    Export.objects.filter(pk=export.pk).update(error=numbered()[5])
    prompts = project.prompts.order_by("pk")
    base = f"/projects/{project.slug}/"
    places = [
        *("", "prompts/", "guidelines/", "imports/", "log/", "members/", "settings/", "snapshots/"),
        *("runs/", "models/", f"imports/{refused.uid}/", f"snapshots/{snapshot.number}/"),
        *(f"runs/{run.uid}/", f"models/{run.base_model_id}/", "runs/new/"),
        *(f"prompts/{prompt.pk}/" for prompt in prompts[:3]),
    ]
    sign_in(page, live_server, owner)
    showing = 0
    for place in places:
        answer = page.goto(f"{live_server.url}{base}{place}")
        assert answer is not None
        assert answer.status == 200, place
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        look_out.look(page)
        expect(page.locator(".bar")).to_be_visible()
        showing += "hit(" in page.locator("main").inner_text()
        assert look_out.findings == {}, place
    assert showing >= 10, showing  # the others show numbers alone
    client = Client()
    client.force_login(owner)
    download = client.get(f"{base}exports/{export.uid}/download/")
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert download.headers["X-Content-Type-Options"] == "nosniff"
    assert b"hit(" in download.getvalue()
    download.close()


# --- the same look-out before a build without its walls ----------------------------------------


def careless(text: str) -> str:
    """Return what a renderer would give that trusts its text: HTML as it stands, any address."""
    markdown = MarkdownIt("commonmark", {"html": True})
    markdown.validateLink = lambda url: True  # type: ignore[method-assign]
    return str(markdown.render(text))


@pytest.fixture
def without_sanitizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the renderer's walls out of the import."""
    monkeypatch.setattr(prompt_service, "render_text", careless)
    monkeypatch.setattr(
        prompt_service, "render_messages", lambda messages: [careless(text_of(m)) for m in messages]
    )


@pytest.fixture
def without_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the content security policy off every answer."""
    monkeypatch.setattr(CSPMiddleware, "process_response", lambda self, request, response: response)


def open_careless(page: Page, live_server: LiveServer) -> None:
    """Import what runs, loads and restyles, without what swallows the rest, and rank it."""
    project = make_project(candidates_per_comparison=K)
    texts = shared_out(numbered([*RUNNING, *LOADING, *RESTYLING]), K)
    assert send(project, [line(texts, ["Well?"])]).state == ImportBatch.State.SUCCEEDED
    sign_in(page, live_server, make_member(project))
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/", wait_until="domcontentloaded")
    page.wait_for_timeout(500)


@pytest.mark.usefixtures("without_sanitizer", "without_policy")
def test_without_sanitizer_and_policy_the_look_out_sees_it_all(
    page: Page, live_server: LiveServer, look_out: LookOut
) -> None:
    open_careless(page, live_server)
    look_out.look(page)
    page.wait_for_timeout(300)
    assert len(look_out.ran) >= 25, sorted(look_out.ran)
    assert sum(url.startswith(LEAK) for url in look_out.strangers) >= 8, look_out.strangers
    assert len(look_out.foreign) >= 40
    assert page.evaluate("getComputedStyle(document.querySelector('.dock')).display") == "none"


@pytest.mark.usefixtures("without_sanitizer")
def test_without_the_sanitizer_alone_the_policy_still_holds_and_the_look_out_tells(
    page: Page, live_server: LiveServer, look_out: LookOut
) -> None:
    open_careless(page, live_server)
    look_out.look(page)
    assert look_out.ran == set()
    assert len(look_out.violations) >= 10
    assert len(look_out.foreign) >= 40
    assert look_out.findings != {}
