"""Imports: all or nothing, refused lines named, repeats recognised, splits never crossed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from labeling.domain.splits import crossing_groups, split_of
from labeling.models import (
    Annotator,
    Candidate,
    CandidateSource,
    Comparison,
    Demonstration,
    ImportBatch,
    Judgement,
    PreferencePair,
    Project,
    Prompt,
)
from labeling.services.blindness import set_maker_flag
from labeling.services.imports import create_import, run_import
from tests.factories import make_project, owner_of

pytestmark = pytest.mark.django_db


def take(project: Project, rows: Iterable[Any], name: str = "file.jsonl") -> ImportBatch:
    """Import rows (objects, or raw texts) as one file."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    chunks = [("\n".join(lines) + "\n").encode()]
    batch = create_import(actor=owner_of(project), project=project, file_name=name, chunks=chunks)
    return run_import(batch_id=batch.pk)


def take_file(project: Project, path: Path) -> ImportBatch:
    """Import a file as it lies there."""
    batch = create_import(
        actor=owner_of(project), project=project, file_name=path.name, chunks=[path.read_bytes()]
    )
    return run_import(batch_id=batch.pk)


def replies(*texts: str, model: str = "m") -> list[dict[str, Any]]:
    return [{"text": text, "model": model, "sampling": {"temperature": 0.7}} for text in texts]


def test_run_import_makes_disjoint_comparisons_and_keeps_the_rest() -> None:
    """9 distinct candidates at K = 4 give 2 comparisons; one candidate stays free."""
    project = make_project(candidates_per_comparison=4, overlap=3)
    batch = take(project, [{"prompt": "Hello?", "responses": replies(*"abcdefghi")}])
    assert batch.state == ImportBatch.State.SUCCEEDED
    comparisons = list(Comparison.objects.filter(project=project))
    assert [(c.overlap, c.open_slots, c.candidates.count()) for c in comparisons] == [(3, 3, 4)] * 2
    used = [c.pk for comparison in comparisons for c in comparison.candidates.all()]
    assert len(set(used)) == 8
    assert Candidate.objects.filter(slots=None).count() == 1


def test_run_import_collapses_equal_texts_and_keeps_every_source() -> None:
    """The same text from two models is one candidate with two sources."""
    project = make_project(candidates_per_comparison=2)
    row = {"prompt": "Hi", "responses": replies("a", "b") + replies("a", model="other")}
    take(project, [row])
    twice = Candidate.objects.get(prompt__project=project, sources__model_name="other")
    assert sorted(s.model_name for s in twice.sources.all()) == ["m", "other"]
    assert Candidate.objects.filter(prompt__project=project).count() == 2
    assert {s.temperature for s in twice.sources.all()} == {0.7}


def test_run_import_refuses_the_whole_file_and_names_each_line() -> None:
    project = make_project()
    good = {"prompt": "Hello?", "responses": replies("a", "b")}
    bad_rank = {"prompt": "x", "ranked_responses": [{"text": "a", "rank": "first"}, {"text": "b"}]}
    batch = take(project, [good, "{no json", {"responses": []}, bad_rank])
    assert batch.state == ImportBatch.State.REFUSED
    refused = {(row["line"], row["field"]) for row in batch.report["refused"]}
    assert refused == {(2, "line"), (3, "prompt"), (4, "ranked_responses[0].rank")}
    assert not Prompt.objects.filter(project=project).exists()


def test_run_import_of_no_utf8_names_the_line() -> None:
    project = make_project()
    batch = create_import(
        actor=owner_of(project),
        project=project,
        file_name="x",
        chunks=[b'{"prompt": "fine"}\n', b'{"prompt": "\xff"}\n'],
    )
    batch = run_import(batch_id=batch.pk)
    assert batch.state == ImportBatch.State.REFUSED
    assert [row["line"] for row in batch.report["refused"]] == [2]


def test_run_import_of_an_empty_file_is_refused() -> None:
    project = make_project()
    batch = create_import(actor=owner_of(project), project=project, file_name="x", chunks=[b""])
    assert run_import(batch_id=batch.pk).state == ImportBatch.State.REFUSED


def test_run_import_twice_takes_nothing_the_second_time() -> None:
    project = make_project(candidates_per_comparison=2)
    rows = [
        {"prompt": "one", "responses": replies("a", "b", "b")},
        {
            "prompt": "two",
            "ranked_responses": [{"text": "x", "rank": 0}, {"text": "y", "rank": 1}],
        },
        {"prompt": "three", "demonstrations": ["well"]},
    ]
    first = take(project, rows)
    assert (first.report["taken"], first.report["duplicates"]) == (3, 0)
    counted = [m.objects.count() for m in (Prompt, CandidateSource, Judgement, Demonstration)]
    second = take(project, rows)
    assert (second.report["taken"], second.report["duplicates"]) == (0, 3)
    assert counted == [
        m.objects.count() for m in (Prompt, CandidateSource, Judgement, Demonstration)
    ]


def test_run_import_of_a_ranking_writes_a_judgement_of_a_named_source_with_its_pairs() -> None:
    """Ranks 0, 1, 1 give the pairs 0>1, 0>2 with gap 1, and the tie 1=2."""
    project = make_project()
    ranked = [{"text": t, "rank": r} for t, r in (("a", 0), ("b", 1), ("c", 1))]
    take(project, [{"prompt": "Hi", "ranked_responses": ranked}], name="archive.jsonl")
    judgement = Judgement.objects.get(annotator__project=project)
    assert judgement.tiers == [[0], [1, 2]]
    assert judgement.annotator.kind == Annotator.Kind.IMPORTED
    assert judgement.annotator.name == "archive"
    assert judgement.origin == Judgement.Origin.IMPORT
    gaps = [(p.rank_gap, p.is_tie) for p in PreferencePair.objects.filter(judgement=judgement)]
    assert sorted(gaps) == [(0, True), (1, False), (1, False)]
    comparison = judgement.comparison
    assert (comparison.state, comparison.open_slots) == (Comparison.State.CLOSED, 0)


def test_run_import_joins_prompts_of_one_author_or_one_first_message() -> None:
    """p1 and p2 share an author, p2 and p3 a first message: all three are one group."""
    project = make_project()
    later = [
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "and then?"},
    ]
    take(project, [{"prompt": "first", "author": "ann"}, {"prompt": later}])
    assert Prompt.objects.values("group").distinct().count() == 2
    take(project, [{"prompt": "second", "author": "ann"}])
    assert Prompt.objects.values("group").distinct().count() == 1


def test_run_import_keeps_the_older_group_when_two_are_joined() -> None:
    project = make_project()
    take(project, [{"prompt": "old", "author": "ann"}])
    take(project, [{"prompt": "young", "author": "bo"}])
    kept = Prompt.objects.get(author_key="ann").group
    bridge = [
        {"role": "user", "content": "young"},
        {"role": "assistant", "content": "."},
        {"role": "user", "content": "more"},
    ]
    take(project, [{"prompt": bridge, "author": "ann"}])
    assert set(Prompt.objects.values_list("group", flat=True)) == {kept.pk}


def test_run_import_refuses_an_external_id_that_names_another_prompt() -> None:
    project = make_project()
    take(project, [{"prompt": "one", "external_id": "a"}])
    batch = take(project, [{"prompt": "fine"}, {"prompt": "two", "external_id": "a"}])
    assert batch.state == ImportBatch.State.REFUSED
    assert batch.report["refused"][0]["line"] == 2
    assert not Prompt.objects.filter(content_hash="x").exists()
    assert Prompt.objects.filter(project=project).count() == 1


def test_run_import_delivered_twice_runs_once() -> None:
    project = make_project()
    batch = take(project, [{"prompt": "one"}])
    finished = batch.finished_at
    assert run_import(batch_id=batch.pk).finished_at == finished


@pytest.mark.shared_data
def test_run_import_of_real_samples_and_rankings_crosses_no_split(shared_data: Path) -> None:
    """99 prompts with 1,862 distinct replies make 433 comparisons of 4; 212 rankings come in.

    One reply tells of principles "developed by the OpenAI team", which a manager lets in. Most
    prompts of the one file are in the other; no first user message is in two splits.
    """
    project = make_project(candidates_per_comparison=4)
    samples = take_file(project, shared_data / "oasst_samples.jsonl")
    assert samples.report["prompts"] == 99
    assert samples.report["candidates"] == 1862
    assert samples.report["sources"] == 2079
    assert (samples.report["comparisons"], samples.report["flagged"]) == (432, 1)
    flagged = Candidate.objects.get(names_its_maker=True)
    assert len(set_maker_flag(actor=owner_of(project), candidate=flagged, flagged=False)) == 1
    rankings = take_file(project, shared_data / "oasst_rankings.jsonl")
    assert rankings.report["judgements"] == 212
    assert Judgement.objects.filter(annotator__name="oasst_rankings").count() == 212
    rows = Prompt.objects.filter(project=project).values_list(
        "first_user_hash", "author_key", "group__key"
    )
    splits = [
        (first, author, split_of(group, validation_share=0.1, test_share=0.1))
        for first, author, group in rows
    ]
    assert crossing_groups((first, split) for first, _, split in splits) == set()
    assert crossing_groups((author, split) for _, author, split in splits if author) == set()
    assert {split for *_, split in splits} == {"train", "validation", "test"}
