"""The ranking page: what it shows, what it takes, what it keeps to itself, what it costs."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Assignment, Candidate, CandidateSource, Judgement
from labeling.services.projects import update_project
from tests.factories import make_comparison
from tests.labeling.views.conftest import World

PIECE = {"HX-Request": "true"}


def _ranking(world: World, ranks: list[int], **more: Any) -> dict[str, Any]:
    fields = {f"rank-{position}": rank for position, rank in enumerate(ranks)}
    return {"assignment": world.ids["assignment"], "key": "the key", **fields, **more}


def _submit(world: World, data: dict[str, Any], **kwargs: Any) -> Any:
    client = world.client("annotator")
    return client.post(world.url("compare_submit", "slug"), data, **kwargs)


def _own(world: World) -> Any:
    return Judgement.objects.filter(assignment__uid=world.ids["assignment"])


def _statements(captured: CaptureQueriesContext) -> list[str]:
    """Return the statements but for transaction control."""
    control = re.compile(r"^(SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT)")
    return [q["sql"] for q in captured.captured_queries if not control.match(q["sql"])]


def test_page_contains_the_piece(world: World) -> None:
    client, url = world.client("annotator"), world.url("compare", "slug")
    page = client.get(url)
    piece = client.get(url, headers=PIECE)
    assert "<html" in page.text
    assert 'id="compare-card"' in page.text
    assert "<html" not in piece.text
    assert piece.text.strip().startswith('<div id="compare-card"')
    for response in (page, piece):
        assert "HX-Request" in response["Vary"]
    boosted = client.get(url, headers={**PIECE, "HX-Boosted": "true"})
    assert "<html" in boosted.text


def test_page_holds_the_conversation_and_each_reply(world: World) -> None:
    assignment = Assignment.objects.get(uid=world.ids["assignment"])
    page = world.client("annotator").get(world.url("compare", "slug")).text
    question = assignment.comparison.prompt.messages[0]["content"][0]["text"]
    for number in range(4):
        assert page.count(f"Reply {number} to: {question}") == 2  # rendered, and raw


def test_submit_stores_the_ranking_in_slots_and_answers_with_the_next_card(world: World) -> None:
    """Positions 0 and 3 tie for the first rank, 1 is second, 2 is third."""
    order = Assignment.objects.get(uid=world.ids["assignment"]).shown_order
    data = _ranking(world, [1, 2, 3, 1], active_ms="4200", events='[[10, "k1", 0]]')
    response = _submit(world, data, headers=PIECE)
    assert response.status_code == 200
    assert 'id="compare-card"' in response.text
    assert str(world.ids["assignment"]) not in response.text
    judgement = _own(world).get()
    assert judgement.tiers == [sorted([order[0], order[3]]), [order[1]], [order[2]]]
    assert (judgement.active_ms, judgement.events) == (4200, [[10, "k1", 0]])
    assert judgement.origin == Judgement.Origin.BROWSER


def test_submit_without_a_script_leads_to_the_next_card(world: World) -> None:
    response = _submit(world, _ranking(world, [1, 2, 3, 4]))
    assert response.status_code == 302
    assert response["Location"] == world.url("compare", "slug")


def test_submit_twice_stores_one_and_still_answers_with_a_card(world: World) -> None:
    first = _submit(world, _ranking(world, [1, 2, 3, 4]), headers=PIECE)
    again = _submit(world, _ranking(world, [1, 2, 3, 4]), headers=PIECE)
    assert (first.status_code, again.status_code) == (200, 200)
    assert _own(world).count() == 1
    uid = re.search(r'data-uid="([^"]+)"', first.text)
    assert uid
    assert uid[1] in again.text


def test_submit_of_another_ranking_under_the_same_key_is_a_conflict(world: World) -> None:
    _submit(world, _ranking(world, [1, 2, 3, 4]))
    response = _submit(world, _ranking(world, [4, 3, 2, 1]), headers=PIECE)
    assert response.status_code == 409
    assert 'id="error"' in response.text
    assert _own(world).count() == 1


@pytest.mark.parametrize("headers", [PIECE, {}], ids=["htmx", "plain"])
@pytest.mark.parametrize("ranks", [[], [1, 2]], ids=["untouched", "half placed"])
def test_submit_of_an_unfinished_order_is_refused(
    world: World, ranks: list[int], headers: dict[str, str]
) -> None:
    response = _submit(world, _ranking(world, ranks), headers=headers)
    assert response.status_code == 422
    assert ("<html" in response.text) is not bool(headers)
    assert str(world.ids["assignment"]) in response.text
    assert re.search(r'class="note" role="alert"><span class="note-text">\w', response.text)
    assert not _own(world).exists()


def test_submit_of_an_unreadable_rank_is_refused(world: World) -> None:
    response = _submit(world, {**_ranking(world, [1, 2, 3]), "rank-3": "last"}, headers=PIECE)
    assert response.status_code == 422
    assert not _own(world).exists()


@pytest.mark.parametrize("uid", ["", "no uuid", "00000000-0000-4000-8000-000000000000"])
def test_submit_for_an_unknown_assignment_is_not_found(world: World, uid: str) -> None:
    data = {**_ranking(world, [1, 2, 3, 4]), "assignment": uid}
    response = _submit(world, data, headers=PIECE)
    assert response.status_code == 404
    assert 'id="error"' in response.text


def test_skip_takes_a_reason_and_answers_with_the_next_card(world: World) -> None:
    client, url = world.client("annotator"), world.url("compare_skip", "slug")
    silent = client.post(url, {"assignment": world.ids["assignment"]}, headers=PIECE)
    assert silent.status_code == 422
    data = {"assignment": world.ids["assignment"], "reason": "Other", "note": "too long"}
    response = client.post(url, data, headers=PIECE)
    assert response.status_code == 200
    assert str(world.ids["assignment"]) not in response.text
    skipped = Assignment.objects.get(uid=world.ids["assignment"])
    assert (skipped.state, skipped.skip_reason) == ("skipped", "Other: too long")


def test_empty_queue_says_so(world: World) -> None:
    world.project.comparisons.update(open_slots=0, state="closed")
    manager = world.client("manager")
    for headers in (PIECE, {}):
        response = manager.get(world.url("compare", "slug"), headers=headers)
        assert response.status_code == 200
        assert "nothing-left" in response.text
        assert 'id="compare-card"' in response.text


def test_renew_puts_the_end_of_the_lease_off(world: World) -> None:
    held = Assignment.objects.filter(uid=world.ids["assignment"])
    before = held.get().expires_at
    data = {"assignment": world.ids["assignment"]}
    response = world.client("annotator").post(world.url("compare_renew", "slug"), data)
    assert response.status_code == 204
    assert held.get().expires_at > before


def test_nothing_sent_tells_who_wrote_a_reply(world: World) -> None:
    """Neither a model's name nor a row's id: those would follow the order of the models.

    The ids are moved far up first, so that they can't be mistaken for any other number.
    """
    with connection.cursor() as cursor:
        for number, table in enumerate(("candidate", "comparison", "prompt"), start=1):
            cursor.execute("SELECT setval(%s, %s)", [f"labeling_{table}_id_seq", 77000 * number])
    world.project.comparisons.update(priority=-1)
    made = [make_comparison(world.project) for _ in range(2)]
    CandidateSource.objects.update(model_name="secret-model-9b")
    candidates = Candidate.objects.filter(slots__comparison__in=made)
    hidden = {str(pk) for pk in candidates.values_list("pk", flat=True)}
    hidden |= {"secret-model-9b", *(str(c.pk) for c in made), *(str(c.uid) for c in made)}
    hidden |= {str(c.prompt_id) for c in made} | {c.content_hash for c in candidates}
    assert len(hidden) == 2 * (4 + 4 + 3) + 1

    manager = world.client("manager")
    page = manager.get(world.url("compare", "slug"))
    uid = re.search(r'data-uid="([^"]+)"', page.text)
    assert uid
    ranks = {f"rank-{position}": 1 for position in range(4)}
    data = {"assignment": uid[1], "key": "k", **ranks}
    answer = manager.post(world.url("compare_submit", "slug"), data, headers=PIECE)
    assert "Reply 0 to" in page.text
    assert "Reply 0 to" in answer.text
    for response in (page, answer):
        sent = response.text + str(response.headers)
        assert not [secret for secret in hidden if secret in sent]


def test_submit_and_next_card_cost_at_most_twelve_statements(world: World) -> None:
    """Session and user are among them; the project's own share is ten."""
    client, url = world.client("annotator"), world.url("compare_submit", "slug")
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = client.post(url, _ranking(world, [1, 2, 3, 4]), headers=PIECE)
    assert response.status_code == 200
    statements = _statements(captured)
    assert len(statements) <= 12, "\n".join(statements)


def test_card_costs_a_fixed_number_of_statements(world: World) -> None:
    client, url = world.client("annotator"), world.url("compare", "slug")
    for headers, most in ((PIECE, 8), ({}, 12)):
        with CaptureQueriesContext(connection) as captured:
            client.get(url, headers=headers)
        statements = _statements(captured)
        assert len(statements) <= most, "\n".join(statements)


def _asking(world: World, **settings: Any) -> None:
    update_project(actor=world.actor("owner"), project=world.project, **settings)


def test_submit_stores_all_that_the_project_asks(world: World) -> None:
    """A written reply stands above the others: it is slot 4 of K = 4."""
    _asking(world, asks_ratings=True, asks_confidence=True, asks_demonstrations=True)
    said: dict[str, Any] = {f"quality-{position}": 7 - position for position in range(4)}
    said |= {"flag-2": ["hallucination", "constraint"], "confidence": 2, "comment": "Hm.\r\nNo."}
    response = _submit(
        world, _ranking(world, [1, 2, 2, 4], own_text="So:\r\n- one", **said), headers=PIECE
    )
    assert response.status_code == 200
    judgement = _own(world).get()
    order = judgement.shown_order
    assert judgement.ratings == {
        str(order[position]): {
            "quality": 7 - position,
            "flags": ["hallucination", "constraint"] if position == 2 else [],
        }
        for position in range(4)
    }
    assert (judgement.confidence, judgement.comment) == (2, "Hm.\nNo.")
    assert judgement.tiers == [[4], [order[0]], sorted([order[1], order[2]]), [order[3]]]
    written = judgement.written_candidate
    assert written.messages[0]["content"][0]["text"] == "So:\n- one"
    assert judgement.pairs.filter(chosen=written).count() == 4


def test_submit_without_what_the_project_asks_is_refused_with_a_sentence(world: World) -> None:
    _asking(world, asks_ratings=True, asks_confidence=True)
    response = _submit(world, _ranking(world, [1, 2, 3, 4], **{"quality-0": 5}), headers=PIECE)
    assert response.status_code == 422
    assert "Rate the quality of each reply, from 1 to 7. Say how sure you are." in response.text
    assert not _own(world).exists()


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ({"verdict": "both_bad"}, ("both_bad", "")),
        ({"verdict": "unrankable", "unrankable_reason": "Other"}, ("unrankable", "Other")),
    ],
)
def test_submit_of_a_verdict_without_an_order(
    world: World, said: dict[str, str], stored: tuple[str, str]
) -> None:
    assert _submit(world, _ranking(world, [], **said), headers=PIECE).status_code == 200
    judgement = _own(world).get()
    assert (judgement.verdict, judgement.unrankable_reason) == stored
    assert judgement.tiers == []


def test_text_that_no_database_keeps_is_refused(world: World) -> None:
    for field in ("comment", "own_text"):
        data = _ranking(world, [1, 2, 3, 4], **{field: "a\x00b"})
        assert _submit(world, data, headers=PIECE).status_code == 422
    data = _ranking(world, [1, 2, 3, 4], events='[[1, "\\u0000"]]')
    assert _submit(world, data, headers=PIECE).status_code == 422
    assert not _own(world).exists()
