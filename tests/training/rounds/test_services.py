"""The loop turns: each state begins the next, nothing is done twice, people decide."""

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import AuditEvent, Prompt, Snapshot, Tag
from tests.factories import make_project, make_prompt, owner_of
from tests.training.factories import FAILS, make_demonstrations, make_model
from tests.training.judges.factories import make_judge
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
from training import tasks
from training.exceptions import RoundMovedOn
from training.models import Evaluation, ModelVersion, TrainingRun
from training.rounds.models import ProjectLoop, Promotion, Round, RoundStep
from training.rounds.presets import LOOP_PRESETS
from training.rounds.selectors import (
    cost_of,
    current_policy,
    first_policy,
    made_by,
    measured_by,
    picture_of,
    policy_before,
    standing_steps,
    start_policy,
)
from training.rounds.services import (
    cancel_round,
    configure_loop,
    decide_round,
    pause_round,
    promote_model,
    redo_step,
    roll_back,
    start_round,
    turn_round,
)

pytestmark = pytest.mark.django_db(transaction=True)
State = Round.State


@pytest.fixture(autouse=True)
def _played(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path)


def test_a_round_turns_from_sampling_to_a_new_policy():
    project = make_loop(prompts=12)
    first = current_policy(project)
    round = begin(project)
    turn_until(round, State.LABELLING)
    assert [c.prompt_id for c in asked(round)] == list(
        Prompt.objects.order_by("pk").values_list("pk", flat=True)
    )
    assert turn(round).state == State.LABELLING
    assert judge(project) == 12
    turn_until(round, State.DECIDING)
    policy, reward = made_by(round, "policy"), made_by(round, "reward")
    assert policy
    assert reward
    assert (policy.parent, reward.parent) == (first, first)
    assert policy.run.snapshot == reward.run.snapshot == Snapshot.objects.get()
    decide_round(actor=owner_of(project), round=round, promote=True, note="it is better")
    round.refresh_from_db()
    assert (round.state, current_policy(project)) == (State.DONE, policy)
    assert (first_policy(project), policy_before(project)) == (first, first)
    assert cost_of(round).judgements == 12
    assert cost_of(round).active_s == 24
    assert cost_of(round).computed_s > 0
    assert [box.place for box in picture_of(round)] == ["done"] * 8
    verbs = AuditEvent.objects.filter(verb__startswith="round.").order_by("pk")
    assert [event.verb for event in verbs] == ["round.start", "round.end"]


def test_the_new_policy_is_measured_against_the_one_that_the_round_began_with():
    project = make_loop(prompts=12, judged_share=0.1)
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DECIDING)
    evaluation = Evaluation.objects.get()
    assert evaluation.policy == made_by(round, "policy")
    assert (evaluation.baseline, evaluation.reference) == (round.policy, round.policy)
    assert evaluation.run.reward_model == made_by(round, "reward")
    assert measured_by(round).win_rate.value == 0.8


@pytest.mark.parametrize(("won", "promoted"), [(0.8, True), (0.55, False)])
def test_the_rule_promotes_what_surely_wins(monkeypatch, tmp_path, won, promoted):
    play(monkeypatch, tmp_path, won=won)
    project = make_loop(prompts=12, judged_share=0.1, promotion="rule")
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DONE)
    assert (current_policy(project) == made_by(round, "policy")) is promoted


def test_a_policy_that_was_promoted_by_hand_ends_its_round_all_the_same():
    project = make_loop(prompts=12, judged_share=0.1)
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DECIDING)
    promote_model(actor=None, project=project, model=made_by(round, "policy"))
    decide_round(actor=owner_of(project), round=round, promote=True)
    round.refresh_from_db()
    assert (round.state, Promotion.objects.count()) == (State.DONE, 2)


def test_turning_again_does_nothing_again():
    round = begin(make_loop())
    first = turn_round(round_id=round.pk)
    assert first == [TrainingRun.objects.get().pk]
    assert turn_round(round_id=round.pk) == []
    turn_until(round, State.LABELLING)
    comparisons = asked(round)
    assert turn_round(round_id=round.pk) == []
    assert asked(round) == comparisons
    assert RoundStep.objects.count() == 1


def test_replies_of_several_policies_meet_in_one_comparison():
    project = make_loop(share_current=0.5, share_base=0.5)
    second = make_model(project, name="second")
    promote_model(actor=owner_of(project), project=project, model=second)
    round = turn_until(begin(project), State.LABELLING)
    comparison = asked(round)[0]
    names = [slot.candidate.sources.get().model_name for slot in comparison.slots.order_by("slot")]
    assert sorted(names) == ["policy v1", "policy v1", "second v1", "second v1"]
    assert len(standing_steps(round, "sample")) == 2


def test_shares_of_models_that_are_one_are_sampled_once():
    round = begin(make_loop(share_current=0.5, share_previous=0.25, share_base=0.25))
    turn(round)
    (step,) = standing_steps(round, "sample")
    assert step.run.config["candidates_per_prompt"] == 4


def test_ppo_starts_from_the_base_and_is_judged_by_the_rounds_reward_model():
    project = make_loop(prompts=12, policy_recipe="ppo", start="base")
    promote_model(
        actor=owner_of(project), project=project, model=make_model(project, name="second")
    )
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DECIDING)
    (step,) = standing_steps(round, "policy")
    assert step.run.recipe == "ppo"
    assert step.run.base_model == first_policy(project)
    assert step.run.reward_model == made_by(round, "reward")


def test_a_round_of_its_own_labels_leaves_older_ones_out():
    project = make_loop(labels="round", trains_reward=False)
    for judged in (12, 12):
        round = turn_until(begin(project), State.LABELLING)
        judge(project)
        turn_until(round, State.DECIDING)
        (step,) = standing_steps(round, "freeze")
        assert step.snapshot.counts["labels"] == judged
        decide_round(actor=None, round=round, promote=True)
    assert Promotion.objects.count() == 3
    assert not ModelVersion.objects.filter(kind="reward").exists()


def test_enough_may_be_less_than_all():
    project = make_loop(prompts=4, judged_share=0.5, trains_reward=False)
    round = turn_until(begin(project), State.LABELLING)
    judge(project, most=1)
    assert turn(round).state == State.LABELLING
    judge(project, most=1)
    assert turn(round).state != State.LABELLING
    assert standing_steps(round, "freeze")[0].snapshot.counts["labels"] == 2


def test_after_so_many_days_the_round_goes_on_with_what_is_there():
    project = make_loop(most_days=1)
    round = turn_until(begin(project), State.LABELLING)
    Round.objects.update(labelling_since="2026-01-01T00:00Z")
    assert turn(round).state == State.FROZEN
    assert round.problem
    judge(project)
    assert turn(round).state == State.TRAINING_REWARD
    assert round.problem == ""


def test_a_failed_run_holds_the_round_until_it_is_redone(monkeypatch, tmp_path):
    project = make_loop(trains_reward=False)
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    play(monkeypatch, tmp_path, FAILS)
    for _ in range(3):
        turn(round)
    assert round.state == State.TRAINING_POLICY
    assert "(dpo) is failed" in round.problem
    assert TrainingRun.objects.filter(recipe="dpo").count() == 1
    play(monkeypatch, tmp_path, PLAYS_ALL)
    redo_step(actor=owner_of(project), round=round, kind="policy")
    turn_until(round, State.DECIDING)
    assert round.problem == ""
    assert RoundStep.objects.filter(kind="policy").count() == 2
    assert made_by(round, "policy").run.state == TrainingRun.State.SUCCEEDED


def test_redoing_a_step_supersedes_what_came_after_it():
    project = make_loop(prompts=12)
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DECIDING)
    before = made_by(round, "policy")
    redo_step(actor=owner_of(project), round=round, kind="reward")
    assert [step.kind for step in standing_steps(round)] == ["sample", "freeze"]
    turn_until(round, State.DECIDING)
    assert made_by(round, "policy") != before
    with pytest.raises(InvalidInput, match="asked about these replies"):
        redo_step(actor=None, round=round, kind="sample")
    with pytest.raises(InvalidInput, match="no such step"):
        redo_step(actor=None, round=round, kind="nothing")


def test_a_paused_round_rests_and_a_cancelled_one_ends_its_runs():
    project = make_loop()
    round = begin(project)
    pause_round(actor=None, round=round)
    assert turn_round(round_id=round.pk) == []
    assert not TrainingRun.objects.exists()
    pause_round(actor=None, round=round, paused=False)
    turn_round(round_id=round.pk)
    cancel_round(actor=None, round=round)
    assert TrainingRun.objects.get().state == TrainingRun.State.CANCELLED
    for deed in (cancel_round, pause_round):
        with pytest.raises(RoundMovedOn):
            deed(actor=None, round=round)
    assert begin(project).number == 2


def test_rounds_ahead_start_by_themselves():
    project = make_loop(rounds_ahead=1, trains_reward=False)
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DECIDING)
    decide_round(actor=owner_of(project), round=round, promote=True)
    second = Round.objects.get(number=2)
    assert (second.state, second.policy) == (State.SAMPLING, made_by(round, "policy"))
    assert turn_until(second, State.LABELLING).seed == 2
    assert ProjectLoop.objects.get().rounds_ahead == 0


def test_rolling_back_goes_back_by_one_each_time():
    project = make_loop()
    models = [current_policy(project)]
    for name in ("second", "third"):
        models.append(make_model(project, name=name))
        promote_model(actor=None, project=project, model=models[-1])
    assert roll_back(actor=None, project=project).model == models[1]
    assert roll_back(actor=None, project=project).model == models[0]
    with pytest.raises(InvalidInput, match="no earlier policy"):
        roll_back(actor=None, project=project)
    assert current_policy(project) == models[0]


def test_what_was_rolled_back_is_not_gone_back_to():
    project = make_loop()
    first, owner = current_policy(project), owner_of(project)
    second, third = (make_model(project, name=name) for name in ("second", "third"))
    promote_model(actor=owner, project=project, model=second)
    with pytest.raises(InvalidInput, match="current policy already"):
        promote_model(actor=owner, project=project, model=second)
    roll_back(actor=owner, project=project)
    promote_model(actor=owner, project=project, model=third)
    assert policy_before(project) == first
    assert AuditEvent.objects.filter(verb="model.roll_back", actor=owner).count() == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"replies_per_prompt": 3}, "needs 4 replies"),
        ({"tags": "nowhere"}, "held out to evaluate on"),
        (
            {
                "policy_recipe": "ppo",
                "trains_reward": True,
                "recipes": {"ppo": {"ptx_coefficient": 0.1}},
            },
            "keeps demonstrations likely",
        ),
    ],
)
def test_a_round_that_would_get_stuck_does_not_begin(changes, reason):
    project = make_loop(prompts=12, **changes)
    with pytest.raises(InvalidInput) as found:
        begin(project)
    assert reason in found.value.errors["round"][0]
    assert not Round.objects.exists()


def test_ppo_ptx_keeps_the_projects_demonstrations_likely():
    project = make_loop(prompts=12, policy_recipe="ppo", recipes={"ppo": {"ptx_coefficient": 0.1}})
    make_demonstrations(project)
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DECIDING)
    run = made_by(round, "policy").run
    assert run.snapshot.kind == Snapshot.Kind.DEMONSTRATIONS


def test_a_round_of_every_preset_comes_to_its_decision():
    for name in LOOP_PRESETS:
        project = make_loop(prompts=12)
        make_demonstrations(project)
        config = LOOP_PRESETS[name]
        if "judge" in config:
            make_judge(project, config["judge"])
        configure_loop(actor=owner_of(project), project=project, config=config)
        round = turn_until(begin(project), State.LABELLING)
        judge(project)
        turn_until(round, State.DECIDING)
        assert made_by(round, "policy").parent == start_policy(round)


def test_one_round_that_breaks_stops_no_other(monkeypatch):
    broken, sound = begin(make_loop()), begin(make_loop())
    Round.objects.filter(pk=broken.pk).update(config={"gone": 1})
    tasks.turn_rounds()
    broken.refresh_from_db()
    assert "does not read how this round turns" in broken.problem
    assert standing_steps(sound, "sample")

    def refuse(*, round_id: int) -> list[int]:
        if round_id == broken.pk:
            raise OSError("the disk is full")
        turned.append(round_id)
        return []

    turned: list[int] = []
    monkeypatch.setattr(tasks, "turn_round", refuse)
    tasks.turn_rounds()
    assert turned == [sound.pk]


def test_a_failed_sampling_run_is_redone(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path, FAILS)
    round = turn(begin(make_loop()))
    assert "(sample) is failed" in turn(round).problem
    play(monkeypatch, tmp_path, PLAYS_ALL)
    redo_step(actor=None, round=round, kind="sample")
    turn_until(round, State.LABELLING)


def test_what_can_not_be_started_is_refused_with_its_reason():
    project = make_project()
    owner = owner_of(project)
    with pytest.raises(InvalidInput) as found:
        start_round(actor=owner, project=project)
    assert found.value.errors == {"round": ["Say first how the loop turns."]}
    configure_loop(actor=owner, project=project, config={"trains_reward": False})
    with pytest.raises(InvalidInput) as found:
        start_round(actor=owner, project=project)
    assert "promote one" in found.value.errors["round"][0]
    with pytest.raises(InvalidInput) as found:
        promote_model(actor=owner, project=project, model=make_model(project, "reward"))
    assert "model" in found.value.errors
    promote_model(actor=owner, project=project, model=make_model(project))
    with pytest.raises(InvalidInput) as found:
        start_round(actor=owner, project=project, seed=-1)
    assert "whole number" in found.value.errors["round"][0]
    round = start_round(actor=owner, project=project)
    with pytest.raises(InvalidInput) as found:
        start_round(actor=owner, project=project)
    assert "under way" in found.value.errors["round"][0]
    with pytest.raises(RoundMovedOn, match="nothing to decide"):
        decide_round(actor=owner, round=round, promote=True)


def test_a_round_without_prompts_says_so_and_goes_on_once_there_are_some():
    project = make_loop(prompts=0, trains_reward=False)
    round = begin(project)
    assert "No prompt" in turn(round).problem
    tasks.turn_rounds()
    make_prompt(project, candidates=0)
    turn(round)
    assert round.problem == ""
    turn_until(round, State.LABELLING)


def test_prompts_that_are_left_alone_are_neither_sampled_nor_learned_from_nor_evaluated():
    project = make_loop(
        prompts=24, policy_recipe="ppo", exclude_tags="kept, other", judged_share=0.1
    )
    tag = Tag.objects.create(project=project, name="kept")
    kept = set(Prompt.objects.order_by("pk").values_list("pk", flat=True)[::3])
    for prompt in Prompt.objects.filter(pk__in=kept):
        prompt.tags.add(tag)
    round = turn_until(begin(project), State.LABELLING)
    judge(project)
    turn_until(round, State.DECIDING)
    (sampled,), (learned,) = standing_steps(round, "sample"), standing_steps(round, "policy")
    assert len(sampled.run.sampling.prompt_ids) == 16
    asked_for = [
        *sampled.run.sampling.prompt_ids,
        *learned.run.prompts.prompt_ids,
        *Evaluation.objects.get().prompt_ids,
    ]
    assert not kept & set(asked_for)
