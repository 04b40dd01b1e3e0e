"""Candidates that seem to name their maker: kept from annotators, let in by a manager."""

from typing import Any

import pytest

from labeling.exceptions import Conflict
from labeling.models import AuditEvent, Candidate, Comparison, ImportBatch, Project
from labeling.services.blindness import set_maker_flag
from labeling.services.comparisons import queue_comparisons
from labeling.services.prompts import Sample, add_samples
from tests.factories import make_project, make_prompt, owner_of
from tests.labeling.services.test_imports import replies, take

pytestmark = pytest.mark.django_db
GIVEN_AWAY = "I was developed by OpenAI to help."


def imported(project: Project, *texts: str, prompt: str = "Why?") -> ImportBatch:
    return take(project, [{"prompt": prompt, "responses": replies(*texts)}], f"{texts}.jsonl")


def shown() -> set[str]:
    """Return the texts that stand in comparisons."""
    rows = Candidate.objects.exclude(slots=None)
    return {row.messages[0]["content"][0]["text"] for row in rows}


def flagged_one() -> Candidate:
    return Candidate.objects.get(names_its_maker=True)


def test_import_keeps_a_flagged_candidate_out_of_comparisons_and_counts_it() -> None:
    project = make_project(candidates_per_comparison=2)
    batch = imported(project, "a", GIVEN_AWAY, "b", "c")
    assert batch.report["flagged"] == 1
    assert (batch.report["candidates"], batch.report["comparisons"]) == (4, 1)
    assert GIVEN_AWAY not in shown()
    assert imported(project, "d", "e", prompt="How?").report["flagged"] == 0


def test_overruled_flag_completes_a_comparison_and_is_written_down() -> None:
    project = make_project(candidates_per_comparison=2)
    imported(project, "a", GIVEN_AWAY)
    assert not Comparison.objects.exists()
    manager, candidate = owner_of(project), flagged_one()
    (made,) = set_maker_flag(actor=manager, candidate=candidate, flagged=False)
    assert (made.project, made.open_slots) == (project, project.overlap)
    assert shown() == {"a", GIVEN_AWAY}
    event = AuditEvent.objects.get(verb="candidate.unflag")
    assert (event.actor, event.project, event.object_id) == (manager, project, str(candidate.pk))
    assert set_maker_flag(actor=manager, candidate=candidate, flagged=False) == []
    assert AuditEvent.objects.filter(verb="candidate.unflag").count() == 1


def test_overruled_flag_joins_what_came_with_it_alone() -> None:
    """One import left "a" free, another the flagged reply: they were never to be compared."""
    project = make_project(candidates_per_comparison=2)
    imported(project, "a")
    imported(project, GIVEN_AWAY)
    assert set_maker_flag(actor=owner_of(project), candidate=flagged_one(), flagged=False) == []
    assert shown() == set()


def samples(project: Project, *texts: str, sha256: str, prompt_id: int) -> set[int]:
    rows = [
        Sample(prompt_id=prompt_id, text=text, model_name="m", model_sha256=sha256)
        for text in texts
    ]
    return {
        source.candidate_id for source in add_samples(actor=None, project=project, samples=rows)
    }


def queue(project: Project, prompt_id: int, candidate_ids: set[int]) -> list[Comparison]:
    wanted: dict[str, Any] = {"prompt_ids": [prompt_id], "candidate_ids": candidate_ids}
    return queue_comparisons(actor=None, project=project, **wanted)


def test_sampled_candidates_are_flagged_and_let_in_with_those_of_their_model() -> None:
    project = make_project(candidates_per_comparison=2)
    prompt = make_prompt(project, candidates=0)
    first = samples(project, "a", GIVEN_AWAY, sha256="1" * 64, prompt_id=prompt.pk)
    samples(project, "b", sha256="2" * 64, prompt_id=prompt.pk)
    assert queue(project, prompt.pk, first) == []
    set_maker_flag(actor=owner_of(project), candidate=flagged_one(), flagged=False)
    assert shown() == {"a", GIVEN_AWAY}


def test_flag_set_by_hand_keeps_out_what_annotators_have_not_seen() -> None:
    project = make_project(candidates_per_comparison=2)
    prompt = make_prompt(project, candidates=3)
    free, *seen = prompt.candidates.order_by("-pk")
    manager = owner_of(project)
    assert set_maker_flag(actor=manager, candidate=free, flagged=True) == []
    assert len(queue(project, prompt.pk, {c.pk for c in prompt.candidates.all()})) == 1
    assert not free.slots.exists()
    assert AuditEvent.objects.filter(verb="candidate.flag", actor=manager).count() == 1
    with pytest.raises(Conflict):
        set_maker_flag(actor=manager, candidate=seen[0], flagged=True)
