"""A round that asks people: once, whatever dies in between, and ended with what it belongs to."""

import pytest

from labeling.models import Comparison, SnapshotItem
from tests.factories import owner_of
from tests.training.contests.playing import (
    PLAYS_EVALUATIONS,
    left_open,
    make_evaluating_round,
    prefer,
)
from tests.training.rounds.turning import begin, judge, make_loop, play, turn, turn_until
from training.contests.models import Contest, ContestComparison
from training.contests.selectors import figures_now
from training.contests.services import open_contest, withdraw_contest
from training.rounds import steps
from training.rounds.models import Round
from training.rounds.selectors import current_policy, made_by, round_contest
from training.rounds.services import cancel_round, redo_step, turn_round

pytestmark = pytest.mark.django_db(transaction=True)
State = Round.State


def asking(**changes) -> Round:
    """Return a round whose policy is evaluated and whose people are asked."""
    round = make_evaluating_round(prompts=14, **{"human_evaluation": 40, **changes})
    return turn(round)


def test_a_round_waits_for_people_and_tells_what_they_said(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path, PLAYS_EVALUATIONS)
    project = make_loop(prompts=40, judged_share=0.01, human_evaluation=40)
    round = turn_until(begin(project), State.LABELLING)
    judge(project, most=3)
    Comparison.objects.filter(state="open").update(state="withdrawn", open_slots=0)
    turn_until(round, State.EVALUATING)
    turn(round)
    contest = round_contest(round)
    assert (round.state, contest.is_open) == (State.EVALUATING, True)
    assert (contest.policy, contest.baseline) == (made_by(round, "policy"), round.policy)
    pairs = ContestComparison.objects.count()
    # Nothing is done again, however often somebody turns the round.
    for _ in range(3):
        turn_round(round_id=round.pk)
    assert (Contest.objects.count(), ContestComparison.objects.count()) == (1, pairs)
    assert prefer(round.project, "policy", most=10) == 10
    assert turn(round).state == State.DECIDING
    contest.refresh_from_db()
    assert (contest.state, figures_now(contest).outcome) == ("decided", "policy")
    assert left_open(contest) == 0
    assert not SnapshotItem.objects.filter(judgement__comparison__for_evaluation=True).exists()


def test_a_process_that_dies_while_asking_leaves_nothing_behind(monkeypatch):
    def dies(**said):
        open_contest(**said)
        raise MemoryError("killed here")

    monkeypatch.setattr(steps, "open_contest", dies)
    round = asking()
    assert not Contest.objects.exists()
    assert not Comparison.objects.filter(for_evaluation=True).exists()
    monkeypatch.setattr(steps, "open_contest", open_contest)
    turn_round(round_id=round.pk)
    assert Contest.objects.count() == 1


@pytest.mark.parametrize(("better", "promoted"), [("policy", True), ("baseline", False)])
def test_the_rule_may_go_by_people(better, promoted):
    # By the reward model the new policy wins 80 % in either case.
    round = asking(promotion="rule", promotion_by="people")
    prefer(round.project, better)
    assert turn(round).state == State.DONE
    assert (current_policy(round.project) == made_by(round, "policy")) is promoted


def test_undecided_people_promote_nothing_by_the_rule():
    round = asking(promotion="rule", promotion_by="people", human_evaluation=4)
    prefer(round.project, "tie")
    assert turn(round).state == State.DONE
    assert round_contest(round).state == "used_up"
    assert current_policy(round.project) == round.policy


def test_people_who_are_asked_no_more_let_the_round_go_on():
    round = asking()
    withdraw_contest(actor=owner_of(round.project), contest=round_contest(round))
    assert turn(round).state == State.DECIDING
    assert Contest.objects.count() == 1


def _redo(round: Round) -> None:
    redo_step(actor=owner_of(round.project), round=round, kind="evaluate")


def _cancel(round: Round) -> None:
    cancel_round(actor=owner_of(round.project), round=round)


@pytest.mark.parametrize("deed", [_redo, _cancel])
def test_redoing_or_cancelling_ends_what_people_are_asked(deed):
    round = asking()
    contest = round_contest(round)
    prefer(round.project, "policy", most=2)
    deed(round)
    contest.refresh_from_db()
    assert (contest.state, left_open(contest)) == ("withdrawn", 0)
    assert figures_now(contest).won == 2


def test_a_round_that_asks_nobody_goes_on_as_ever():
    round = asking(human_evaluation=0)
    assert round.state == State.DECIDING
    assert not Contest.objects.exists()
