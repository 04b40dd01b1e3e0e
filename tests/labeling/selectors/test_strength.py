"""The table of models: whose judgements count, what a pair is, and what it costs to read."""

import pytest

from labeling.domain.records import Source
from labeling.models import Annotator, CandidateSource, Comparison, Judgement, Project
from labeling.selectors import strength
from labeling.selectors.strength import model_table
from labeling.services.prompts import ensure_sources
from tests.factories import make_comparison, make_member, make_project
from tests.labeling.selectors.judging import judged

pytestmark = pytest.mark.django_db


def tiers_of(comparison: Comparison, reverse: bool = False) -> list[list[int]]:
    """Return the ranking in which model-0 is best, model-1 next, and so on."""
    slots = comparison.slots.prefetch_related("candidate__sources")
    by_model = {slot.candidate.sources.all()[0].model_name: slot.slot for slot in slots}
    return [[by_model[name]] for name in sorted(by_model, reverse=reverse)]


def judged_project(count: int = 3) -> Project:
    """Return a project in which one person ranked model-0 first, every time."""
    project = make_project()
    person = make_member(project)
    for _ in range(count):
        comparison = make_comparison(project, k=4)
        judged(person, comparison, tiers_of(comparison))
    return project


def test_models_stand_in_the_order_in_which_they_are_preferred(django_assert_num_queries) -> None:
    project = judged_project()
    with django_assert_num_queries(2):
        table = model_table(project, judges="people")
    (group,) = table.groups
    assert [row.name for row in group] == [f"model-{n}" for n in range(4)]
    assert [(row.comparisons, row.pairs, row.won) for row in group] == [
        (3, 9, 9.0),
        (3, 9, 6.0),
        (3, 9, 3.0),
        (3, 9, 0.0),
    ]
    assert (table.judgements, table.is_all, table.left_out) == (3, True, 0)


def test_people_and_ai_judges_are_never_mixed() -> None:
    project = judged_project()
    Annotator.objects.update(kind=Annotator.Kind.AI)
    assert model_table(project, judges="people").groups == []
    assert model_table(project, judges="ai").groups[0][0].name == "model-0"


def test_what_is_superseded_or_ranks_nothing_does_not_count() -> None:
    project = make_project()
    person = make_member(project)
    comparison = make_comparison(project, k=2)
    first = judged(person, comparison, tiers_of(comparison))
    judged(person, comparison, tiers_of(comparison, reverse=True), supersedes=first)
    judged(person, make_comparison(project, k=2), (), verdict=Judgement.Verdict.BOTH_BAD)
    (group,) = model_table(project, judges="people").groups
    assert [(row.name, row.pairs) for row in group] == [("model-1", 1), ("model-0", 1)]


def test_a_text_of_two_models_counts_for_each_and_never_against_itself() -> None:
    project = make_project()
    comparison = make_comparison(project, k=2)
    candidate = comparison.slots.get(slot=1).candidate
    ensure_sources(sources=[(candidate, Source("model-0"))], batch=None)
    judged(make_member(project), comparison)
    (group,) = model_table(project, judges="people").groups
    assert {(row.name, row.pairs) for row in group} == {("model-0", 1), ("model-1", 1)}


def test_replies_of_nobody_known_and_models_beyond_the_most_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = judged_project()
    CandidateSource.objects.filter(model_name="model-3").update(model_name="")
    judged(make_member(project), make_comparison(project, k=2))
    monkeypatch.setattr(strength, "MOST_MODELS", 2)
    table = model_table(project, judges="people")
    assert sorted(row.name for group in table.groups for row in group) == ["model-0", "model-1"]
    assert table.left_out == 1


def test_a_tie_is_half_won() -> None:
    project = make_project()
    judged(make_member(project), make_comparison(project, k=2), ((0, 1),), verdict="tie")
    (group,) = model_table(project, judges="people").groups
    assert [row.won for row in group] == [0.5, 0.5]
