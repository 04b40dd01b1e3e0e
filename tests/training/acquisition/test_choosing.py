"""Rounds that choose what they ask: by chance at first, then by an earlier round's reward model."""

from typing import Any

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import AuditEvent, Candidate
from labeling.services.comparisons import queue_comparisons
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import HEAD, make_model
from tests.training.rounds.turning import (
    PLAYS_ALL,
    asked,
    begin,
    judge,
    make_loop,
    play,
    turn,
    turn_until,
)
from training.acquisition.models import Scoring
from training.acquisition.selectors import arms_of, scorer_for, scores_for
from training.acquisition.services import ask_first, create_scoring
from training.config_fields import ConfigError
from training.models import TrainingRun
from training.rounds.config import LoopConfig
from training.rounds.loops import parse_loop
from training.rounds.models import Round, RoundComparison
from training.rounds.selectors import made_by, standing_steps
from training.rounds.services import cancel_round, redo_step, turn_round
from training.selectors import input_rows

pytestmark = pytest.mark.django_db(transaction=True)
State = Round.State
CHOOSING = {"pool_factor": 2, "strategy": "disagreement", "control_share": 0.25}


@pytest.fixture(autouse=True)
def _played(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path)


def _second_round(**changes: Any) -> tuple[Round, Round]:
    """Return a round whose project has a reward model of an earlier round, which was cancelled."""
    project = make_loop(prompts=8, judged_share=0.1, **{**CHOOSING, **changes})
    first = turn_until(begin(project), State.LABELLING)
    assert judge(project, most=4) == 4
    turn_until(first, State.TRAINING_POLICY)
    cancel_round(actor=owner_of(project), round=first)
    return first, begin(project)


def _arms(round: Round) -> list[str]:
    return sorted(RoundComparison.objects.filter(round=round).values_list("arm", flat=True))


def test_a_first_round_chooses_by_chance_from_more_than_it_asks_about():
    project = make_loop(prompts=8, **CHOOSING)
    round = turn_until(begin(project), State.LABELLING)
    assert Candidate.objects.count() == 64
    assert sorted(one.prompt.pk for one in asked(round)) == sorted(
        project.prompts.values_list("pk", flat=True)
    )
    assert _arms(round) == ["random"] * 8
    assert not standing_steps(round, "score")


def test_a_later_round_scores_its_replies_and_keeps_a_control():
    first, round = _second_round()
    assert scorer_for(first) is None
    assert scorer_for(round) == made_by(first, "reward")
    assert made_by(first, "reward").run.config["ensemble"] == 4
    turn_until(round, State.LABELLING)
    (step,) = standing_steps(round, "score")
    assert step.run.reward_model == made_by(first, "reward")
    found = scores_for(round)
    assert len(found) == 64
    assert all(scores == [pk % 7, pk % 5 - 2] for pk, scores in found.items())
    assert _arms(round) == ["disagreement"] * 6 + ["random"] * 2
    assert [(one.name, one.comparisons, one.closed) for one in arms_of(round)] == [
        ("random", 2, 0),
        ("disagreement", 6, 0),
    ]
    before = [one.pk for one in asked(round)]
    assert turn_round(round_id=round.pk) == []
    assert [one.pk for one in asked(round)] == before
    assert Scoring.objects.count() == 1


def test_a_prompt_may_be_asked_about_often_where_the_loop_says_so():
    project = make_project()
    prompts = [make_prompt(project, candidates=8) for _ in range(4)]
    ids = {prompt.pk: list(prompt.candidates.values_list("pk", flat=True)) for prompt in prompts}
    close = prompts[2].pk  # its candidates score alike, the others' do not
    scores = {
        pk: [0.0 if prompt == close else 9.0 * nth]
        for prompt, pks in ids.items()
        for nth, pk in enumerate(pks)
    }
    how = LoopConfig(pool_factor=2, strategy="margin", comparisons_per_prompt=2, control_share=0.05)
    made = ask_first(
        actor=None,
        project=project,
        prompt_ids=list(ids),
        candidate_ids=list(scores),
        scores=scores,
        how=how,
        seed=1,
    )
    assert sorted(arm for _, arm in made) == ["margin"] * 3 + ["random"]
    assert [comparison.prompt_id for comparison, _ in made].count(close) == 2


@pytest.mark.parametrize(
    ("strategy", "members", "arms"),
    [
        ("disagreement", 1, ["random"] * 4),
        ("thompson", 1, ["random"] * 4),
        ("disagreement", 2, ["disagreement"] * 3 + ["random"]),
    ],
)
def test_chance_chooses_where_one_member_scored_what_members_are_compared_by(
    strategy, members, arms
):
    """A loop that was changed between rounds: its earlier reward model is no ensemble."""
    project = make_project()
    prompts = [make_prompt(project, candidates=8) for _ in range(4)]
    ids = list(Candidate.objects.values_list("pk", flat=True))
    made = ask_first(
        actor=None,
        project=project,
        prompt_ids=[prompt.pk for prompt in prompts],
        candidate_ids=ids,
        scores={pk: [float(pk % 3), float(pk % 5)][:members] for pk in ids},
        how=LoopConfig(pool_factor=2, strategy=strategy, control_share=0.05),
        seed=1,
    )
    assert sorted(arm for _, arm in made) == arms


def test_a_scoring_that_fails_holds_the_round_until_it_is_redone(monkeypatch, tmp_path):
    _, round = _second_round(strategy="thompson")
    turn(round)
    fails = 'if head["recipe"] == "score":\n    sys.exit(3)\n'
    play(monkeypatch, tmp_path, PLAYS_ALL.replace(HEAD, HEAD + fails))
    turn(round)
    assert turn(round).state == State.SAMPLING
    assert "score" in round.problem
    play(monkeypatch, tmp_path)
    redo_step(actor=None, round=round, kind="score")
    turn_until(round, State.LABELLING)
    assert TrainingRun.objects.filter(recipe="score").count() == 2
    assert "thompson" in _arms(round)


def test_what_a_scoring_reads_and_what_it_refuses():
    project, other = make_project(), make_project()
    candidates = list(make_prompt(project, candidates=3).candidates.order_by("pk"))
    stranger = make_prompt(other, candidates=1).candidates.get()
    ids = [one.pk for one in candidates]
    reward = make_model(project, "reward")
    run = create_scoring(
        actor=owner_of(project),
        project=project,
        reward_model=reward,
        candidate_ids=[*ids, stranger.pk],
    )
    rows = list(input_rows(run))
    assert [row["candidate_id"] for row in rows] == [str(pk) for pk in ids]
    assert rows[0]["prompt"][-1]["role"] == "user"
    assert rows[0]["completion"][0]["role"] == "assistant"
    assert AuditEvent.objects.get(verb="scoring.create").data["candidates"] == 3
    for model, pks, field in (
        (make_model(project), ids, "reward_model"),
        (make_model(other, "reward"), ids, "reward_model"),
        (reward, [stranger.pk], "candidate_ids"),
    ):
        with pytest.raises(InvalidInput) as caught:
            create_scoring(actor=None, project=project, reward_model=model, candidate_ids=pks)
        assert list(caught.value.errors) == [field]


def test_whoever_queues_comparisons_may_deal_them():
    project = make_project()
    prompt = make_prompt(project, candidates=5)
    (made,) = queue_comparisons(
        actor=None,
        project=project,
        prompt_ids=[prompt.pk],
        size=2,
        deal=lambda free: [[free[prompt.pk][4], free[prompt.pk][0]]],
    )
    first, *_, last = prompt.candidates.order_by("pk")
    assert [slot.candidate for slot in made.slots.order_by("slot")] == [last, first]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"strategy": "margin"}, "pool_factor"),
        (
            {"strategy": "margin", "pool_factor": 2, "trains_reward": False, "promotion": "ask"},
            "strategy",
        ),
        (
            {
                "strategy": "thompson",
                "pool_factor": 2,
                "recipes": {"reward": {"ensemble": 1}},
            },
            "recipes.reward.ensemble",
        ),
    ],
)
def test_a_loop_with_nothing_to_choose_by_is_refused(given, field):
    with pytest.raises(ConfigError) as caught:
        parse_loop(given)
    assert field in caught.value.errors


def test_a_strategy_that_compares_members_trains_an_ensemble():
    loop = parse_loop({"strategy": "disagreement", "pool_factor": 4})
    assert loop.recipe_config("reward")["ensemble"] == 4
    own = {"recipes": {"reward": {"ensemble": 3}}}
    loop = parse_loop({"strategy": "thompson", "pool_factor": 4, **own})
    assert loop.recipe_config("reward")["ensemble"] == 3
    assert "ensemble" not in parse_loop({}).recipe_config("reward")
