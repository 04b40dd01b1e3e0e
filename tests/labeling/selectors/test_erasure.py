"""What erasing a person touches, counted, and what others made from it."""

from collections.abc import Iterator

import pytest

from labeling.models import Comparison, OfferedPrompt, Snapshot
from labeling.selectors.erasure import work_of
from labeling.services.accounts import erase_user
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.snapshots import freeze_snapshot
from labeling.signals import Holding, holders_of_snapshots, snapshot_frozen
from tests.factories import make_admin, make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db


def judge(project, person, comment: str = "") -> None:
    make_comparison(project)
    card = claim_next(actor=person, project=project)
    submission = Submission(tiers=[[0], [1], [2, 3]], touched=True, comment=comment)
    submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=submission,
        idempotency_key=str(card.assignment_uid),
    )


@pytest.fixture
def asked() -> Iterator[list[list[int]]]:
    """Answer for whoever holds snapshots, and note which were asked about."""
    noted: list[list[int]] = []

    def answer(sender, *, snapshots, **said):
        noted.append(snapshots)
        return [
            Holding("far v2", "/far/", "P", is_direct=False),
            Holding("near v1", "/near/", "P", is_direct=True),
        ]

    holders_of_snapshots.connect(answer)
    yield noted
    holders_of_snapshots.disconnect(answer)


def test_work_is_counted_with_the_snapshots_that_hold_it(asked):
    project, other = make_project(), make_project()
    person = make_member(project, "annotator")
    judge(project, person)
    judge(project, person, comment="The second one lies.")
    first = freeze_snapshot(actor=None, project=project)
    judge(project, person)
    second = freeze_snapshot(actor=None, project=project)
    judge(other, make_member(other, "annotator"))
    freeze_snapshot(actor=None, project=other)
    work = work_of(person)
    assert (work.judgements, work.demonstrations, work.texts) == (3, 0, 1)
    assert [(held.snapshot, held.labels) for held in work.snapshots] == [(second, 3), (first, 2)]
    assert asked == [[second.pk, first.pk]]
    assert [held.name for held in work.direct] == ["near v1"]
    assert [held.name for held in work.inherited] == ["far v2"]


def test_a_prompt_that_a_person_offered_is_in_what_others_said_of_it():
    project = make_project()
    giver, other = make_member(project, "annotator"), make_member(project, "annotator")
    judge(project, other)
    judge(project, other)
    OfferedPrompt.objects.create(
        project=project,
        author=giver,
        author_key="a",
        consent="What I ask may be kept.",
        messages=[{"role": "user", "content": "Why?"}],
        content_hash="a",
        head_hash="a",
        state=OfferedPrompt.State.TAKEN,
        prompt=Comparison.objects.earliest("pk").prompt,
    )
    snapshot = freeze_snapshot(actor=None, project=project)
    work = work_of(giver)
    assert (work.judgements, work.texts) == (0, 1)
    assert [(held.snapshot, held.labels) for held in work.snapshots] == [(snapshot, 1)]
    assert erase_user(actor=make_admin(), user=giver) == [snapshot.pk]


def test_who_did_nothing_leaves_nothing():
    work = work_of(make_member(make_project(), "viewer"))
    assert (work.judgements, work.texts, work.snapshots, work.holders) == (0, 0, [], [])


def test_cost_does_not_grow_with_the_work(django_assert_num_queries):
    project = make_project()
    person = make_member(project, "annotator")
    for more in (1, 4):
        for _ in range(more):
            judge(project, person)
        freeze_snapshot(actor=None, project=project)
        with django_assert_num_queries(14):
            work_of(person)


def test_a_freeze_is_told_within_its_transaction():
    project = make_project()
    judge(project, make_member(project, "annotator"))
    told: list[Snapshot] = []

    def note(sender, *, snapshot, **said):
        told.append(snapshot)

    snapshot_frozen.connect(note)
    try:
        snapshot = freeze_snapshot(actor=None, project=project)
    finally:
        snapshot_frozen.disconnect(note)
    assert told == [snapshot]
    assert told[0].sha256
