"""What an AI judge leaves to people, in a round."""

from pathlib import Path

import pytest

from labeling.demo.world import prompts as world_prompts
from labeling.exceptions import InvalidInput
from labeling.services.more_people import ask_people
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import make_model
from tests.training.rounds.turning import (
    LOOP,
    PLAYS_ALL,
    asked,
    begin,
    judge,
    play,
    turn,
    turn_until,
)
from training.calibration.models import RoutedComparison
from training.calibration.selectors import routed_in
from training.judges.services import create_judge, retire_judge
from training.rounds.loops import parse_loop
from training.rounds.models import Round
from training.rounds.selectors import standing_steps
from training.rounds.services import configure_loop, promote_model, redo_step

pytestmark = pytest.mark.django_db(transaction=True)
# The recipe has no answer for one of four comparisons.
LEAVES_OUT = PLAYS_ALL.replace(
    '"left_out": None', '"left_out": None if int(row["comparison_id"]) % 4 else "no_answer"'
)


@pytest.fixture(autouse=True)
def _recipes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    play(monkeypatch, tmp_path)


def begun(prompts: int = 3, style: str = "", **changes: object) -> Round:
    """Return a round of the demo world's prompts that the hidden score judges.

    With a style a policy judges them in its place.
    """
    project = make_project(validation_share=0.0, test_share=0.0)
    short = [one for one in world_prompts() if len(one.messages) == 1][:prompts]
    for one in short:
        make_prompt(project, text=one.messages[0]["content"], candidates=0)
    owner = owner_of(project)
    promote_model(actor=owner, project=project, model=make_model(project, name="policy"))
    create_judge(actor=owner, project=project, name="gold", source="gold")
    if style:
        asks = {"model": make_model(project, name="asked"), "config": {"style": style}}
        create_judge(actor=owner, project=project, name="critic", **asks)
    named = "critic" if style else "gold"
    config = {**LOOP, "trains_reward": False, "judges": "ai", "judge": named, **changes}
    configure_loop(actor=owner, project=project, config=config)
    return begin(project)


def test_a_round_waits_for_people_where_the_judge_is_unsure(client):
    round = turn_until(begun(least_certainty=1.0, overlap=2), Round.State.LABELLING)
    turn(round)
    turn(round)
    assert round.state == Round.State.LABELLING
    rows = RoutedComparison.objects.filter(round=round)
    assert {row.comparison for row in rows} == set(asked(round))
    assert {(one.for_ai, one.state, one.open_slots) for one in asked(round)} == {(False, "open", 2)}
    (told,) = routed_in(round)
    assert (told.reason, told.comparisons, told.judged) == ("unsure", 3, 0)
    client.force_login(owner_of(round.project))
    shown = client.get(f"/projects/{round.project.slug}/rounds/{round.number}/").text
    assert "Left to people by AI judges" in shown
    assert "3 comparisons, 0 judged by people" in shown
    address = f"/api/v1/projects/{round.project.slug}/rounds/{round.number}/"
    assert client.get(address).json()["routed"] == [
        {"reason": "unsure", "topic": "", "comparisons": 3, "judged": 0}
    ]


def test_it_learns_from_both_once_people_have_judged():
    round = turn_until(begun(least_certainty=1.0), Round.State.LABELLING)
    turn(round)
    assert judge(round.project) == 3
    turn_until(round, Round.State.DECIDING)
    assert RoutedComparison.objects.count() == 3
    snapshot = standing_steps(round, "freeze")[0].snapshot
    assert snapshot.counts["labels"] == 6


def test_what_is_no_known_weakness_goes_to_nobody():
    round = turn_until(begun(weak_topics=True), Round.State.DECIDING)
    assert not RoutedComparison.objects.exists()
    assert judge(round.project) == 0


def test_no_person_is_offered_what_waits_for_a_judge_that_is_missing():
    round = begun()
    owner = owner_of(round.project)
    retire_judge(actor=owner, judge=round.project.judges.get())
    turn_until(round, Round.State.LABELLING)
    assert turn(round).problem
    assert judge(round.project) == 0
    create_judge(actor=owner, project=round.project, name="gold", source="gold")
    turn_until(round, Round.State.DECIDING)
    assert {(one.for_ai, one.state) for one in asked(round)} == {(True, "closed")}


def test_what_people_are_asked_besides_holds_no_round_of_ai_alone():
    round = begun()
    owner = owner_of(round.project)
    retire_judge(actor=owner, judge=round.project.judges.get())
    turn_until(round, Round.State.LABELLING)
    ids = [one.pk for one in asked(round)]
    ask_people(actor=owner, project=round.project, comparison_ids=ids[:2], people=2)
    judge(round.project, most=1)
    create_judge(actor=owner, project=round.project, name="gold", source="gold")
    turn_until(round, Round.State.DECIDING)
    assert [one.for_ai for one in asked(round)] == [False, False, True]


def test_redoing_the_judges_leaves_with_people_what_was_left_to_them():
    round = turn_until(begun(least_certainty=1.0), Round.State.LABELLING)
    turn(round)
    turn(round)
    redo_step(actor=owner_of(round.project), round=round, kind="judge")
    turn(round)
    turn(round)
    assert {(one.for_ai, one.open_slots) for one in asked(round)} == {(False, 1)}
    assert judge(round.project) == 3
    turn_until(round, Round.State.DECIDING)
    assert RoutedComparison.objects.count() == 3


def test_what_the_judge_cannot_judge_goes_to_people_where_a_loop_sends_on(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path, LEAVES_OUT)
    round = turn_until(begun(4, "pairwise", weak_topics=True), Round.State.LABELLING)
    for _ in range(3):
        turn(round)
    assert round.state == Round.State.LABELLING
    row = RoutedComparison.objects.get(round=round)
    assert (row.reason, row.confidence) == ("unsure", None)
    assert (row.comparison.for_ai, row.comparison.open_slots) == (False, 1)
    assert judge(round.project) == 1
    turn_until(round, Round.State.DECIDING)
    snapshot = standing_steps(round, "freeze")[0].snapshot
    assert snapshot.counts["labels"] == 4


def test_what_the_judge_cannot_judge_holds_no_round_of_ai_alone(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path, LEAVES_OUT)
    round = turn_until(begun(4, "pairwise"), Round.State.DECIDING)
    (left,) = [one for one in asked(round) if one.state == "open"]
    assert left.for_ai
    assert not RoutedComparison.objects.exists()


def test_a_judge_that_tells_no_certainty_is_asked_for_none():
    with pytest.raises(InvalidInput) as refused:
        begun(style="aspects", least_certainty=0.7)
    assert "AI judge critic" in refused.value.errors["round"][0]


def test_sending_on_makes_sense_where_ai_judges_alone():
    with pytest.raises(InvalidInput) as error:
        configure_loop(
            actor=None,
            project=make_project(),
            config={"least_certainty": 0.7, "weak_topics": True},
        )
    assert set(error.value.errors) == {"least_certainty", "weak_topics"}
    told = parse_loop({"judges": "ai", "judge": "critic", "weak_topics": True}).config
    assert told.routes
    assert "person" in told.label_kinds
