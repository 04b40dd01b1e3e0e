"""Gold items: how they are made and withdrawn, how often they are met, what they leave alone."""

import random
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.exceptions import Conflict, InvalidInput, InvalidRanking, NotFound
from labeling.models import Assignment, AuditEvent, Comparison, GoldItem, Judgement, Project, User
from labeling.models.prompts import State
from labeling.services import claims
from labeling.services.assignments import claim_next, skip_assignment
from labeling.services.comparisons import withdraw_comparison
from labeling.services.gold import set_gold, use_as_gold, withdraw_gold
from labeling.services.judgements import (
    Submission,
    revise_judgement,
    submit_and_claim,
    submit_judgement,
)
from tests.factories import make_comparison, make_member, make_project, owner_of

pytestmark = pytest.mark.django_db

RANKED = Submission(tiers=[[0], [1]], touched=True)


class Dice:
    """Dice that always fall on one number."""

    def __init__(self, number: float) -> None:
        self._number = number

    def random(self) -> float:
        """Return the number."""
        return self._number


GOLD_WANTED, GOLD_UNWANTED = Dice(0.0), Dice(0.999)


@pytest.fixture(autouse=True)
def _no_search_is_remembered() -> None:
    cache.clear()


def gold_of(project: Project, comparison: Comparison, tiers: Any = ((0,), (1,))) -> GoldItem:
    """Make a comparison of two candidates gold."""
    return set_gold(actor=owner_of(project), comparison=comparison, tiers=tiers)


def claimed(person: User, project: Project) -> int | None:
    """Return the comparison that the person is given next."""
    card = claim_next(actor=person, project=project)
    return Assignment.objects.get(uid=card.assignment_uid).comparison_id if card else None


def judge(person: User, project: Project) -> Judgement:
    """Have the person judge what they are given."""
    card = claim_next(actor=person, project=project)
    assert card is not None
    return submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=RANKED,
        idempotency_key=str(card.assignment_uid),
    )


# --- made and withdrawn ---------------------------------------------------------------------------


def test_set_gold_takes_the_comparison_out_of_the_queue() -> None:
    project = make_project()
    comparison = make_comparison(project, k=2, overlap=3)
    item = gold_of(project, comparison, [[1], [0]])
    comparison.refresh_from_db()
    assert (comparison.state, comparison.open_slots) == (Comparison.State.GOLD, 0)
    assert (item.tiers, item.project, item.state) == ([[1], [0]], project, State.ACTIVE)
    assert claimed(make_member(project), project) is None
    event = AuditEvent.objects.get(verb="gold.set")
    assert event.data == {
        "comparison": comparison.pk,
        "tiers": [[1], [0]],
        "before": None,
        "source": None,
    }


def test_set_gold_again_changes_the_answer_and_keeps_the_old_one_in_the_log() -> None:
    project = make_project()
    comparison = make_comparison(project, k=2)
    gold_of(project, comparison)
    item = gold_of(project, comparison, [[0, 1]])
    assert GoldItem.objects.get() == item
    assert AuditEvent.objects.filter(verb="gold.set").latest("id").data["before"] == [[0], [1]]


@pytest.mark.parametrize("tiers", [[[0]], [[0], [0]], [[0], [2]], [[0], [1], []], []])
def test_set_gold_refuses_what_does_not_rank_the_candidates(tiers: list[list[int]]) -> None:
    project = make_project()
    comparison = make_comparison(project, k=2)
    with pytest.raises(InvalidRanking) as caught:
        gold_of(project, comparison, tiers)
    assert set(caught.value.errors) == {"tiers"}
    assert not GoldItem.objects.exists()


def test_set_gold_refuses_a_withdrawn_comparison_and_a_long_note() -> None:
    project = make_project()
    comparison, other = make_comparison(project, k=2), make_comparison(project, k=2)
    withdraw_comparison(actor=owner_of(project), comparison=comparison)
    with pytest.raises(Conflict):
        gold_of(project, comparison)
    with pytest.raises(InvalidInput):
        set_gold(actor=owner_of(project), comparison=other, tiers=[[0], [1]], note="x" * 501)


def test_use_as_gold_takes_the_ranking_and_remembers_whose_it_was() -> None:
    project = make_project()
    comparison = make_comparison(project, k=2)
    judgement = judge(make_member(project), project)
    item = use_as_gold(
        actor=owner_of(project), comparison=comparison, judgement_uid=judgement.uid, note=" sure "
    )
    assert (item.tiers, item.source, item.note) == (judgement.tiers, judgement, "sure")


def test_use_as_gold_leaves_a_written_reply_out() -> None:
    project = make_project()
    comparison = make_comparison(project, k=2)
    judgement = judge(make_member(project), project)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL prefloop.erasing = 'on'")
        cursor.execute(
            "UPDATE labeling_judgement SET tiers = '[[2], [1], [0]]' WHERE id = %s", [judgement.pk]
        )
    item = use_as_gold(actor=owner_of(project), comparison=comparison, judgement_uid=judgement.uid)
    assert item.tiers == [[1], [0]]


def test_use_as_gold_refuses_what_ranks_nothing_or_is_no_longer_meant() -> None:
    project = make_project()
    comparison, other = make_comparison(project, k=2), make_comparison(project, k=2)
    person, owner = make_member(project), owner_of(project)
    first = judge(person, project)
    revise_judgement(
        actor=person, judgement_uid=first.uid, submission=RANKED, idempotency_key="again"
    )
    card = claim_next(actor=person, project=project)
    assert card is not None
    bad = submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=Submission(verdict="both_bad"),
        idempotency_key="bad",
    )
    with pytest.raises(InvalidInput):
        use_as_gold(actor=owner, comparison=comparison, judgement_uid=first.uid)
    with pytest.raises(InvalidInput):
        use_as_gold(actor=owner, comparison=other, judgement_uid=bad.uid)
    with pytest.raises(NotFound):
        use_as_gold(actor=owner, comparison=other, judgement_uid=first.uid)
    with pytest.raises(NotFound):
        use_as_gold(actor=owner, comparison=other, judgement_uid=uuid4())


def test_withdraw_gold_counts_what_was_judged_and_queues_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two of an overlap of three were judged as gold: one judgement is still wanted."""
    project = make_project(gold_share=0.5)
    comparison = make_comparison(project, k=2, overlap=3)
    make_comparison(project, k=2, overlap=9)
    gold_of(project, comparison)
    monkeypatch.setattr(claims, "random", GOLD_WANTED)
    people = [make_member(project) for _ in range(3)]
    for person in people[:2]:
        assert judge(person, project).comparison_id == comparison.pk
    assert claimed(people[2], project) == comparison.pk
    item = withdraw_gold(actor=owner_of(project), comparison=comparison)
    comparison.refresh_from_db()
    assert item.state == State.WITHDRAWN
    assert (comparison.state, comparison.judgement_count, comparison.open_slots) == ("open", 2, 1)
    assert not Assignment.objects.filter(state=Assignment.State.LEASED).exists()
    assert AuditEvent.objects.get(verb="gold.withdraw").data == {"comparison": comparison.pk}
    with pytest.raises(NotFound):
        withdraw_gold(actor=owner_of(project), comparison=comparison)


def test_withdraw_gold_closes_a_comparison_whose_overlap_is_met() -> None:
    project = make_project()
    comparison = make_comparison(project, k=2)
    judge(make_member(project), project)
    gold_of(project, comparison)
    withdraw_gold(actor=owner_of(project), comparison=comparison)
    comparison.refresh_from_db()
    assert (comparison.state, comparison.judgement_count, comparison.open_slots) == ("closed", 1, 0)
    gold_of(project, comparison)
    assert GoldItem.objects.get().state == State.ACTIVE


# --- met by annotators ----------------------------------------------------------------------------


def _mixed(gold: int, ordinary: int, share: float) -> tuple[Project, set[int]]:
    """Return a project with that many comparisons of both kinds, and which of them are gold."""
    project = make_project(gold_share=share)
    made = [make_comparison(project, k=2, overlap=9) for _ in range(gold + ordinary)]
    for comparison in made[:gold]:
        gold_of(project, comparison)
    return project, {comparison.pk for comparison in made[:gold]}


def test_one_in_ten_is_gold_and_nobody_meets_one_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 160 cards at a share of 0.1, 16 ± 8 (two standard deviations) are gold."""
    monkeypatch.setattr(claims, "random", random.Random(3))
    project, gold = _mixed(gold=15, ordinary=40, share=0.1)
    met = 0
    for person in [make_member(project) for _ in range(4)]:
        cards = [judge(person, project).comparison_id for _ in range(40)]
        assert len(set(cards)) == 40
        met += len(gold & set(cards))
    assert 8 <= met <= 24


def test_no_gold_is_met_without_a_share() -> None:
    project, gold = _mixed(gold=2, ordinary=3, share=0.0)
    person = make_member(project)
    assert gold.isdisjoint({judge(person, project).comparison_id for _ in range(3)})
    assert claimed(person, project) is None


def test_gold_is_met_in_another_order_by_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "random", GOLD_WANTED)
    project, gold = _mixed(gold=8, ordinary=1, share=0.5)
    orders = set()
    for person in [make_member(project) for _ in range(3)]:
        met = [judge(person, project).comparison_id for _ in range(8)]
        assert set(met) == gold
        orders.add(tuple(met))
    assert len(orders) > 1  # 8! orders: three that agree would be a fault, not luck


def test_who_has_met_all_gold_gets_the_queue_in_the_same_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "random", GOLD_WANTED)
    project, gold = _mixed(gold=1, ordinary=2, share=0.5)
    person = make_member(project)
    assert judge(person, project).comparison_id in gold
    with CaptureQueriesContext(connection) as captured:
        assert judge(person, project).comparison_id not in gold
    assert sum("picked AS" in query["sql"] for query in captured.captured_queries) == 1


def test_an_empty_queue_gives_no_gold_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "random", GOLD_WANTED)
    project, _ = _mixed(gold=2, ordinary=0, share=0.5)
    assert claimed(make_member(project), project) is None


def test_another_projects_gold_and_withdrawn_gold_are_not_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "random", GOLD_WANTED)
    _mixed(gold=2, ordinary=0, share=0.5)
    project, _ = _mixed(gold=2, ordinary=3, share=0.5)
    first, second = GoldItem.objects.filter(project=project)
    withdraw_gold(actor=owner_of(project), comparison=first.comparison)
    withdraw_comparison(actor=owner_of(project), comparison=second.comparison)
    person = make_member(project)
    met = {judge(person, project).comparison_id for _ in range(4)}
    assert met == set(project.comparisons.filter(gold=None).values_list("pk", flat=True)) | {
        first.comparison_id
    }
    assert claimed(person, project) is None


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_step_takes_as_many_statements_with_gold_as_without(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three: lock, write and claim, whatever the die says."""
    project, _ = _mixed(gold=5, ordinary=5, share=share)
    person = make_member(project)
    for dice in (GOLD_WANTED, GOLD_UNWANTED):
        monkeypatch.setattr(claims, "random", dice)
        card = claim_next(actor=person, project=project)
        assert card is not None
        with CaptureQueriesContext(connection) as captured:
            _, following = submit_and_claim(
                actor=person,
                assignment_uid=card.assignment_uid,
                submission=RANKED,
                idempotency_key=str(card.assignment_uid),
            )
        assert following is not None
        statements = [q for q in captured.captured_queries if "SAVEPOINT" not in q["sql"]]
        assert len(statements) == 3


# --- what gold leaves alone -----------------------------------------------------------------------


def test_gold_judgements_count_for_no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged, skipped or revised: the comparison stays as it was, and so do the ordinary ones."""
    monkeypatch.setattr(claims, "random", GOLD_WANTED)
    project, gold = _mixed(gold=1, ordinary=1, share=0.5)
    people = [make_member(project) for _ in range(3)]
    judgement = judge(people[0], project)
    revise_judgement(
        actor=people[0], judgement_uid=judgement.uid, submission=RANKED, idempotency_key="again"
    )
    judge(people[1], project)
    card = claim_next(actor=people[2], project=project)
    assert card is not None
    skip_assignment(actor=people[2], assignment_uid=card.assignment_uid, reason="off topic")
    counts = {c.pk: (c.state, c.judgement_count, c.open_slots) for c in project.comparisons.all()}
    (item,) = gold
    assert counts.pop(item) == ("gold", 0, 0)
    assert list(counts.values()) == [("open", 0, 9)]
    assert Judgement.objects.filter(comparison=item, surplus=False).count() == 3
