"""What AI judges say: counted where it was asked for, kept as surplus elsewhere, never mixed in."""

import pytest

from labeling.domain.records import parse_line, to_line
from labeling.exceptions import InvalidInput, InvalidRanking, NothingToFreeze
from labeling.models import Annotator, AuditEvent, Comparison, Judgement, Project
from labeling.selectors.snapshots import kway_rows, preference_rows, ranking_rows
from labeling.services.ai_judgements import (
    AIJudgement,
    give_to_ai,
    give_to_people,
    record_ai_judgements,
)
from labeling.services.assignments import claim_next
from labeling.services.exports import _write_parquet
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.projects import named_annotator
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_comparison, make_project, owner_of

pytestmark = pytest.mark.django_db
PAIRS = [
    {"first": 0, "second": 1, "soft": 0.75, "lean": 0.1},
    {"first": 0, "second": 2, "soft": 0.4, "lean": 0.0},
    {"first": 1, "second": 2, "soft": 0.5, "lean": 0.0},
]


@pytest.fixture
def project() -> Project:
    return make_project(candidates_per_comparison=3)


@pytest.fixture
def annotator(project: Project) -> Annotator:
    return named_annotator(project=project, kind=Annotator.Kind.AI, name="judge v1")


def _say(comparison: Comparison, tiers: list[list[int]] | None = None) -> AIJudgement:
    return AIJudgement(
        comparison_id=comparison.pk,
        tiers=tiers or [[0], [1, 2]],
        provenance={"judge": "j", "pairs": PAIRS},
    )


def _person_judges(project: Project) -> Judgement:
    owner = owner_of(project)
    card = claim_next(actor=owner, project=project)
    assert card is not None
    return submit_judgement(
        actor=owner,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[0], [1], [2]], touched=True),
        idempotency_key=str(card.assignment_uid),
    )


def test_a_comparison_for_ai_leaves_the_queue_and_closes_with_its_overlap(
    project: Project, annotator: Annotator
):
    comparison = make_comparison(project, k=3)
    given = give_to_ai(actor=None, project=project, comparison_ids=[comparison.pk], overlap=2)
    assert given == [comparison.pk]
    assert claim_next(actor=owner_of(project), project=project) is None
    (made,) = record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison)])
    comparison.refresh_from_db()
    assert (made.origin, made.surplus, made.verdict) == ("ai", False, "ranked")
    assert (comparison.state, comparison.judgement_count) == ("open", 1)
    pairs = made.pairs.order_by("pk").values_list("rank_gap", "is_tie")
    assert sorted(pairs) == [(0, True), (1, False), (1, False)]
    other = named_annotator(project=project, kind=Annotator.Kind.AI, name="other v1")
    record_ai_judgements(actor=None, annotator=other, said=[_say(comparison, [[0, 1, 2]])])
    comparison.refresh_from_db()
    assert (comparison.state, comparison.judgement_count) == ("closed", 2)
    assert Judgement.objects.get(annotator=other).verdict == "tie"


def test_on_a_comparison_for_people_it_is_surplus_and_counts_for_nothing(
    project: Project, annotator: Annotator
):
    comparison = make_comparison(project, k=3)
    (made,) = record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison)])
    comparison.refresh_from_db()
    assert made.surplus
    assert (comparison.state, comparison.judgement_count, comparison.open_slots) == ("open", 0, 1)
    assert not _person_judges(project).surplus
    comparison.refresh_from_db()
    assert (comparison.state, comparison.judgement_count) == ("closed", 1)


def test_the_same_answers_may_come_twice(project: Project, annotator: Annotator):
    comparison = make_comparison(project, k=3)
    give_to_ai(actor=None, project=project, comparison_ids=[comparison.pk], overlap=2)
    first = record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison)])
    again = record_ai_judgements(
        actor=None, annotator=annotator, said=[_say(comparison, [[2, 1, 0]])]
    )
    comparison.refresh_from_db()
    assert (len(first), again, comparison.judgement_count) == (1, [], 1)
    assert Judgement.objects.get().tiers == [[0], [1, 2]]
    assert AuditEvent.objects.filter(verb="ai_judgements.record").count() == 1


def test_what_somebody_holds_or_judged_is_not_given_to_ai(project: Project):
    held, judged, free = (make_comparison(project, k=3) for _ in range(3))
    claim_next(actor=owner_of(project), project=project)
    Comparison.objects.filter(pk=judged.pk).update(judgement_count=1, overlap=2)
    ids = [held.pk, judged.pk, free.pk]
    assert give_to_ai(actor=None, project=project, comparison_ids=ids) == [free.pk]
    assert give_to_ai(actor=None, project=make_project(), comparison_ids=ids) == []
    with pytest.raises(InvalidInput):
        give_to_ai(actor=None, project=project, comparison_ids=ids, overlap=0)


def test_what_a_judge_is_unsure_of_goes_to_people(project: Project, annotator: Annotator):
    comparison = make_comparison(project, k=3)
    give_to_ai(actor=None, project=project, comparison_ids=[comparison.pk])
    record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison)])
    assert give_to_people(actor=None, project=project, comparison_ids=[comparison.pk]) == [
        comparison.pk
    ]
    comparison.refresh_from_db()
    assert (comparison.state, comparison.for_ai, comparison.open_slots) == ("open", False, 1)
    _person_judges(project)
    comparison.refresh_from_db()
    assert (comparison.state, comparison.judgement_count) == ("closed", 1)
    assert give_to_people(actor=None, project=project, comparison_ids=[comparison.pk]) == []


def test_no_ranking_no_other_project_and_no_person(project: Project, annotator: Annotator):
    comparison, elsewhere = make_comparison(project, k=3), make_comparison(make_project(), k=3)
    with pytest.raises(InvalidRanking):
        record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison, [[0], [3]])])
    with pytest.raises(InvalidInput):
        record_ai_judgements(actor=None, annotator=annotator, said=[_say(elsewhere)])
    source = named_annotator(project=project, kind=Annotator.Kind.IMPORTED, name="a file")
    with pytest.raises(InvalidInput):
        record_ai_judgements(actor=None, annotator=source, said=[_say(comparison)])
    assert not Judgement.objects.exists()


def test_queries_do_not_grow_with_the_judgements(
    project: Project, annotator: Annotator, django_assert_max_num_queries
):
    said = [_say(make_comparison(project, k=3)) for _ in range(12)]
    with django_assert_max_num_queries(13):
        record_ai_judgements(actor=None, annotator=annotator, said=said)


def test_a_snapshot_takes_ai_where_it_is_asked_for(project: Project, annotator: Annotator):
    comparison = make_comparison(project, k=3)
    record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison)])
    with pytest.raises(NothingToFreeze):
        freeze_snapshot(actor=None, project=project)
    _person_judges(project)
    people = freeze_snapshot(actor=None, project=project)
    assert people.counts["labels"] == 1
    assert people.drops["by an AI judge: not asked for"] == 1
    assert (
        freeze_snapshot(actor=None, project=project, annotator_kinds=["ai"]).counts["labels"] == 1
    )
    both = freeze_snapshot(actor=None, project=project, annotator_kinds=["ai", "person"])
    assert both.counts["labels"] == 2


def test_a_snapshot_takes_of_ai_those_that_are_named(project: Project, annotator: Annotator):
    comparison = make_comparison(project, k=3)
    other = named_annotator(project=project, kind=Annotator.Kind.AI, name="judge v2")
    for judge in (annotator, other):
        record_ai_judgements(actor=None, annotator=judge, said=[_say(comparison)])
    _person_judges(project)
    snapshot = freeze_snapshot(
        actor=None, project=project, annotator_kinds=["ai", "person"], ai_annotator_ids=[other.pk]
    )
    frozen = snapshot.items.values_list("judgement__annotator__name", flat=True)
    assert sorted(frozen) == ["", "judge v2"]
    assert snapshot.selection["ai_annotators"] == ["judge v2"]
    assert snapshot.drops["by an AI judge: not asked for"] == 1
    with pytest.raises(NothingToFreeze):
        freeze_snapshot(actor=None, project=project, annotator_kinds=["ai"], ai_annotator_ids=[])
    everybody = freeze_snapshot(actor=None, project=project, annotator_kinds=["ai", "person"])
    assert everybody.counts["labels"] == 3
    assert "ai_annotators" not in everybody.selection
    assert "by an AI judge: not asked for" not in everybody.drops


def test_weights_and_soft_labels_reach_the_rows(project: Project, annotator: Annotator):
    comparison = make_comparison(project, k=3)
    record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison)])
    _person_judges(project)
    kinds = ["ai", "person"]
    plain = freeze_snapshot(actor=None, project=project, annotator_kinds=kinds)
    snapshot = freeze_snapshot(
        actor=None, project=project, annotator_kinds=kinds, weights={"ai": 0.25, "person": 1.0}
    )
    assert snapshot.selection["weights"] == {"ai": 0.25}
    assert snapshot.sha256 != plain.sha256
    by_ai, by_person = list(ranking_rows(snapshot))
    assert (by_ai["weight"], by_person["weight"]) == (0.25, 1.0)
    assert by_ai["soft"] == [[0, 1, 0.75], [0, 2, 0.4], [1, 2, 0.5]]
    assert "soft" not in by_person
    rows = [row for row in preference_rows(snapshot) if row["annotator"] == annotator.pseudonym]
    targets = {(r["chosen"][0]["content"][:7], r["rejected"][0]["content"][:7]): r for r in rows}
    assert len(targets) == 3
    assert sorted(row["target"] for row in rows) == pytest.approx([0.4, 0.5, 0.75])
    assert {row["weight"] for row in rows} == {0.25}
    assert all("target" not in row for row in preference_rows(snapshot) if row not in rows)


@pytest.mark.parametrize("weights", [{"ai": 0}, {"ai": 101}, {"robot": 1}, {"ai": float("nan")}])
def test_weights_that_weigh_nothing_are_refused(project: Project, weights: dict[str, float]):
    with pytest.raises(InvalidInput) as refused:
        freeze_snapshot(actor=None, project=project, weights=weights)
    assert set(refused.value.errors) == {"weights"}


def test_an_export_carries_soft_labels_to_another_project(
    project: Project, annotator: Annotator, tmp_path
):
    comparison = make_comparison(project, k=3)
    record_ai_judgements(actor=None, annotator=annotator, said=[_say(comparison)])
    _person_judges(project)
    snapshot = freeze_snapshot(actor=None, project=project, annotator_kinds=["person", "ai"])
    rows = list(kway_rows(snapshot))
    assert [("soft" in row) for row in rows] == [True, False]
    record = parse_line(to_line(rows[0]))
    assert record.judgement is not None
    assert record.judgement.soft == ((0, 1, 0.75), (0, 2, 0.4), (1, 2, 0.5))
    assert record.judgement.annotator_kind == "ai"
    assert _write_parquet(tmp_path / "rows.parquet", rows) == 2
