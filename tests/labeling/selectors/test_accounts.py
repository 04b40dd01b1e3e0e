"""Reads of accounts: people alone, and whom a project may still add."""

from typing import Any

import pytest

from labeling.selectors.accounts import account_rows, addable_names
from labeling.services.simulation import simulated_account
from tests.factories import make_member, make_project, make_user, owner_of

pytestmark = pytest.mark.django_db


def test_account_rows_are_people_with_their_projects_in_one_query(
    django_assert_num_queries: Any,
) -> None:
    project = make_project()
    user = make_member(project, user=make_user("zoe"))
    make_member(make_project(), user=user)
    simulated_account(actor=owner_of(project), project=project, number=1)
    with django_assert_num_queries(1):
        found = {row.username: vars(row)["project_count"] for row in account_rows()}
    assert found["zoe"] == 2
    assert not any(name.startswith("simulated-") for name in found)
    assert [row.username for row in account_rows(name="ZO")] == ["zoe"]


def test_addable_names_are_of_active_people_who_are_no_members() -> None:
    project = make_project()
    make_user("newcomer")
    make_user("gone", is_active=False)
    member = make_member(project)
    names = addable_names(project)
    assert "newcomer" in names
    assert not {"gone", member.username, owner_of(project).username} & set(names)
