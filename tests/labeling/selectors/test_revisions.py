"""What was said is found again: the last first, in positions, whole, and nobody else's."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Judgement, Project, User
from labeling.selectors import revisions
from labeling.selectors.progress import own_judgements
from labeling.selectors.revisions import own_judgement, own_judgement_of
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, revise_judgement, submit_judgement
from labeling.services.submissions import OWN
from tests.factories import make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db


def judge(project: Project, person: User, **said: Any) -> Judgement:
    """Have somebody judge what they are given."""
    card = claim_next(actor=person, project=project)
    assert card is not None
    return submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=Submission(touched=True, **said),
        idempotency_key=str(card.assignment_uid),
    )


def revise(judgement: Judgement, **said: Any) -> Judgement:
    assert judgement.annotator.user is not None
    return revise_judgement(
        actor=judgement.annotator.user,
        judgement_uid=judgement.uid,
        submission=Submission(touched=True, **said),
        idempotency_key=f"revision of {judgement.pk}",
    )


def judged(count: int, k: int = 3, **settings: Any) -> tuple[Project, User, list[Judgement]]:
    """Return a project, somebody, and that many judgements of theirs, oldest first."""
    project = make_project(**settings)
    for _ in range(count + 1):
        make_comparison(project, k=k)
    person = make_member(project)
    return project, person, [judge(project, person, tiers=[[*range(k)]]) for _ in range(count)]


def test_own_judgement_counts_back_from_the_newest() -> None:
    project, person, made = judged(3)
    found = [own_judgement(person, project, back=back) for back in (1, 2, 3)]
    assert [f.judgement_uid for f in found if f] == [j.uid for j in reversed(made)]
    assert [f.has_older for f in found if f] == [True, True, False]
    assert found[0] is not None
    assert found[0].made_at == made[-1].created_at
    for back in (0, -1, 4):
        assert own_judgement(person, project, back=back) is None


def test_the_list_of_ones_own_is_in_the_order_in_which_one_goes_back() -> None:
    project, person, made = judged(2)
    revised = revise(made[0], tiers=[[0], [1], [2]])
    assert own_judgements(person, project) == [revised, made[1]]
    assert own_judgements(person, project, limit=1) == [revised]
    back = [own_judgement(person, project, back=number) for number in (1, 2)]
    assert [found.judgement_uid for found in back if found] == [revised.uid, made[1].uid]


def test_own_judgement_goes_back_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "MOST", 2)
    project, person, _ = judged(3)
    last = own_judgement(person, project, back=2)
    assert last is not None
    assert not last.has_older
    assert own_judgement(person, project, back=3) is None


def test_own_judgement_is_of_the_account_and_the_project() -> None:
    project, person, made = judged(1)
    assert own_judgement(make_member(project), project, back=1) is None
    assert own_judgement(person, make_project(), back=1) is None
    assert own_judgement_of(make_member(project), project, made[0].uid) is None
    assert own_judgement_of(person, make_project(), made[0].uid) is None


def test_own_judgement_gives_the_revision_in_place_of_the_old() -> None:
    project, person, (first, second) = judged(2)
    new = revise(first, tiers=[[2], [1], [0]])
    found = [own_judgement(person, project, back=back) for back in (1, 2)]
    assert [f.judgement_uid for f in found if f] == [new.uid, second.uid]
    assert own_judgement_of(person, project, first.uid) is None


def test_card_shows_the_replies_as_they_were_shown() -> None:
    project, person, (judgement,) = judged(1, k=4)
    found = own_judgement(person, project, back=1)
    assert found is not None
    slots = {s.slot: s.candidate for s in judgement.comparison.slots.all()}
    shown = [slots[slot].messages[0]["content"][0]["text"] for slot in judgement.shown_order]
    assert [candidate.text for candidate in found.card.candidates] == shown


def test_said_is_told_in_positions_and_whole() -> None:
    project = make_project(asks_demonstrations=True)
    make_comparison(project, k=3)
    person = make_member(project)
    rating = {"quality": 6, "flags": ["hallucination"]}
    judge(
        project,
        person,
        tiers=[[2], [OWN], [0, 1]],
        ratings={"1": rating},
        confidence=2,
        comment="Close.",
        own_text="Mine.",
    )
    found = own_judgement(person, project, back=1)
    assert found is not None
    said = found.said
    assert (said.verdict, said.ranks, said.own_rank) == ("ranked", {0: 3, 1: 3, 2: 1}, 2)
    assert (said.own_text, said.confidence, said.comment) == ("Mine.", 2, "Close.")
    assert said.ratings == {1: rating}


def test_said_of_what_has_no_order() -> None:
    project = make_project(strength_scale=3)
    for _ in range(2):
        make_comparison(project, k=2)
    person = make_member(project)
    judge(project, person, verdict="unrankable", unrankable_reason="Other")
    found = own_judgement(person, project, back=1)
    assert found is not None
    assert (found.said.ranks, found.said.own_rank) == ({}, None)
    assert found.said.unrankable_reason == "Other"
    judge(project, person, tiers=[[1], [0]], strength=2)
    found = own_judgement(person, project, back=1)
    assert found is not None
    assert found.said.strength == 2


def test_revision_of_a_closed_comparison_is_counted_once() -> None:
    _, _, (judgement, _) = judged(2)
    comparison = judgement.comparison
    comparison.refresh_from_db()
    assert (comparison.state, comparison.judgement_count) == ("closed", 1)
    new = revise(judgement, tiers=[[2], [1], [0]])
    comparison.refresh_from_db()
    assert (comparison.state, comparison.judgement_count, comparison.open_slots) == ("closed", 1, 0)
    current = Judgement.objects.filter(comparison=comparison, superseded_by=None)
    assert list(current) == [new]


def test_going_back_takes_three_statements_however_far() -> None:
    project, person, _ = judged(6)
    for back in (1, 6):
        with CaptureQueriesContext(connection) as queries:
            own_judgement(person, project, back=back)
        assert len(queries) == 3
