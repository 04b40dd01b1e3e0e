"""AI judges in a round: asked once, waited for, learned from where they are asked for."""

from pathlib import Path

import pytest
from django.test import Client

from labeling.demo.world import prompts as world_prompts
from labeling.exceptions import InvalidInput
from labeling.models import Comparison, Judgement, Project
from labeling.selectors.snapshots import ranking_rows
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import make_model
from tests.training.rounds.turning import LOOP, asked, begin, judge, play, turn, turn_until
from training.judges.services import create_judge, retire_judge
from training.rounds.models import Round
from training.rounds.selectors import cost_of, labelling_of, picture_of, standing_steps
from training.rounds.services import configure_loop, promote_model, redo_step

pytestmark = pytest.mark.django_db(transaction=True)
NO_REWARD = {"trains_reward": False}


@pytest.fixture(autouse=True)
def _recipes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    play(monkeypatch, tmp_path)


def _gold_loop(
    judges: str, prompts: int = 4, judge_name: str = "gold", **changes: object
) -> Project:
    """Return a project of the demo world's prompts, whose judge is the hidden score."""
    project = make_project(validation_share=0.0, test_share=0.0)
    short = [one for one in world_prompts() if len(one.messages) == 1][:prompts]
    for one in short:
        make_prompt(project, text=one.messages[0]["content"], candidates=0)
    owner = owner_of(project)
    promote_model(actor=owner, project=project, model=make_model(project, name="policy"))
    create_judge(actor=owner, project=project, name="gold", source="gold")
    config = {**LOOP, **NO_REWARD, "judges": judges, "judge": judge_name, **changes}
    configure_loop(actor=owner, project=project, config=config)
    return project


def test_ai_judges_alone_label_a_round_without_anybody() -> None:
    project = _gold_loop("ai")
    round = turn_until(begin(project), Round.State.DECIDING)
    comparisons = asked(round)
    assert len(comparisons) == 4
    assert all(one.for_ai and one.state == Comparison.State.CLOSED for one in comparisons)
    assert judge(project) == 0
    (step,) = standing_steps(round, "judge")
    assert step.run is not None
    assert step.run.state == "succeeded"
    assert step.run.judging.judgements_made == 4
    snapshot = standing_steps(round, "freeze")[0].snapshot
    assert snapshot is not None
    assert snapshot.selection["annotator_kinds"] == ["ai"]
    assert all(row["soft"] for row in ranking_rows(snapshot))
    box = next(one for one in picture_of(round) if one.state == Round.State.LABELLING)
    assert [one.kind for one in box.steps] == ["judge"]


def test_both_wait_for_both_and_ai_counts_as_the_loop_weighs_it(client: Client) -> None:
    project = _gold_loop("both", ai_weight=0.25)
    round = turn_until(begin(project), Round.State.LABELLING)
    turn(round)
    turn(round)
    assert round.state == Round.State.LABELLING
    assert {one.state for one in asked(round)} == {Comparison.State.OPEN}
    assert Judgement.objects.filter(origin="ai", surplus=True).count() == 4
    assert judge(project) == 4
    turn_until(round, Round.State.DECIDING)
    assert len(standing_steps(round, "judge")) == 1
    assert (cost_of(round).judgements, cost_of(round).ai_judgements) == (4, 4)
    assert cost_of(round).active_s == 8
    client.force_login(owner_of(project))
    page = client.get(f"/projects/{project.slug}/rounds/{round.number}/").content.decode()
    assert '<dt>Judgements</dt><dd class="num">4</dd>' in page
    assert '<dt>Judgements by AI judges</dt><dd class="num">4</dd>' in page
    snapshot = standing_steps(round, "freeze")[0].snapshot
    assert snapshot is not None
    assert snapshot.counts["labels"] == 8
    assert sorted(row["weight"] for row in ranking_rows(snapshot)) == [0.25] * 4 + [1.0] * 4


def test_two_judges_are_two_steps_and_fill_two_places() -> None:
    project = _gold_loop("ai", judge_name="gold, second,gold")
    create_judge(actor=owner_of(project), project=project, name="second", source="gold")
    round = turn_until(begin(project), Round.State.DECIDING)
    assert len(standing_steps(round, "judge")) == 2
    assert all((one.overlap, one.judgement_count) == (2, 2) for one in asked(round))


def test_people_alone_learn_from_no_ai() -> None:
    project = _gold_loop("people")
    round = turn_until(begin(project), Round.State.LABELLING)
    judge(project)
    turn_until(round, Round.State.DECIDING)
    assert not standing_steps(round, "judge")
    assert not Judgement.objects.filter(origin="ai").exists()


def test_a_judge_that_is_missing_is_said_before_anything_is_paid_for() -> None:
    project = _gold_loop("ai", judge_name="nobody")
    with pytest.raises(InvalidInput) as refused:
        begin(project)
    assert "no AI judge nobody" in refused.value.errors["round"][0]
    with pytest.raises(InvalidInput) as unnamed:
        configure_loop(actor=None, project=project, config={**LOOP, "judges": "ai"})
    assert "judge" in unnamed.value.errors


def test_a_judge_retired_meanwhile_holds_the_round_until_its_next_version() -> None:
    project = _gold_loop("ai")
    round = begin(project)
    owner = owner_of(project)
    retire_judge(actor=owner, judge=project.judges.get())
    for _ in range(3):
        turn(round)
    assert round.state == Round.State.LABELLING
    assert "AI judge gold" in round.problem
    create_judge(actor=owner, project=project, name="gold", source="gold")
    turn_until(round, Round.State.DECIDING)
    assert not round.problem


def test_a_redone_judging_asks_nobody_twice() -> None:
    project = _gold_loop("ai")
    round = turn_until(begin(project), Round.State.DECIDING)
    redo_step(actor=owner_of(project), round=round, kind="judge")
    turn_until(round, Round.State.DECIDING)
    assert Judgement.objects.count() == 4


def test_what_waits_for_people_is_told_apart() -> None:
    project = _gold_loop("ai")
    round = turn_until(begin(project), Round.State.DECIDING)
    assert labelling_of(round, 1.0).comparisons == 4
    assert labelling_of(round, 1.0, by_people=True).comparisons == 0
