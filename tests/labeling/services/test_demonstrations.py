"""Written replies: stored once, counted, corrected, withdrawn, learned from."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from labeling.exceptions import (
    AssignmentEnded,
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    NotAllowed,
    NotFound,
)
from labeling.models import AuditEvent, Demonstration, Project, Role, User, WritingAssignment
from labeling.selectors.snapshots import demonstration_rows
from labeling.selectors.writing import WritingCard
from labeling.services.accounts import TOMBSTONE, erase_user
from labeling.services.demonstrations import (
    Writing,
    revise_demonstration,
    submit_and_claim_writing,
    submit_demonstration,
    withdraw_demonstration,
)
from labeling.services.prompts import ensure_demonstrations
from labeling.services.snapshots import freeze_snapshot
from labeling.services.writing import claim_writing, expire_writing_leases, skip_writing
from tests.factories import make_admin, make_member, make_project, make_prompts, owner_of
from tests.labeling.services.test_writing import claimed, run_out, writer_counts

pytestmark = pytest.mark.django_db


def _project(prompts: int = 2, each: int = 1) -> Project:
    project = make_project(demonstrations_per_prompt=each)
    make_prompts(project, prompts, candidates=0)
    return project


def _write(actor: User, card: WritingCard, text: str = "A reply.", **more: Any) -> Demonstration:
    writing = Writing(**{"text": text, "idempotency_key": str(card.assignment_uid), **more})
    return submit_demonstration(actor=actor, assignment_uid=card.assignment_uid, writing=writing)


def test_submit_keeps_the_reply_with_who_when_and_by_which_guidelines() -> None:
    project = _project()
    person = make_member(project)
    card = claimed(person, project)
    written = _write(person, card, "\r\nOne\r\ntwo  \r\n", active_ms=4200)
    written.refresh_from_db()
    assert written.messages == [
        {"role": "assistant", "content": [{"type": "text", "text": "One\ntwo"}]}
    ]
    assert written.annotator.user == person
    assert (written.active_ms, written.guideline.version, written.origin) == (4200, 1, "browser")
    assert not written.surplus
    assert written.assignment.state == "written"
    event = AuditEvent.objects.get(verb="demonstration.write")
    assert (event.actor, event.object_id) == (person, str(written.pk))


def test_submit_twice_under_one_key_stores_one() -> None:
    project = _project()
    person = make_member(project)
    card = claimed(person, project)
    first, again = _write(person, card), _write(person, card, active_ms=9)
    assert first.pk == again.pk
    with pytest.raises(IdempotencyConflict):
        _write(person, card, "Another reply.")
    with pytest.raises(AssignmentEnded):
        _write(person, card, idempotency_key="another key")
    assert Demonstration.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"text": " \n\t"}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"text": "a" * 200_001}, "text"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "k" * 81}, "idempotency_key"),
        ({"active_ms": -1}, "active_ms"),
        ({"active_ms": 2**31}, "active_ms"),
    ],
)
def test_submit_refuses_what_is_no_reply_and_names_the_field(
    said: dict[str, Any], field: str
) -> None:
    project = _project()
    person = make_member(project)
    card = claimed(person, project)
    with pytest.raises(InvalidInput) as caught:
        _write(person, card, **said)
    assert list(caught.value.errors) == [field]
    assert not Demonstration.objects.exists()
    assert WritingAssignment.objects.get().state == "leased"


def test_submit_answers_with_the_next_prompt_until_nothing_is_left() -> None:
    project = _project(prompts=2)
    person = make_member(project)
    card: WritingCard | None = claimed(person, project)
    done = []
    while card is not None:
        done.append(card.done_today)
        writing = Writing(text="A reply.", idempotency_key=str(card.assignment_uid))
        _, card = submit_and_claim_writing(
            actor=person, assignment_uid=card.assignment_uid, writing=writing
        )
    assert done == [0, 1]
    assert writer_counts(project) == [1, 1]


def test_submit_is_for_the_holder_alone() -> None:
    project = _project()
    card = claimed(make_member(project), project)
    with pytest.raises(NotFound):
        _write(make_member(project), card)


def test_reply_after_the_lease_counts_where_one_is_still_wanted() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    run_out(card.assignment_uid)
    assert expire_writing_leases() == 1
    assert writer_counts(project) == [0]
    assert not _write(person, card).surplus
    assert writer_counts(project) == [1]
    assert claim_writing(actor=make_member(project), project=project) is None


def test_reply_after_the_lease_is_kept_as_surplus_where_enough_were_written() -> None:
    project = _project(prompts=1)
    late, other = make_member(project), make_member(project)
    card = claimed(late, project)
    run_out(card.assignment_uid)
    _write(other, claimed(other, project))
    assert _write(late, card, "Too late.").surplus
    assert writer_counts(project) == [1]
    assert Demonstration.objects.count() == 2


def test_reply_under_a_lost_lease_ends_the_lease_under_which_the_prompt_came_again() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    first = claimed(person, project)
    run_out(first.assignment_uid)
    expire_writing_leases()
    second = claimed(person, project)
    assert second.assignment_uid != first.assignment_uid
    assert not _write(person, first).surplus
    assert WritingAssignment.objects.get(uid=second.assignment_uid).state == "written"
    assert writer_counts(project) == [1]
    with pytest.raises(AssignmentEnded):
        skip_writing(actor=person, assignment_uid=second.assignment_uid, reason="no")


def test_revision_supersedes_and_keeps_what_was() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    old = _write(person, card, "Frist.")
    writing = Writing(text="First.", idempotency_key="correction")
    uid = card.assignment_uid
    new = revise_demonstration(actor=person, assignment_uid=uid, writing=writing)
    again = revise_demonstration(actor=person, assignment_uid=uid, writing=writing)
    assert (again.pk, new.supersedes) == (new.pk, old)
    assert Demonstration.objects.count() == 2
    assert writer_counts(project) == [1]
    snapshot = freeze_snapshot(actor=owner_of(project), project=project, kind="demonstrations")
    assert [row["completion"][0]["content"] for row in demonstration_rows(snapshot)] == ["First."]
    assert snapshot.drops == {"superseded by a correction": 1, "withdrawn": 0}


def test_revision_needs_a_reply_of_ones_own() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    writing = Writing(text="First.", idempotency_key="correction")
    with pytest.raises(Conflict):
        revise_demonstration(actor=person, assignment_uid=card.assignment_uid, writing=writing)
    with pytest.raises(NotFound):
        revise_demonstration(
            actor=make_member(project), assignment_uid=card.assignment_uid, writing=writing
        )


def test_withdrawal_takes_a_reply_out_and_asks_somebody_else() -> None:
    project = _project(prompts=1)
    person, other = make_member(project), make_member(project)
    written = _write(person, claimed(person, project))
    owner = owner_of(project)
    for _ in range(2):  # the second time changes nothing
        withdraw_demonstration(actor=owner, project=project, demonstration_id=written.pk)
    assert writer_counts(project) == [0]
    assert claim_writing(actor=person, project=project) is None
    _write(other, claimed(other, project), "A better reply.")
    snapshot = freeze_snapshot(actor=owner, project=project, kind="demonstrations")
    assert [item.demonstration.annotator.user for item in snapshot.items.all()] == [other]
    assert snapshot.drops["withdrawn"] == 1
    assert AuditEvent.objects.filter(verb="demonstration.withdraw").count() == 1


def test_withdrawal_is_for_managers_of_that_project() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    written = _write(person, claimed(person, project))
    for actor in (person, make_member(project, Role.VIEWER)):
        with pytest.raises(NotAllowed):
            withdraw_demonstration(actor=actor, project=project, demonstration_id=written.pk)
    elsewhere = make_project()
    with pytest.raises(NotFound):
        withdraw_demonstration(
            actor=owner_of(elsewhere), project=elsewhere, demonstration_id=written.pk
        )


def test_withdrawal_of_what_was_corrected_is_refused() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    old = _write(person, card)
    revise_demonstration(
        actor=person,
        assignment_uid=card.assignment_uid,
        writing=Writing(text="Better.", idempotency_key="correction"),
    )
    with pytest.raises(Conflict):
        withdraw_demonstration(actor=owner_of(project), project=project, demonstration_id=old.pk)


def test_database_refuses_to_change_what_was_written() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    written = _write(person, claimed(person, project))
    with pytest.raises(IntegrityError, match="supersedes"), transaction.atomic():
        Demonstration.objects.filter(pk=written.pk).update(messages=[])
    Demonstration.objects.filter(pk=written.pk).update(state="withdrawn")


def test_snapshot_holds_written_and_imported_demonstrations_alike() -> None:
    """They give the same rows; by kind of annotator each can be asked for alone."""
    project = _project(prompts=1)
    (imported,) = make_prompts(project, 1, candidates=0, text="Asked before?")
    ensure_demonstrations(
        rows=[(imported, [{"role": "assistant", "content": [{"type": "text", "text": "Yes."}]}])]
    )
    person = make_member(project)
    _write(person, claimed(person, project), "Written here.")
    owner = owner_of(project)
    found = {}
    for kinds in ((), ("person",), ("imported",), ("imported", "person")):
        snapshot = freeze_snapshot(
            actor=owner, project=project, kind="demonstrations", annotator_kinds=kinds
        )
        rows = list(demonstration_rows(snapshot))
        found[kinds] = {row["completion"][0]["content"] for row in rows}
        assert {tuple(row) for row in rows} == {("prompt_id", "prompt", "completion", "split")}
    everything = {"Written here.", "Yes."}
    assert found == {
        (): everything,
        ("person",): {"Written here."},
        ("imported",): {"Yes."},
        ("imported", "person"): everything,
    }


def test_two_people_may_write_the_same_words() -> None:
    project = _project(prompts=1, each=2)
    for _ in range(2):
        person = make_member(project)
        _write(person, claimed(person, project), "42")
    assert Demonstration.objects.count() == 2


def test_erasing_a_person_puts_a_tombstone_in_place_of_all_they_wrote() -> None:
    project = _project(prompts=3)
    person = make_member(project)
    written = _write(person, claimed(person, project), "My own words.")
    skip_writing(
        actor=person, assignment_uid=claimed(person, project).assignment_uid, reason="my reasons"
    )
    held = claimed(person, project)
    WritingAssignment.objects.filter(uid=held.assignment_uid).update(draft="half my words")
    erase_user(actor=make_admin(), user=person)
    written.refresh_from_db()
    assert written.messages[0]["content"][0]["text"] == TOMBSTONE
    kept = set(WritingAssignment.objects.values_list("draft", "skip_reason"))
    assert kept == {("", ""), ("", TOMBSTONE)}
