"""Human references: candidates like any other, made once, and erased with whoever wrote them."""

import pytest
from django.db import transaction

from labeling.domain.content import content_hash
from labeling.models import (
    Annotator,
    Candidate,
    CandidateSource,
    Demonstration,
    Project,
    Prompt,
    User,
)
from labeling.services.accounts import TOMBSTONE, erase_user
from labeling.services.prompts import Sample, add_samples
from labeling.services.references import HUMAN, add_references, references_of
from tests.factories import make_admin, make_member, make_project, make_prompt

pytestmark = pytest.mark.django_db


def written(prompt: Prompt, text: str, user: User | None = None, kind: str = "person"):
    """A demonstration, by somebody or by a file."""
    by = None
    if user is not None or kind != "person":
        by, _ = Annotator.objects.get_or_create(project=prompt.project, user=user, kind=kind)
    message = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
    return Demonstration.objects.create(
        prompt=prompt, annotator=by, messages=message, content_hash=content_hash(message)
    )


def add(project: Project, prompts: list[Prompt], count: int = 1, seed: int = 0) -> set[int]:
    with transaction.atomic():
        return add_references(
            actor=None,
            project=project,
            prompt_ids=[prompt.pk for prompt in prompts],
            count=count,
            seed=seed,
        )


def test_references_are_made_once_and_drawn_by_the_seed():
    project = make_project()
    prompts = [make_prompt(project, candidates=0) for _ in range(3)]
    for number in range(4):
        written(prompts[0], f"Reply {number}.")
    written(prompts[1], "Another.")
    found = add(project, prompts, count=2)
    assert len(found) == 3
    assert add(project, prompts, count=2) == found
    assert CandidateSource.objects.filter(model_name=HUMAN).count() == 3
    assert {frozenset(add(project, prompts, 2, seed)) for seed in range(20)} != {frozenset(found)}


def test_a_text_that_a_model_wrote_too_is_one_candidate():
    project = make_project()
    prompt = make_prompt(project, candidates=0)
    sample = Sample(prompt_id=prompt.pk, text="The same.", model_name="policy v1")
    add_samples(actor=None, project=project, samples=[sample])
    written(prompt, "The same.")
    (pk,) = add(project, [prompt])
    names = CandidateSource.objects.filter(candidate=pk).values_list("model_name", flat=True)
    assert sorted(names) == [HUMAN, "policy v1"]


def test_what_ai_wrote_is_no_human_reference():
    project = make_project()
    prompt = make_prompt(project, candidates=0)
    written(prompt, "By a machine.", kind="ai")
    assert references_of(project, [prompt.pk]) == {}
    written(prompt, "By hand.")
    assert [row.messages[0]["content"][0]["text"] for row in references_of(
        project, [prompt.pk]
    )[prompt.pk]] == ["By hand."]  # fmt: skip


def test_erasing_a_person_erases_their_references():
    project = make_project()
    person = make_member(project)
    prompt = make_prompt(project, candidates=0)
    written(prompt, "Mine alone.", person)
    shared = written(prompt, "Not mine alone.", person)
    sample = Sample(prompt_id=prompt.pk, text="Not mine alone.", model_name="policy v1")
    add_samples(actor=None, project=project, samples=[sample])
    found = add(project, [prompt], count=2)
    erase_user(actor=make_admin(), user=person)
    texts = sorted(
        row.messages[0]["content"][0]["text"] for row in Candidate.objects.filter(pk__in=found)
    )
    assert texts == sorted(["Not mine alone.", TOMBSTONE])
    assert "Mine alone" not in "".join(Candidate.objects.values_list("html", flat=True))
    shared.refresh_from_db()
    assert add(project, [prompt], count=2) == set()
