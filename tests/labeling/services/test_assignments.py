"""The queue: who gets what, in which order, and what happens to a lease that runs out."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from labeling.exceptions import AssignmentEnded, InvalidInput, NotAllowed, NotFound
from labeling.models import Assignment, Comparison, Role
from labeling.services.assignments import (
    claim_ahead,
    claim_next,
    expire_leases,
    renew_lease,
    skip_assignment,
)
from labeling.services.comparisons import withdraw_comparison
from labeling.services.judgements import Submission, submit_and_claim, submit_judgement
from labeling.services.projects import update_project
from tests.factories import make_comparison, make_member, make_project, make_user, owner_of

pytestmark = pytest.mark.django_db

ORDER = Submission(tiers=[[0], [1], [2], [3]], touched=True)


def run_out(assignment_uid: UUID) -> None:
    """Let an assignment's lease end in the past."""
    past = timezone.now() - timedelta(seconds=1)
    Assignment.objects.filter(uid=assignment_uid).update(expires_at=past)


def test_claim_next_returns_the_same_card_to_a_second_tab() -> None:
    project = make_project()
    make_comparison(project)
    make_comparison(project)
    person = make_member(project)
    first = claim_next(actor=person, project=project)
    second = claim_next(actor=person, project=project)
    assert first is not None
    assert second is not None
    assert first.assignment_uid == second.assignment_uid
    assert [c.html for c in first.candidates] == [c.html for c in second.candidates]


def test_claim_next_serves_priority_first_then_what_fewest_have_judged() -> None:
    project = make_project()
    nearly_done = make_comparison(project, overlap=1)
    fresh = make_comparison(project, overlap=2)
    urgent = make_comparison(project, overlap=1)
    Comparison.objects.filter(pk=urgent.pk).update(priority=5)
    served = []
    for _ in range(3):
        card = claim_next(actor=make_member(project), project=project)
        assert card is not None
        served.append(Assignment.objects.get(uid=card.assignment_uid).comparison_id)
    assert served[:2] == [urgent.pk, fresh.pk]
    assert served[2] in {nearly_done.pk, fresh.pk}


def test_claim_next_gives_nobody_the_same_comparison_twice() -> None:
    project = make_project()
    make_comparison(project, overlap=3)
    person = make_member(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    submit_judgement(
        actor=person, assignment_uid=card.assignment_uid, submission=ORDER, idempotency_key="k"
    )
    assert claim_next(actor=person, project=project) is None


def test_claim_next_shows_the_recorded_order() -> None:
    """The card's candidates stand in the order that the assignment records."""
    project = make_project()
    comparison = make_comparison(project, k=9)
    orders = set()
    for _ in range(5):
        Comparison.objects.filter(pk=comparison.pk).update(open_slots=1)
        card = claim_next(actor=make_member(project), project=project)
        assert card is not None
        order = Assignment.objects.get(uid=card.assignment_uid).shown_order
        slots = {s.slot: s.candidate.html for s in comparison.slots.select_related("candidate")}
        assert [c.html for c in card.candidates] == [slots[slot] for slot in order]
        orders.add(tuple(order))
    # 9! orders: five draws that all agree would be a fault, not luck.
    assert len(orders) > 1


def test_claim_next_asks_the_role() -> None:
    project = make_project()
    make_comparison(project)
    with pytest.raises(NotFound):
        claim_next(actor=make_user(), project=project)
    with pytest.raises(NotAllowed):
        claim_next(actor=make_member(project, Role.VIEWER), project=project)
    update_project(actor=owner_of(project), project=project, name="Renamed")
    project.is_archived = True
    with pytest.raises(NotAllowed):
        claim_next(actor=make_member(project), project=project)


def test_expire_leases_returns_the_slot_and_the_same_person_may_get_it_again() -> None:
    project = make_project()
    comparison = make_comparison(project)
    person = make_member(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    comparison.refresh_from_db()
    assert comparison.open_slots == 0
    run_out(card.assignment_uid)
    assert expire_leases() == 1
    comparison.refresh_from_db()
    assert comparison.open_slots == 1
    again = claim_next(actor=person, project=project)
    assert again is not None
    assert again.assignment_uid != card.assignment_uid


def test_claim_next_expires_due_leases_when_nothing_else_is_left() -> None:
    project = make_project()
    make_comparison(project)
    gone = claim_next(actor=make_member(project), project=project)
    assert gone is not None
    run_out(gone.assignment_uid)
    assert claim_next(actor=make_member(project), project=project) is not None


def test_skip_assignment_returns_it_to_others_only() -> None:
    project = make_project()
    make_comparison(project)
    person, other = make_member(project), make_member(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    skip_assignment(actor=person, assignment_uid=card.assignment_uid, reason="not my field")
    assert claim_next(actor=person, project=project) is None
    assert claim_next(actor=other, project=project) is not None
    with pytest.raises(AssignmentEnded):
        skip_assignment(actor=person, assignment_uid=card.assignment_uid, reason="again")


def test_skip_assignment_needs_a_reason_and_an_own_assignment() -> None:
    project = make_project()
    make_comparison(project)
    person, other = make_member(project), make_member(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    with pytest.raises(InvalidInput):
        skip_assignment(actor=person, assignment_uid=card.assignment_uid, reason="  ")
    with pytest.raises(NotFound):
        skip_assignment(actor=other, assignment_uid=card.assignment_uid, reason="mine now")


def test_renew_lease_moves_the_end_and_says_when_the_lease_is_lost() -> None:
    project = make_project(lease_minutes=10)
    make_comparison(project)
    person = make_member(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    assert renew_lease(actor=person, assignment_uid=card.assignment_uid) >= card.expires_at
    run_out(card.assignment_uid)
    expire_leases()
    with pytest.raises(AssignmentEnded):
        renew_lease(actor=person, assignment_uid=card.assignment_uid)


def test_withdraw_comparison_ends_leases_and_leaves_nothing_to_claim() -> None:
    project = make_project()
    comparison = make_comparison(project, overlap=3)
    person = make_member(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    withdraw_comparison(actor=owner_of(project), comparison=comparison)
    assert claim_next(actor=make_member(project), project=project) is None
    judgement = submit_judgement(
        actor=person, assignment_uid=card.assignment_uid, submission=ORDER, idempotency_key="k"
    )
    assert judgement.surplus


def test_claim_ahead_leases_the_card_behind_the_one_on_the_screen_and_no_third() -> None:
    project = make_project()
    for _ in range(4):
        make_comparison(project, overlap=2)
    person = make_member(project)
    shown = claim_next(actor=person, project=project)
    assert shown is not None
    ahead = claim_ahead(actor=person, project=project, behind=shown.assignment_uid)
    again = claim_ahead(actor=person, project=project, behind=shown.assignment_uid)
    assert ahead is not None
    assert again is not None
    assert ahead.assignment_uid == again.assignment_uid != shown.assignment_uid
    held = Assignment.objects.filter(annotator__user=person, state="leased")
    assert held.values("comparison").distinct().count() == 2
    assert sorted(held.values_list("seat", flat=True)) == [0, 1]
    first = claim_next(actor=person, project=project)
    assert first is not None
    assert first.assignment_uid == shown.assignment_uid


def test_claim_ahead_leases_nothing_more_to_a_page_that_is_behind_the_times() -> None:
    project = make_project()
    for _ in range(4):
        make_comparison(project)
    person = make_member(project)
    old = claim_next(actor=person, project=project)
    assert old is not None
    claim_ahead(actor=person, project=project, behind=old.assignment_uid)
    submit_and_claim(
        actor=person,
        assignment_uid=old.assignment_uid,
        submission=ORDER,
        idempotency_key="a",
    )
    assert Assignment.objects.filter(annotator__user=person, state="leased").count() == 2
    assert claim_ahead(actor=person, project=project, behind=old.assignment_uid) is None


def test_a_submit_brings_the_card_after_the_one_ahead_and_a_retry_brings_it_again() -> None:
    project = make_project()
    for _ in range(5):
        make_comparison(project)
    person = make_member(project)
    shown = claim_next(actor=person, project=project)
    assert shown is not None
    ahead = claim_ahead(actor=person, project=project, behind=shown.assignment_uid)
    assert ahead is not None

    def submit() -> UUID:
        _, card = submit_and_claim(
            actor=person,
            assignment_uid=shown.assignment_uid,
            submission=ORDER,
            idempotency_key="a",
            behind=ahead.assignment_uid,
        )
        assert card is not None
        return card.assignment_uid

    third = submit()
    assert third not in {shown.assignment_uid, ahead.assignment_uid}
    assert submit() == third
    assert Assignment.objects.filter(annotator__user=person, state="leased").count() == 2


def test_renew_lease_puts_off_the_one_ahead_too() -> None:
    project = make_project()
    make_comparison(project)
    make_comparison(project)
    person = make_member(project)
    shown = claim_next(actor=person, project=project)
    assert shown is not None
    ahead = claim_ahead(actor=person, project=project, behind=shown.assignment_uid)
    assert ahead is not None
    run_out(ahead.assignment_uid)
    end = renew_lease(actor=person, assignment_uid=shown.assignment_uid)
    assert Assignment.objects.get(uid=ahead.assignment_uid).expires_at == end


def test_a_judgement_under_an_expired_lease_takes_over_the_newer_lease_on_the_same_card() -> None:
    project = make_project()
    comparison = make_comparison(project)
    person = make_member(project)
    first = claim_next(actor=person, project=project)
    assert first is not None
    run_out(first.assignment_uid)
    assert expire_leases() == 1
    second = claim_next(actor=person, project=project)
    assert second is not None
    assert second.assignment_uid != first.assignment_uid
    judgement = submit_judgement(
        actor=person,
        assignment_uid=first.assignment_uid,
        submission=ORDER,
        idempotency_key="late",
    )
    comparison.refresh_from_db()
    assert not judgement.surplus
    assert (comparison.judgement_count, comparison.open_slots) == (1, 0)
    with pytest.raises(AssignmentEnded):
        submit_judgement(
            actor=person,
            assignment_uid=second.assignment_uid,
            submission=ORDER,
            idempotency_key="again",
        )
