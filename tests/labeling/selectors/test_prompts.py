"""Reads of prompts: counted, narrowed, drawn."""

from typing import Any

import pytest

from labeling.models import Candidate, Tag
from labeling.selectors.prompts import prompt_rows, select_prompts
from tests.factories import make_project, make_prompt, make_prompts

pytestmark = pytest.mark.django_db


def test_prompt_rows_count_candidates_and_those_that_name_their_maker(
    django_assert_num_queries: Any,
) -> None:
    project = make_project()
    plain, given_away = make_prompt(project, candidates=2), make_prompt(project, candidates=3)
    tags = [Tag.objects.create(project=project, name=name) for name in ("x", "y")]
    given_away.tags.add(*tags)  # several tags must not count a candidate twice
    Candidate.objects.filter(pk=given_away.candidates.all()[0].pk).update(names_its_maker=True)
    with django_assert_num_queries(2):
        counts = [
            (vars(row)["candidate_count"], vars(row)["flagged_count"])
            for row in prompt_rows(project)
        ]
    assert counts == [(2, 0), (3, 1)]
    assert list(prompt_rows(project, flagged=True)) == [given_away]
    assert list(prompt_rows(project, flagged=True, tag="x")) == [given_away]
    assert plain not in prompt_rows(project, tag="x")


def test_select_prompts_draws_the_same_by_the_same_seed() -> None:
    project = make_project()
    made = make_prompts(project, 20)
    first = select_prompts(project, limit=5, seed=1)
    assert (
        first
        == select_prompts(project, limit=5, seed=1)
        != select_prompts(project, limit=5, seed=2)
    )
    assert set(first) < set(made)
    assert select_prompts(project) == made
