"""Freezing and exporting: what is in, what is out and why, and files that others can read."""

import json
from pathlib import Path
from typing import Any

import pytest

from labeling.exceptions import InvalidInput, NothingToFreeze, SnapshotChanged
from labeling.models import Export, Judgement, Project, Prompt, Snapshot
from labeling.selectors.snapshots import (
    demonstration_rows,
    kway_rows,
    preference_rows,
    ranking_rows,
)
from labeling.services.assignments import claim_next
from labeling.services.exports import request_export, rows_of, write_export, write_file
from labeling.services.gold import set_gold, withdraw_gold
from labeling.services.judgements import Submission, revise_judgement, submit_judgement
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_comparison, make_member, make_project, owner_of
from tests.labeling.services.test_imports import take

pytestmark = pytest.mark.django_db


def judged_project(verdicts: tuple[str, ...] = ("ranked", "ranked")) -> Project:
    """Return a project with one judgement of each verdict, each on a comparison of its own."""
    project = make_project()
    person = make_member(project)
    for _ in verdicts:
        make_comparison(project)
    for number, verdict in enumerate(verdicts):
        card = claim_next(actor=person, project=project)
        assert card is not None
        submit_judgement(
            actor=person,
            assignment_uid=card.assignment_uid,
            submission=Submission(
                verdict=verdict,
                tiers=[[0], [1, 2], [3]],
                touched=True,
                unrankable_reason="unclear",
                active_ms=1000 + number,
                comment="why not",
            ),
            idempotency_key=str(number),
        )
    return project


def freeze(project: Project, **selection: Any) -> Snapshot:
    return freeze_snapshot(actor=owner_of(project), project=project, **selection)


def test_freeze_snapshot_counts_labels_pairs_ties_and_drops() -> None:
    """Two rankings of 4 with one tie each: 10 pairs and 2 ties; two verdicts carry no order."""
    snapshot = freeze(judged_project(("ranked", "both_bad", "unrankable", "ranked")))
    assert (snapshot.counts["labels"], snapshot.counts["pairs"], snapshot.counts["ties"]) == (
        2,
        10,
        2,
    )
    assert snapshot.drops["all bad: no order"] == 1
    assert snapshot.drops["can't be ranked"] == 1
    assert sum(s["labels"] for s in snapshot.counts["splits"].values()) == 2
    assert snapshot.counts["annotators"] == 1


def test_freeze_snapshot_takes_the_revision_in_place_of_what_it_supersedes() -> None:
    project = judged_project(("ranked",))
    old = Judgement.objects.get()
    assert old.annotator.user is not None
    new = revise_judgement(
        actor=old.annotator.user,
        judgement_uid=old.uid,
        submission=Submission(tiers=[[3], [2], [1], [0]], touched=True),
        idempotency_key="again",
    )
    snapshot = freeze(project)
    assert [item.judgement_id for item in snapshot.items.all()] == [new.pk]
    assert snapshot.drops["superseded by a revision"] == 1


def test_freeze_snapshot_of_the_same_labels_gives_the_same_hash() -> None:
    project = judged_project()
    first, second = freeze(project), freeze(project)
    assert (first.number, second.number) == (1, 2)
    assert first.sha256 == second.sha256
    person = make_member(project)
    make_comparison(project)
    card = claim_next(actor=person, project=project)
    assert card is not None
    submit_judgement(
        actor=person,
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[0, 1, 2, 3]], touched=True),
        idempotency_key="k",
    )
    assert freeze(project).sha256 != first.sha256


def test_freeze_snapshot_without_labels_says_so() -> None:
    with pytest.raises(NothingToFreeze):
        freeze(make_project())
    with pytest.raises(InvalidInput):
        freeze(make_project(), kind="pictures")


def test_freeze_snapshot_of_demonstrations_by_tag() -> None:
    project = make_project()
    take(
        project,
        [
            {"prompt": "1 + 1?", "demonstrations": ["2"], "tags": ["sums"]},
            {"prompt": "Hello?", "demonstrations": ["Hi!", "Hey."], "tags": ["talk"]},
        ],
    )
    snapshot = freeze(project, kind="demonstrations", tags=["talk"])
    rows = list(demonstration_rows(snapshot))
    assert [row["completion"][0]["content"] for row in rows] == ["Hi!", "Hey."]
    assert rows[0]["prompt"] == [{"role": "user", "content": "Hello?"}]


def test_preference_rows_name_the_better_reply_and_keep_ties_apart() -> None:
    snapshot = freeze(judged_project(("ranked",)))
    rows = list(preference_rows(snapshot))
    assert sorted((row["margin"], row["tie"]) for row in rows) == [
        (0.0, True),
        (1.0, False),
        (1.0, False),
        (1.0, False),
        (1.0, False),
        (2.0, False),
    ]
    judgement = Judgement.objects.get()
    best = judgement.comparison.slots.get(slot=judgement.tiers[0][0]).candidate
    widest = next(row for row in rows if row["margin"] == 2.0)
    assert widest["chosen"] == [
        {"role": "assistant", "content": best.messages[0]["content"][0]["text"]}
    ]


def test_ranking_rows_place_every_reply_and_name_people_by_pseudonym() -> None:
    snapshot = freeze(judged_project(("ranked",)))
    (row,) = ranking_rows(snapshot)
    judgement = Judgement.objects.get()
    assert row["tiers"] == judgement.tiers
    texts = [reply[0]["content"] for reply in row["replies"]]
    slots = judgement.comparison.slots.order_by("slot")
    assert texts == [slot.candidate.messages[0]["content"][0]["text"] for slot in slots]
    assert row["annotator"] == judgement.annotator.pseudonym
    assert (row["judgement"], row["weight"]) == (str(judgement.uid), 1.0)
    assert row["split"] in {"train", "validation", "test"}


def test_imported_rankings_and_pairs_are_ranking_rows_like_any_other() -> None:
    project = make_project()
    ranked = [{"text": text, "rank": rank} for rank, text in enumerate(("a", "b", "c"))]
    ranked.append({"text": "d", "rank": 2})
    rows = [
        {"prompt": "One?", "ranked_responses": ranked},
        {"prompt": "Two?", "ranked_responses": ranked[:2]},
    ]
    take(project, rows)
    first, second = ranking_rows(freeze(project))
    assert (len(first["replies"]), first["tiers"]) == (4, [[0], [1], [2, 3]])
    assert (len(second["replies"]), second["tiers"]) == (2, [[0], [1]])
    assert set(first) == set(second)


def test_rows_of_a_snapshot_take_a_fixed_number_of_statements(
    django_assert_num_queries: Any,
) -> None:
    small, large = freeze(judged_project()), freeze(judged_project(("ranked",) * 6))
    for snapshot in (small, large):
        with django_assert_num_queries(7):
            list(kway_rows(snapshot))
        with django_assert_num_queries(7):
            list(ranking_rows(snapshot))


def test_write_file_of_kway_rows_imports_again_to_equal_rows(tmp_path: Path) -> None:
    """Export, import into another project, freeze, export: the rows are the same to the letter."""
    project = judged_project(("ranked", "ranked", "ranked"))
    snapshot = freeze(project)
    path = tmp_path / "kway.jsonl"
    count, _ = write_file(path, rows_of(snapshot, "kway"), "jsonl")
    assert count == 3
    elsewhere = make_project()
    batch = take(elsewhere, path.read_text().splitlines())
    assert batch.state == "succeeded", batch.report
    again = freeze(elsewhere)
    assert list(kway_rows(again)) == list(kway_rows(snapshot))
    assert again.sha256 == snapshot.sha256


def test_kway_rows_know_people_by_pseudonym_alone() -> None:
    project = judged_project()
    text = json.dumps(list(kway_rows(freeze(project))))
    person = Judgement.objects.all()[0].annotator
    assert person.pseudonym in text
    assert person.user is not None
    assert person.user.username not in text


def test_write_export_makes_the_file_once(settings: Any, tmp_path: Path) -> None:
    settings.EXPORT_DIR = tmp_path
    snapshot = freeze(judged_project())
    for container in ("jsonl", "parquet"):
        export = request_export(
            actor=owner_of(snapshot.project),
            snapshot=snapshot,
            format="trl_preference",
            container=container,
        )
        done = write_export(export_id=export.pk)
        assert (done.state, done.rows) == (Export.State.READY, 10)
        assert Path(done.path).stat().st_size > 0
        assert write_export(export_id=export.pk).finished_at == done.finished_at


def test_write_export_of_a_changed_snapshot_fails_and_says_why() -> None:
    snapshot = freeze(judged_project())
    Prompt.objects.filter(project=snapshot.project).update(external_id="")
    Snapshot.objects.filter(pk=snapshot.pk).update(sha256="0" * 64)
    export = request_export(
        actor=owner_of(snapshot.project), snapshot=snapshot, format="kway", container="jsonl"
    )
    with pytest.raises(SnapshotChanged):
        write_export(export_id=export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.FAILED
    assert "frozen" in export.error


def test_request_export_names_the_wrong_field() -> None:
    snapshot = freeze(judged_project())
    with pytest.raises(InvalidInput) as caught:
        request_export(
            actor=owner_of(snapshot.project), snapshot=snapshot, format="csv", container="zip"
        )
    assert set(caught.value.errors) == {"format", "container"}


@pytest.mark.shared_data
def test_real_rankings_export_and_import_to_equal_rows(shared_data: Path, tmp_path: Path) -> None:
    """212 real rankings, K from 2 to 9, multi-turn, go out and come in the same."""
    project = make_project()
    take(project, (shared_data / "oasst_rankings.jsonl").read_text().splitlines())
    snapshot = freeze(project)
    write_file(tmp_path / "rows.jsonl", rows_of(snapshot, "kway"), "jsonl")
    elsewhere = make_project()
    take(elsewhere, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert list(kway_rows(freeze(elsewhere))) == list(kway_rows(snapshot))
    assert snapshot.counts["labels"] == 212


def test_freeze_snapshot_keeps_gold_apart_unless_it_is_asked_for() -> None:
    """Of three judgements, one is of a gold item; it is counted once, not again by its verdict."""
    project = judged_project(("ranked", "ranked", "both_bad"))
    items = project.comparisons.order_by("id")
    set_gold(actor=owner_of(project), comparison=items[0], tiers=[[0], [1], [2], [3]])
    set_gold(actor=owner_of(project), comparison=items[2], tiers=[[0], [1], [2], [3]])
    apart, whole = freeze(project), freeze(project, include_gold=True)
    assert [item.judgement.comparison for item in apart.items.all()] == [items[1]]
    assert (apart.drops["gold item: kept apart"], apart.drops["all bad: no order"]) == (2, 0)
    assert (whole.drops["gold item: kept apart"], whole.drops["all bad: no order"]) == (0, 1)
    assert (whole.counts["labels"], whole.selection["include_gold"]) == (2, True)


def test_freeze_snapshot_takes_what_is_gold_no_more() -> None:
    project = judged_project(("ranked",))
    comparison = project.comparisons.get()
    set_gold(actor=owner_of(project), comparison=comparison, tiers=[[0], [1], [2], [3]])
    with pytest.raises(NothingToFreeze):
        freeze(project)
    withdraw_gold(actor=owner_of(project), comparison=comparison)
    assert freeze(project).counts["labels"] == 1
