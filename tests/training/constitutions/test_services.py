"""Publishing versions, starting runs that revise, and taking in what they wrote."""

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from labeling.domain.content import ContentError, reply_text
from labeling.exceptions import InvalidInput
from labeling.models import Annotator, AuditEvent, Demonstration, Tag
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_project, make_prompt, owner_of
from tests.training.constitutions.written import (
    TEXT,
    chain_of,
    leave,
    make_constitution,
    make_revising_run,
    take_some,
)
from tests.training.factories import make_demonstrations, make_model
from training.constitutions.models import Constitution, ConstitutionVersion, RevisedDemonstration
from training.constitutions.services import (
    ensure_constitution,
    publish_constitution,
    take_revisions,
    withdraw_revisions,
)
from training.models import TrainingRun
from training.selectors import input_rows

pytestmark = pytest.mark.django_db


def test_versions_count_up_and_a_repeat_is_refused():
    project = make_project()
    first = make_constitution(project)
    second = make_constitution(project, text=TEXT.replace("Correct it.", "Put it right."))
    assert (first.number, second.number) == (1, 2)
    assert first.constitution == second.constitution
    with pytest.raises(InvalidInput) as found:
        make_constitution(project, text=TEXT.replace("Correct it.", "Put it right."))
    assert "Version 2 says exactly this" in found.value.errors["text"][0]
    third = make_constitution(project)  # going back to earlier words is a version of its own
    assert third.number == 3
    assert third.sha256 == first.sha256
    verbs = AuditEvent.objects.filter(project=project).values_list("verb", flat=True)
    assert list(verbs).count("constitution.publish") == 3


def test_faults_are_told_by_field_and_line_and_nothing_is_written():
    project = make_project()
    for name, text, field, said in (
        ("", TEXT, "name", "Name the constitution"),
        ("x" * 61, TEXT, "name", "at most 60"),
        ("ours", TEXT.replace("    critique: What hurts?\n", ""), "text", "Line 2: "),
    ):
        with pytest.raises(InvalidInput) as found:
            publish_constitution(actor=owner_of(project), project=project, name=name, text=text)
        assert said in found.value.errors[field][0]
    assert not Constitution.objects.exists()


def test_the_database_keeps_a_version_as_it_was():
    version = make_constitution(make_project())
    changes: list[dict[str, Any]] = [{"principles": []}, {"sha256": "0" * 64}, {"number": 9}]
    for change in changes:
        with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
            ConstitutionVersion.objects.filter(pk=version.pk).update(**change)
    ConstitutionVersion.objects.filter(pk=version.pk).update(created_by=None)


def test_the_one_that_comes_with_prefloop_is_made_once():
    project = make_project()
    first = ensure_constitution(actor=None, project=project, name="default")
    assert ensure_constitution(actor=None, project=project, name="default") == first
    assert len(first.principles) >= 8
    with pytest.raises(InvalidInput) as found:
        ensure_constitution(actor=None, project=project, name="another")
    assert "no constitution another" in found.value.errors["constitution"][0]


def test_a_run_chooses_its_prompts_and_carries_the_principles():
    project = make_project()
    make_prompt(project)
    wanted = make_prompt(project)
    wanted.tags.add(Tag.objects.create(project=project, name="hard"))
    run = make_revising_run(project, prompts=0, tags=["hard"], seed=4)
    assert (run.recipe, run.config["rounds"], run.seed) == ("revise", 4, 4)
    assert run.revising.prompt_ids == [wanted.pk]
    rows = list(input_rows(run))
    assert [row["principle"]["key"] for row in rows[:2]] == ["harm", "truth"]
    assert [row["prompt_id"] for row in rows[2:]] == [str(wanted.pk)]


def test_every_field_that_is_wrong_is_named():
    project, other = make_project(), make_project()
    with pytest.raises(InvalidInput) as found:
        make_revising_run(
            project,
            model=make_model(other),
            constitution=make_constitution(other),
            seed=-1,
            limit=0,
        )
    assert set(found.value.errors) == {"model", "constitution", "seed", "limit"}
    with pytest.raises(InvalidInput) as found:
        make_revising_run(project, model=make_model(project, "reward"))
    assert set(found.value.errors) == {"model"}
    with pytest.raises(InvalidInput) as found:
        make_revising_run(project, prompts=0, tags=["none"])
    assert set(found.value.errors) == {"tags"}
    with pytest.raises(InvalidInput) as found:
        make_revising_run(project, config={"rounds": 0})
    assert set(found.value.errors) == {"rounds"}


def test_last_revisions_become_demonstrations_of_an_ai():
    project = make_project()
    run = make_revising_run(project, prompts=3)
    one, two, three = run.revising.prompt_ids
    cut = {"reason": "cut_off", "round": 1}
    leave(run, [chain_of(one, "kind", "kinder\x00"), chain_of(two, "x", dropped=cut)])
    taken = take_revisions(run=run)
    assert taken.demonstrations_made == 1
    made = Demonstration.objects.get()
    assert (made.prompt_id, reply_text(made.messages)) == (one, "kinder\ufffd")
    assert (made.origin, made.annotator.kind) == ("ai", "ai")
    told = made.annotator.provenance
    assert told["reviser"] == str(run.base_model)
    assert told["model_sha256"] == run.base_model.sha256
    assert (told["constitution"], told["version"]) == ("ours", 1)
    assert told["constitution_sha256"] == run.revising.constitution.sha256
    chain = RevisedDemonstration.objects.get().chain
    assert chain["reply"]["text"] == "a rude <b>reply</b>"
    assert [row["principle"] for row in chain["rounds"]] == ["harm", "truth"]
    assert chain["rounds"][1]["critique"]["seed"] == 7
    assert three not in Demonstration.objects.values_list("prompt_id", flat=True)


def test_taking_twice_makes_nothing_twice():
    project = make_project()
    run = make_revising_run(project)
    take_some(run)
    assert take_revisions(run=run).demonstrations_made == 2
    assert Demonstration.objects.count() == RevisedDemonstration.objects.count() == 2
    assert Annotator.objects.filter(kind="ai").count() == 1


def test_all_revisions_are_kept_where_they_are_asked_for():
    project = make_project()
    run = make_revising_run(project, prompts=1, config={"demonstration": "all"})
    take_some(run, rounds=3)
    texts = [reply_text(row.messages) for row in Demonstration.objects.order_by("pk")]
    assert texts == ["revision 0", "revision 1", "revision 2"]
    lengths = [len(row.chain["rounds"]) for row in RevisedDemonstration.objects.order_by("pk")]
    assert lengths == [1, 2, 3]


def test_all_or_nothing_is_taken():
    project = make_project()
    run = make_revising_run(project)
    one, two = run.revising.prompt_ids
    broken = chain_of(two, "fine")
    broken["rounds"][0]["revision"]["text"] = None
    leave(run, [chain_of(one, "fine"), broken])
    with pytest.raises((ContentError, AttributeError)), transaction.atomic():
        take_revisions(run=run)
    assert not Demonstration.objects.exists()


def test_two_runs_of_one_model_and_constitution_are_one_annotator():
    project = make_project()
    model, version = make_model(project, name="m" * 110), make_constitution(project, "c" * 60)
    for _ in range(2):
        take_some(make_revising_run(project, model=model, constitution=version))
    annotator = Annotator.objects.get(kind="ai")
    assert len(annotator.name) <= 120
    other = make_constitution(project, "c" * 60, TEXT.replace("Correct it.", "Right it."))
    take_some(make_revising_run(project, model=model, constitution=other))
    assert Annotator.objects.filter(kind="ai").count() == 2


def test_snapshots_choose_people_ai_or_both():
    project = make_project()
    take_some(make_revising_run(project))
    make_demonstrations(project, 3)
    counts = {
        kinds: freeze_snapshot(
            actor=None, project=project, kind="demonstrations", annotator_kinds=kinds
        ).counts["labels"]
        for kinds in ((), ("ai",), ("imported",), ("ai", "imported"))
    }
    assert counts == {(): 3, ("ai",): 2, ("imported",): 3, ("ai", "imported"): 5}


def test_withdrawn_revisions_are_learned_from_no_more():
    project = make_project()
    run, other = make_revising_run(project), make_revising_run(project, prompts=0)
    take_some(run)
    take_some(other)
    count = Demonstration.objects.count()
    assert withdraw_revisions(actor=None, run=run) == 2
    assert withdraw_revisions(actor=None, run=run) == 0
    frozen = freeze_snapshot(
        actor=None, project=project, kind="demonstrations", annotator_kinds=["ai"]
    )
    assert frozen.counts["labels"] == count - 2
    assert AuditEvent.objects.filter(verb="revisions.withdraw").count() == 1
    assert TrainingRun.objects.filter(revising__isnull=False).count() == 2
