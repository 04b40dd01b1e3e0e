"""Submitting: once, whole, in slots, counted; late ones kept; corrections beside the old."""

from typing import Any

import pytest
from django.db import InternalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from labeling.exceptions import (
    AssignmentEnded,
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    InvalidRanking,
    NotFound,
    UntouchedOrder,
)
from labeling.models import Assignment, AuditEvent, Comparison, Judgement, PreferencePair
from labeling.selectors.queue import Card
from labeling.services.assignments import claim_next, expire_leases
from labeling.services.judgements import (
    Submission,
    revise_judgement,
    submit_and_claim,
    submit_judgement,
)
from tests.factories import make_comparison, make_member, make_project
from tests.labeling.services.test_assignments import run_out

pytestmark = pytest.mark.django_db


def ranked(*tiers: list[int], **more: Any) -> Submission:
    return Submission(tiers=list(tiers), touched=True, **more)


def claimed(project: Any, person: Any) -> Card:
    card = claim_next(actor=person, project=project)
    assert card is not None
    return card


def test_submit_judgement_writes_slots_pairs_and_closes_the_comparison() -> None:
    """Positions become slots through the shown order; 4 replies with one tie give 6 pairs."""
    project = make_project()
    comparison = make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    judgement = submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=ranked([3], [0, 1], [2], active_ms=4200),
        idempotency_key="k",
    )
    order = judgement.shown_order
    assert judgement.tiers == [[order[3]], sorted([order[0], order[1]]), [order[2]]]
    pairs = PreferencePair.objects.filter(judgement=judgement)
    assert sorted((p.rank_gap, p.is_tie) for p in pairs) == [
        (0, True),
        (1, False),
        (1, False),
        (1, False),
        (1, False),
        (2, False),
    ]
    best = comparison.slots.get(slot=order[3]).candidate_id
    assert pairs.get(rank_gap=2).chosen_id == best
    comparison.refresh_from_db()
    assert (comparison.state, comparison.judgement_count, comparison.open_slots) == ("closed", 1, 0)
    assert judgement.guideline is not None
    assert judgement.guideline.version == 1
    assert AuditEvent.objects.filter(verb="judgement.submit", actor=person).count() == 1


def test_submit_judgement_retried_with_the_same_key_stores_one() -> None:
    project = make_project()
    make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    said = {
        "actor": person,
        "assignment_uid": card.assignment_uid,
        "submission": ranked([0], [1], [2], [3]),
        "idempotency_key": "k",
    }
    assert submit_judgement(**said).pk == submit_judgement(**said).pk
    assert Judgement.objects.count() == 1
    assert PreferencePair.objects.count() == 6


def test_submit_judgement_with_a_used_key_and_another_body_is_a_conflict() -> None:
    project = make_project()
    make_comparison(project)
    make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    order = ranked([0], [1], [2], [3])
    submit_judgement(
        actor=person, assignment_uid=card.assignment_uid, submission=order, idempotency_key="k"
    )
    with pytest.raises(IdempotencyConflict):
        submit_judgement(
            actor=person,
            assignment_uid=card.assignment_uid,
            submission=ranked([3], [1], [2], [0]),
            idempotency_key="k",
        )
    other = claimed(project, person)
    with pytest.raises(IdempotencyConflict):
        submit_judgement(
            actor=person, assignment_uid=other.assignment_uid, submission=order, idempotency_key="k"
        )
    with pytest.raises(AssignmentEnded):
        submit_judgement(
            actor=person, assignment_uid=card.assignment_uid, submission=order, idempotency_key="n"
        )
    assert Judgement.objects.count() == 1


@pytest.mark.parametrize(
    ("submission", "error", "field"),
    [
        (Submission(tiers=[[0], [1], [2], [3]]), UntouchedOrder, "tiers"),
        (ranked([0], [1], [2]), InvalidRanking, "tiers"),
        (ranked([0], [0], [1], [2], [3]), InvalidRanking, "tiers"),
        (ranked([0], [1], [2], [4]), InvalidRanking, "tiers"),
        (ranked([0], [], [1, 2, 3]), InvalidRanking, "tiers"),
        (Submission(verdict="best"), InvalidInput, "verdict"),
        (Submission(verdict="unrankable"), InvalidInput, "unrankable_reason"),
        (ranked([0, 1, 2, 3], strength=10), InvalidInput, "strength"),
        (ranked([0, 1, 2, 3], comment="x" * 20_001), InvalidInput, "comment"),
        (ranked([0, 1, 2, 3], active_ms=-1), InvalidInput, "active_ms"),
        (ranked([0, 1, 2, 3], events=[[0]] * 2001), InvalidInput, "events"),
        (ranked([0, 1, 2, 3], ratings={"7": {"quality": 3}}), InvalidInput, "ratings"),
        (ranked([0, 1, 2, 3], ratings={"0": {"beauty": 3}}), InvalidInput, "ratings"),
    ],
)
def test_submit_judgement_refuses_and_names_the_field(
    submission: Submission, error: type[InvalidInput], field: str
) -> None:
    project = make_project()
    make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    with pytest.raises(error) as caught:
        submit_judgement(
            actor=person,
            assignment_uid=card.assignment_uid,
            submission=submission,
            idempotency_key="k",
        )
    assert list(caught.value.errors) == [field]
    assert not Judgement.objects.exists()
    assert Assignment.objects.get(uid=card.assignment_uid).state == "leased"


@pytest.mark.parametrize("key", ["", "x" * 81])
def test_submit_judgement_needs_a_key(key: str) -> None:
    project = make_project()
    make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    with pytest.raises(InvalidInput):
        submit_judgement(
            actor=person,
            assignment_uid=card.assignment_uid,
            submission=ranked([0, 1, 2, 3]),
            idempotency_key=key,
        )


def test_submit_judgement_keeps_all_bad_apart_from_a_tie() -> None:
    project = make_project()
    make_comparison(project, overlap=2)
    verdicts = []
    for submission in (Submission(verdict="both_bad"), ranked([0, 1, 2, 3])):
        person = make_member(project)
        card = claimed(project, person)
        judgement = submit_judgement(
            actor=person,
            assignment_uid=card.assignment_uid,
            submission=submission,
            idempotency_key="k",
        )
        verdicts.append((judgement.verdict, judgement.pairs.count()))
    assert verdicts == [("both_bad", 0), ("tie", 6)]


def test_submit_judgement_after_expiry_counts_where_it_is_still_needed() -> None:
    project = make_project()
    comparison = make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    run_out(card.assignment_uid)
    expire_leases()
    judgement = submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=ranked([0, 1, 2, 3]),
        idempotency_key="k",
    )
    comparison.refresh_from_db()
    assert not judgement.surplus
    assert (comparison.state, comparison.judgement_count, comparison.open_slots) == ("closed", 1, 0)


def test_submit_judgement_after_expiry_is_kept_as_surplus_where_it_is_not_needed() -> None:
    project = make_project()
    comparison = make_comparison(project)
    late, other = make_member(project), make_member(project)
    card = claimed(project, late)
    run_out(card.assignment_uid)
    expire_leases()
    taken = claimed(project, other)
    for person, uid in ((other, taken.assignment_uid), (late, card.assignment_uid)):
        submit_judgement(
            actor=person,
            assignment_uid=uid,
            submission=ranked([0, 1, 2, 3]),
            idempotency_key="k",
        )
    comparison.refresh_from_db()
    assert comparison.judgement_count == 1
    assert list(Judgement.objects.order_by("id").values_list("surplus", flat=True)) == [False, True]


def test_submit_judgement_of_anybody_else_is_not_found() -> None:
    project = make_project()
    make_comparison(project)
    card = claimed(project, make_member(project))
    with pytest.raises(NotFound):
        submit_judgement(
            actor=make_member(project),
            assignment_uid=card.assignment_uid,
            submission=ranked([0, 1, 2, 3]),
            idempotency_key="k",
        )


def test_submit_and_claim_takes_at_most_ten_statements() -> None:
    """With session and account a step is then at most 12; transaction control isn't counted."""
    project = make_project()
    for _ in range(3):
        make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        _, following = submit_and_claim(
            actor=person,
            project=project,
            assignment_uid=card.assignment_uid,
            submission=ranked([0], [1], [2], [3]),
            idempotency_key="k",
        )
    assert following is not None
    assert following.done_today == 1
    counted = [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]
    assert len(counted) <= 10, "\n".join(counted)


def test_revise_judgement_supersedes_and_keeps_the_old_one() -> None:
    project = make_project()
    comparison = make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    old = submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=ranked([0], [1], [2], [3]),
        idempotency_key="k",
    )
    new = revise_judgement(
        actor=person,
        judgement_uid=old.uid,
        submission=ranked([3], [2], [1], [0]),
        idempotency_key="k2",
    )
    assert new.supersedes == old
    assert new.tiers == [list(t) for t in reversed(old.tiers)]
    assert Judgement.objects.get(pk=old.pk).tiers == old.tiers
    comparison.refresh_from_db()
    assert comparison.judgement_count == 1
    with pytest.raises(Conflict):
        revise_judgement(
            actor=person,
            judgement_uid=old.uid,
            submission=ranked([0, 1, 2, 3]),
            idempotency_key="k3",
        )
    with pytest.raises(NotFound):
        revise_judgement(
            actor=make_member(project),
            judgement_uid=new.uid,
            submission=ranked([0, 1, 2, 3]),
            idempotency_key="k4",
        )


@pytest.mark.parametrize("model", [Judgement, PreferencePair])
def test_judgements_and_pairs_are_append_only_in_the_database(model: Any) -> None:
    project = make_project()
    make_comparison(project)
    person = make_member(project)
    card = claimed(project, person)
    submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=ranked([0], [1], [2], [3]),
        idempotency_key="k",
    )
    change = {"comment": "other"} if model is Judgement else {"rank_gap": 9}
    from django.db.utils import IntegrityError

    with pytest.raises((InternalError, IntegrityError)), transaction.atomic():
        model.objects.update(**change)
    with pytest.raises((InternalError, IntegrityError)), transaction.atomic():
        model.objects.all()._raw_delete("default")


def test_closed_comparisons_can_hold_no_open_slot() -> None:
    from django.db.utils import IntegrityError

    comparison = make_comparison(make_project())
    with pytest.raises(IntegrityError), transaction.atomic():
        Comparison.objects.filter(pk=comparison.pk).update(state="closed")
