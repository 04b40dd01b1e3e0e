"""One of many ids, sent as one array."""

import pytest

from labeling.models import Candidate, Comparison, ComparisonCandidate
from tests.factories import make_comparison, make_project

pytestmark = pytest.mark.django_db
MANY = range(1_000_000_000_000, 1_000_000_000_000 + 70_000)
"""More than a statement takes as parameters, and none of them an id."""


def test_ids_and_foreign_keys_among_more_than_a_statement_takes():
    project = make_project()
    one, other = make_comparison(project), make_comparison(project)
    assert Comparison.objects.get(pk__any={one.pk, *MANY}) == one
    slots = ComparisonCandidate.objects.filter(comparison__any=[*MANY, other.pk])
    assert {slot.comparison_id for slot in slots} == {other.pk}
    by_id = Candidate.objects.filter(prompt_id__any=[other.prompt_id])
    assert set(by_id) == set(Candidate.objects.filter(prompt=other.prompt))


def test_none_of_no_ids():
    make_comparison(make_project())
    assert not Comparison.objects.filter(pk__any=[]).exists()


def test_ids_of_another_query():
    project = make_project()
    one, _other = make_comparison(project), make_comparison(project)
    rows = Comparison.objects.filter(pk=one.pk)
    for ids in (rows, rows.values("pk"), rows.values_list("pk", flat=True)):
        slots = ComparisonCandidate.objects.filter(comparison__any=ids)
        assert {slot.comparison_id for slot in slots} == {one.pk}
