"""A reply that was written while ranking: ranked, kept with its judgement, learned from, erased."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.exceptions import InvalidInput
from labeling.models import Candidate, Demonstration, Judgement, Project, Prompt, Snapshot, User
from labeling.selectors.snapshots import demonstration_rows, kway_rows, preference_rows
from labeling.services.accounts import TOMBSTONE, erase_user
from labeling.services.assignments import claim_next
from labeling.services.comparisons import queue_comparisons
from labeling.services.exports import rows_of, write_file
from labeling.services.judgements import Submission, revise_judgement, submit_judgement
from labeling.services.snapshots import hash_of
from labeling.services.submissions import OWN
from tests.factories import make_admin, make_comparison, make_member, make_project
from tests.labeling.services.test_imports import take
from tests.labeling.services.test_snapshots import freeze

pytestmark = pytest.mark.django_db

MINE = "So it is <b>better</b>:\n\n- one\n- two"


def asking(**settings: Any) -> Project:
    """Return a project that lets people write, with a comparison of two."""
    project = make_project(asks_demonstrations=True, **settings)
    make_comparison(project, k=2, overlap=3)
    return project


def wrote(
    project: Project, person: User, text: str = MINE, key: str = "k", **said: Any
) -> Judgement:
    """Have somebody judge what they are given, with their own reply on top."""
    card = claim_next(actor=person, project=project)
    assert card is not None
    said.setdefault("tiers", [[OWN], [0], [1]])
    return submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=Submission(touched=True, own_text=text, **said),
        idempotency_key=key,
    )


def revised(judgement: Judgement, **said: Any) -> Judgement:
    assert judgement.annotator.user is not None
    return revise_judgement(
        actor=judgement.annotator.user,
        judgement_uid=judgement.uid,
        submission=Submission(touched=True, **said),
        idempotency_key=f"revision of {judgement.pk}",
    )


def current(project: Project) -> list[str]:
    """Return the texts of the demonstrations that a snapshot would take."""
    rows = Demonstration.objects.filter(
        prompt__project=project, superseded_by=None, state="active"
    ).order_by("id")
    return [row.messages[0]["content"][0]["text"] for row in rows]


def test_written_reply_is_a_candidate_of_its_judgement_alone() -> None:
    project = asking()
    person = make_member(project)
    judgement = wrote(project, person)
    candidate = judgement.written_candidate
    assert candidate is not None
    assert candidate.written_by == judgement.annotator
    assert "&lt;b&gt;" in candidate.html
    assert "<li" in candidate.html
    assert judgement.tiers[0] == [2]
    assert judgement.comparison.slots.count() == 2
    chosen = [p.chosen_id for p in judgement.pairs.order_by("-rank_gap", "id")]
    assert chosen.count(candidate.pk) == 2
    assert not queue_comparisons(
        actor=None, project=project, prompt_ids=[candidate.prompt_id], size=2
    )
    stored = Judgement.objects.get(pk=judgement.pk)
    assert stored.written_candidate_id == candidate.pk
    card = claim_next(actor=make_member(project), project=project)
    assert card is not None
    assert MINE not in [shown.text for shown in card.candidates]


def test_written_reply_becomes_a_demonstration_of_its_writer() -> None:
    project = asking()
    judgement = wrote(project, make_member(project), verdict="both_bad", tiers=[])
    demonstration = Demonstration.objects.get()
    assert demonstration.annotator == judgement.annotator
    assert demonstration.prompt_id == judgement.comparison.prompt_id
    assert current(project) == [MINE]
    assert judgement.pairs.count() == 0


def test_text_of_a_shown_reply_is_refused_in_a_sentence() -> None:
    project = asking()
    shown = Candidate.objects.all()[0].messages[0]["content"][0]["text"]
    with pytest.raises(InvalidInput, match="the very text of a reply that is shown") as caught:
        wrote(project, make_member(project), text=f"{shown}\n")
    assert list(caught.value.errors) == ["own_text"]
    assert not Judgement.objects.exists()
    assert not Demonstration.objects.exists()


def test_two_who_write_the_same_share_the_candidate() -> None:
    project = asking()
    first = wrote(project, make_member(project), text="42")
    second = wrote(project, make_member(project), text="42")
    assert first.written_candidate == second.written_candidate
    assert Candidate.objects.filter(written_by=None).count() == 2
    assert current(project) == ["42", "42"]


def test_submit_without_a_written_reply_costs_no_statement_for_it() -> None:
    project = asking()
    counts = []
    for text, tiers in (("", [[0], [1]]), (MINE, [[OWN], [0], [1]])):
        person = make_member(project)
        claim_next(actor=person, project=project)
        with CaptureQueriesContext(connection) as queries:
            wrote(project, person, text=text, tiers=tiers)
        counts.append(len([q for q in queries if "SAVEPOINT" not in q["sql"]]))
    assert counts[0] <= counts[1] - 4, counts


def test_revision_that_keeps_the_reply_keeps_its_demonstration() -> None:
    project = asking()
    old = wrote(project, make_member(project))
    new = revised(old, own_text=MINE, tiers=[[0], [OWN], [1]])
    assert new.written_candidate == old.written_candidate
    assert Demonstration.objects.count() == 1
    assert len(current(project)) == 1
    assert {p.rank_gap for p in new.pairs.all()} == {1, 2}


def test_revision_with_another_reply_supersedes_the_demonstration() -> None:
    project = asking()
    old = wrote(project, make_member(project))
    new = revised(old, own_text="Shorter.", tiers=[[OWN], [0], [1]])
    assert current(project) == ["Shorter."]
    last = revised(new, tiers=[[0], [1]])
    assert last.written_candidate is None
    assert current(project) == []
    again = revised(last, own_text=MINE, tiers=[[OWN], [0], [1]])
    assert current(project) == [MINE]
    assert again.written_candidate == old.written_candidate


def test_exports_hold_the_written_reply_and_import_again_to_equal_rows(tmp_path: Path) -> None:
    project = asking(strength_scale=3, asks_ratings=True, asks_confidence=True)
    rated = {"0": {"quality": 3, "flags": ["hallucination"]}, "1": {"quality": 2, "flags": []}}
    said = {"confidence": 3, "ratings": rated, "strength": 2, "comment": "neither"}
    judgement = wrote(project, make_member(project), **said)
    wrote(project, make_member(project), ratings=rated, confidence=1)
    snapshot = freeze(project)
    (row, _) = kway_rows(snapshot)
    assert [(r["text"], r["rank"]) for r in row["ranked_responses"] if r.get("written")] == [
        (MINE, 0)
    ]
    assert row["ratings"] == judgement.ratings
    best = [r for r in preference_rows(snapshot) if r["judgement"] == str(judgement.uid)]
    assert [r["chosen"][0]["content"] for r in best].count(MINE) == 2

    path = tmp_path / "kway.jsonl"
    write_file(path, rows_of(snapshot, "kway"), "jsonl")
    elsewhere = make_project()
    batch = take(elsewhere, path.read_text().splitlines())
    assert batch.state == "succeeded", batch.report
    again = freeze(elsewhere)
    assert list(kway_rows(again)) == list(kway_rows(snapshot))
    assert again.sha256 == snapshot.sha256
    imported = Candidate.objects.get(prompt__project=elsewhere, slots=None)
    assert imported.written_by is not None
    assert imported.sources.count() == 0
    both = [freeze(p, kind="demonstrations") for p in (project, elsewhere)]
    texts = [[r["completion"][0]["content"] for r in demonstration_rows(s)] for s in both]
    assert texts == [[MINE, MINE], [MINE, MINE]]
    assert take(elsewhere, path.read_text().splitlines()).report["judgements"] == 0
    assert Demonstration.objects.filter(prompt__project=elsewhere).count() == 2


def test_rows_with_written_replies_take_no_statement_more(django_assert_num_queries: Any) -> None:
    project = asking()
    for _ in range(3):
        wrote(project, make_member(project), text=MINE + str(_))
    snapshot = freeze(project)
    with django_assert_num_queries(7):
        assert len(list(kway_rows(snapshot))) == 3


def test_erasing_the_writer_leaves_a_tombstone_in_snapshots_and_demonstrations() -> None:
    project = asking()
    person = make_member(project)
    wrote(project, person)
    snapshot = freeze(project)
    old = snapshot.sha256
    assert erase_user(actor=make_admin(), user=person) == [snapshot.pk]
    text = json.dumps([list(kway_rows(snapshot)), list(preference_rows(snapshot))])
    assert "better" not in text
    assert TOMBSTONE in text
    assert hash_of(snapshot) == Snapshot.objects.get(pk=snapshot.pk).sha256 != old
    assert not [c for c in Candidate.objects.all() if "better" in c.html + str(c.messages)]
    assert current(project) == [TOMBSTONE]


def test_erasing_one_of_two_who_wrote_the_same_leaves_the_other_s_text() -> None:
    project = asking()
    one, other = make_member(project), make_member(project)
    wrote(project, one, text="42")
    theirs = wrote(project, other, text="42")
    erase_user(actor=make_admin(), user=one)
    candidate = Judgement.objects.get(pk=theirs.pk).written_candidate
    assert candidate is not None
    assert candidate.written_by_id == theirs.annotator_id
    assert candidate.messages[0]["content"][0]["text"] == "42"
    erase_user(actor=make_admin(), user=other)
    candidate.refresh_from_db()
    assert TOMBSTONE in candidate.html


def test_erasing_keeps_a_text_that_a_model_wrote_too() -> None:
    project = asking()
    person = make_member(project)
    judgement = wrote(project, person, text="42")
    asked = Prompt.objects.get(pk=judgement.comparison.prompt_id).messages[0]["content"][0]["text"]
    take(project, [{"prompt": asked, "responses": [{"text": "42", "model": "m"}]}])
    erase_user(actor=make_admin(), user=person)
    candidate = Judgement.objects.get(pk=judgement.pk).written_candidate
    assert candidate is not None
    assert candidate.messages[0]["content"][0]["text"] == "42"
    assert candidate.written_by is None
