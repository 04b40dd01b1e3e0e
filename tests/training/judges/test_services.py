"""AI judges are made, asked, and what they say is written once, with where it is from."""

from pathlib import Path
from typing import Any

import pytest

from labeling.demo.gold import gold_score, has_gold
from labeling.domain.content import plain_messages
from labeling.exceptions import InvalidInput
from labeling.models import Annotator, AuditEvent, Comparison, Judgement, Project
from labeling.selectors.snapshots import preference_rows, ranking_rows
from labeling.services.comparisons import withdraw_comparison
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_comparison, make_project, owner_of
from tests.training.factories import HEAD, data_rows, make_model, use_recipe
from tests.training.judges.factories import JUDGES, ids_of, make_demo_project, make_judge
from training import tasks
from training.judges.models import Judge, JudgementMade
from training.judges.selectors import bias_of, comparisons_to_judge, judge_named, judges_of
from training.judges.services import (
    ask_judge,
    create_judge,
    retire_judge,
    start_judging,
    take_judgements,
)
from training.models import TrainingRun
from training.rundir import JUDGEMENTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_demo_project()


def _ask(judge: Judge, ids: list[int] | None = None, **how: object) -> TrainingRun:
    project = judge.project
    run = start_judging(
        actor=owner_of(project),
        project=project,
        judge=judge,
        comparison_ids=ids_of(project) if ids is None else ids,
        **how,
    )
    run.refresh_from_db()
    return run


def test_a_judge_is_an_annotator_of_its_own_and_its_next_version_another(project: Project):
    first, second = make_judge(project), make_judge(project, criteria="Be kind.")
    assert (str(first), str(second)) == ("judge v1", "judge v2")
    assert first.annotator.kind == Annotator.Kind.AI
    assert first.annotator != second.annotator
    assert first.config["style"] == first.style == "pairwise"
    assert first.provenance["prompt_version"] == "pairwise-1"
    assert first.provenance["model_sha256"] == first.model.sha256
    assert judge_named(project, "judge") == second
    retire_judge(actor=None, judge=second)
    assert judge_named(project, "judge") == first
    with pytest.raises(InvalidInput):
        retire_judge(actor=None, judge=second)
    assert AuditEvent.objects.filter(verb__in=["judge.create", "judge.retire"]).count() == 3


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a, b"}, "name"),
        ({"criteria": "x" * 4001}, "criteria"),
        ({"source": "oracle"}, "source"),
        ({"model": None}, "model"),
        ({"source": "gold"}, "model"),
        ({"config": {"style": "essay"}}, "style"),
        ({"config": {"tie_margin": 2}}, "tie_margin"),
        ({"source": "gold", "model": None, "config": {"style": "aspects"}}, "style"),
    ],
)
def test_what_is_wrong_with_a_judge_is_named_by_field(
    project: Project, wrong: dict[str, object], field: str
):
    said = {"name": "judge", "model": make_model(project), **wrong}
    with pytest.raises(InvalidInput) as refused:
        create_judge(actor=None, project=project, **said)
    assert field in refused.value.errors
    assert not Judge.objects.exists()


def test_only_a_policy_of_the_project_answers(project: Project):
    for model in (make_model(project, "reward"), make_model(make_project())):
        with pytest.raises(InvalidInput) as refused:
            create_judge(actor=None, project=project, name="judge", model=model)
        assert set(refused.value.errors) == {"model"}


def test_gold_ranks_without_a_worker_and_its_labels_are_soft(project: Project):
    judge = make_judge(project, source="gold")
    run = _ask(judge)
    assert (run.state, run.judging.judgements_made) == ("succeeded", 3)
    for one in Judgement.objects.all():
        assert (one.origin, one.surplus) == ("ai", False)
        assert one.provenance["judge"] == str(judge.uid)
        messages = plain_messages(one.comparison.prompt.messages)
        assert has_gold(messages)
        texts = [
            plain_messages(slot.candidate.messages)[0]["content"]
            for slot in one.comparison.slots.all()
        ]
        scores = [gold_score(messages, text) for text in texts]
        assert scores[one.tiers[0][0]] == pytest.approx(max(scores), abs=0.1)
        for pair in one.provenance["pairs"]:
            better = scores[pair["first"]] > scores[pair["second"]]
            assert (pair["soft"] > 0.5) == better
    assert bias_of(judge) is None
    assert set(Comparison.objects.values_list("state", flat=True)) == {"closed"}
    assert JudgementMade.objects.count() == 3


def test_gold_knows_no_other_prompts():
    project = make_project()
    make_comparison(project)
    with pytest.raises(InvalidInput) as refused:
        _ask(make_judge(project, source="gold"))
    assert set(refused.value.errors) == {"judge"}


@pytest.mark.django_db(transaction=True)
def test_a_recipes_lines_become_judgements_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    judge = make_judge(project, criteria="Be kind.")
    ids = ids_of(project)
    principle = {"number": 7, "text": "Choose the kinder reply."}
    run = _ask(judge, principles={ids[1]: principle}, seed=4)
    assert (run.recipe, run.state, run.base_model) == ("judge", "queued", judge.model)
    use_recipe(monkeypatch, tmp_path, HEAD + JUDGES, LEAVES=2)
    tasks.train(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded", (run.error, run.log_tail)
    rows = data_rows(run)
    assert [row["comparison_id"] for row in rows] == [str(pk) for pk in ids]
    assert [row["criteria"] for row in rows] == ["Be kind."] * 3
    assert [row["principle"] for row in rows] == [None, principle, None]
    judging = run.judging
    assert (judging.judgements_made, judging.surplus_made) == (2, 0)
    assert judging.left_out == {"too_long": 1}
    made = Judgement.objects.get(comparison=ids[1])
    told = made.provenance
    assert made.tiers == [[0], [1], [2]]
    assert (told["principle"], told["style"], told["run"]) == (principle, "pairwise", str(run.uid))
    assert told["reasons"] == [{"texts": ["so\ufffdso"]}]
    assert [(pair["first"], pair["second"]) for pair in told["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    bias = bias_of(judge)
    assert bias is not None
    assert bias.pairs == 6
    assert bias.mean == pytest.approx(0.3)
    take_judgements(run=run)
    assert Judgement.objects.count() == 2
    snapshot = freeze_snapshot(
        actor=None, project=project, annotator_kinds=["ai"], weights={"ai": 0.5}
    )
    row = next(iter(ranking_rows(snapshot)))
    assert (row["soft"][0], row["weight"]) == ([0, 1, 0.75], 0.5)
    assert {one["target"] for one in preference_rows(snapshot)} == {0.75}


_LINE = '{"comparison_id": "%s", "left_out": null, "tiers": %s, "pairs": [], "principle": null}'


@pytest.mark.parametrize(
    ("about", "tiers"), [("0", "[[0], [1], [2]]"), ("ID", "[[0], [9]]"), ("ID", "7"), ("ID", "[[")]
)
def test_nonsense_is_no_judgement(project: Project, about: str, tiers: str):
    run = _ask(make_judge(project))
    run.folder.mkdir(parents=True)
    about = about.replace("ID", str(ids_of(project)[0]))
    (run.folder / JUDGEMENTS).write_text(_LINE % (about, tiers) + "\n")
    with pytest.raises(InvalidInput):
        take_judgements(run=run)
    assert not Judgement.objects.exists()


def test_what_was_judged_or_withdrawn_is_not_asked_again(project: Project):
    judge = make_judge(project, source="gold")
    first, second, third = ids_of(project)
    _ask(judge, [first])
    withdraw_comparison(actor=owner_of(project), comparison=Comparison.objects.get(pk=second))
    assert _ask(judge).judging.comparison_ids == [third]
    with pytest.raises(InvalidInput) as refused:
        _ask(judge)
    assert set(refused.value.errors) == {"which"}


def test_a_retired_judge_and_another_projects_are_not_asked(project: Project):
    judge = make_judge(project, source="gold")
    with pytest.raises(InvalidInput):
        start_judging(
            actor=None, project=make_project(), judge=judge, comparison_ids=ids_of(project)
        )
    with pytest.raises(InvalidInput) as refused:
        _ask(judge, seed=-1, principles={1: {"text": " "}})
    assert set(refused.value.errors) == {"seed", "principles"}
    retire_judge(actor=None, judge=judge)
    with pytest.raises(InvalidInput):
        _ask(judge)


def test_what_is_asked_about_is_chosen_by_its_state_and_the_seed():
    project = make_demo_project(5, for_ai=False)
    owner, judge = owner_of(project), make_judge(project, source="gold")
    ids = ids_of(project)
    assert comparisons_to_judge(project, judge, which="waiting") == []
    assert comparisons_to_judge(project, judge, which="queue") == ids
    assert comparisons_to_judge(project, judge, which="judged") == []
    some = comparisons_to_judge(project, judge, which="queue", limit=2, seed=1)
    assert len(some) == 2
    assert some == comparisons_to_judge(project, judge, which="queue", limit=2, seed=1)
    run = ask_judge(actor=owner, project=project, judge=judge, which="queue", limit=2, seed=1)
    assert run.judging.comparison_ids == some
    assert run.judging.surplus_made == 0
    assert Comparison.objects.filter(for_ai=True, state="closed").count() == 2
    other = make_judge(project, "other", source="gold")
    with pytest.raises(InvalidInput):
        ask_judge(actor=owner, project=project, judge=other, which="waiting")
    with pytest.raises(InvalidInput):
        ask_judge(actor=owner, project=project, judge=other, which="everything")


def test_a_list_of_judges_costs_the_same_however_many(
    project: Project, django_assert_max_num_queries
):
    for number in range(3):
        _ask(make_judge(project, f"judge-{number}", source="gold"))
    with django_assert_max_num_queries(1):
        rows: list[Any] = list(judges_of(project))
        assert [row.judgement_count for row in rows] == [3, 3, 3]
        assert {row.annotator.kind for row in rows} == {"ai"}
