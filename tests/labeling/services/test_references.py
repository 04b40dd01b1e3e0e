"""Human references: candidates like any other, made once, and erased with whoever wrote them."""

from pathlib import Path
from typing import Any

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
    Snapshot,
    SnapshotRedaction,
    User,
)
from labeling.selectors.erasure import work_of
from labeling.selectors.references import HUMAN
from labeling.selectors.snapshots import kway_rows
from labeling.services.accounts import TOMBSTONE, erase_user
from labeling.services.assignments import claim_next
from labeling.services.comparisons import queue_comparisons
from labeling.services.exports import request_export, write_export
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.prompts import Sample, add_samples
from labeling.services.references import add_references, references_of
from labeling.services.snapshots import freeze_snapshot, hash_of
from tests.factories import make_admin, make_member, make_project, make_prompt, make_user

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


def _ranked_reference(person: User) -> Snapshot:
    """A frozen ranking, by somebody else, of a person's reference among three replies of models."""
    project = make_project()
    prompt = make_prompt(project, candidates=0)
    written(prompt, "Mine alone.", person)
    samples = [
        Sample(prompt_id=prompt.pk, text=f"Reply {number}.", model_name="policy v1")
        for number in range(3)
    ]
    add_samples(actor=None, project=project, samples=samples)
    add(project, [prompt])
    queue_comparisons(actor=None, project=project, prompt_ids=[prompt.pk])
    other = make_member(project)
    card = claim_next(actor=other, project=project)
    assert card is not None
    submit_judgement(
        actor=other,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[0], [1], [2, 3]], touched=True),
        idempotency_key="1",
    )
    return freeze_snapshot(actor=None, project=project)


def test_snapshots_that_show_a_persons_reference_are_redacted(
    settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
):
    settings.EXPORT_DIR = tmp_path
    person, bystander = make_user(), make_user()
    snapshot = _ranked_reference(person)
    export = request_export(actor=None, snapshot=snapshot, format="kway", container="jsonl")
    path = Path(write_export(export_id=export.pk).path)
    assert "Mine alone." in path.read_text()
    assert [(held.snapshot, held.labels) for held in work_of(person).snapshots] == [(snapshot, 1)]
    assert work_of(bystander).snapshots == []
    assert erase_user(actor=make_admin(), user=bystander) == []
    with django_capture_on_commit_callbacks(execute=True):
        assert erase_user(actor=make_admin(), user=person) == [snapshot.pk]
    redaction = SnapshotRedaction.objects.get()
    old, snapshot = snapshot.sha256, Snapshot.objects.get(pk=snapshot.pk)
    assert (redaction.old_sha256, redaction.new_sha256) == (old, snapshot.sha256)
    assert hash_of(snapshot) == snapshot.sha256 != old
    assert not path.exists()
    assert "Mine alone." not in str(list(kway_rows(snapshot)))


def test_a_reference_that_somebody_else_wrote_while_ranking_stays_theirs():
    project = make_project()
    person, other = make_member(project), make_member(project)
    prompt = make_prompt(project, candidates=0)
    written(prompt, "The same.", person)
    (pk,) = add(project, [prompt])
    theirs, _ = Annotator.objects.get_or_create(project=project, user=other, kind="person")
    Candidate.objects.filter(pk=pk).update(written_by=theirs)
    erase_user(actor=make_admin(), user=person)
    assert "The same." in str(Candidate.objects.get(pk=pk).messages)
