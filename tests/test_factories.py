"""The factories make what they say."""

import pytest

from labeling.models import ComparisonCandidate
from labeling.permissions import role_in
from tests.factories import ACTORS, make_comparison, make_project, make_prompt, seven_actors

pytestmark = pytest.mark.django_db


def test_make_comparison_has_k_slots_and_open_slots() -> None:
    comparison = make_comparison(make_project(), k=3, overlap=2)
    slots = ComparisonCandidate.objects.filter(comparison=comparison)
    assert sorted(slots.values_list("slot", flat=True)) == [0, 1, 2]
    assert comparison.open_slots == 2


def test_make_prompt_twice_with_one_author_shares_a_group() -> None:
    project = make_project()
    first, second = make_prompt(project, author="x"), make_prompt(project, author="x")
    assert first.pk != second.pk
    assert first.group_id == second.group_id


def test_seven_actors_have_their_roles() -> None:
    project = make_project()
    actors = seven_actors(project)
    assert tuple(actors) == ACTORS
    roles = {name: user and role_in(user, project) for name, user in actors.items()}
    assert roles == {
        "anonymous": None,
        "stranger": None,
        "annotator": "annotator",
        "viewer": "viewer",
        "manager": "manager",
        "owner": "owner",
        "admin": None,
    }
    assert actors["admin"].is_site_admin
