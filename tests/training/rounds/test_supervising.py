"""Rounds that fine-tune before they sample: once, each time, on people's or on AI's texts."""

from typing import Any

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import Demonstration, Project, Prompt, Tag
from labeling.models.prompts import State as TextState
from tests.factories import owner_of
from tests.training.factories import make_demonstrations
from tests.training.rounds.turning import begin, judge, make_loop, play, turn, turn_until
from training.constitutions.models import ConstitutionVersion
from training.models import ModelVersion
from training.rounds.models import Round
from training.rounds.selectors import (
    cost_of,
    first_policy,
    made_by,
    picture_of,
    standing_steps,
    start_policy,
)
from training.rounds.services import decide_round, redo_step

State = Round.State
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _recipes_are_played(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path)


def make_written(**changes: Any) -> Project:
    """Return a project with a loop that fine-tunes once, and demonstrations from a file."""
    project = make_loop(prompts=12, **{"sft": "once", **changes})
    make_demonstrations(project)
    return project


def ended(round: Round, *, promote: bool = True) -> Round:
    """Turn a round to its end."""
    turn_until(round, State.LABELLING)
    judge(round.project)
    turn_until(round, State.DECIDING)
    decide_round(actor=owner_of(round.project), round=round, promote=promote)
    return round


def bases(round: Round, kind: str) -> list[ModelVersion | None]:
    """Return what the round's runs of a kind started from."""
    return [step.run.base_model for step in standing_steps(round, kind) if step.run]


def test_what_was_fine_tuned_is_sampled_and_trained_from():
    project = make_written()
    round = ended(begin(project))
    tuned = made_by(round, "sft")
    assert tuned.parent == round.policy == first_policy(project)
    assert start_policy(round) == tuned
    for kind in ("sample", "reward", "policy"):
        assert bases(round, kind) == [tuned]
    evaluation = standing_steps(round, "evaluate")[0].run.evaluation
    assert (evaluation.reference, evaluation.baseline) == (tuned, round.policy)
    assert [step.kind for step in picture_of(round)[0].steps] == ["sft", "sample"]
    assert cost_of(round).computed_s > 0


@pytest.mark.slow
def test_once_is_once_whether_its_policy_was_promoted_or_not():
    project = make_written(start="base")
    one = ended(begin(project))
    two = ended(begin(project), promote=False)
    assert two.policy == made_by(one, "policy")
    three = ended(begin(project))
    tuned = made_by(one, "sft")
    for round in (two, three):
        assert not standing_steps(round, "sft")
        assert start_policy(round) == tuned
        assert bases(round, "policy") == [tuned]
    assert bases(three, "sample") == [two.policy]


@pytest.mark.slow
def test_a_policy_that_was_not_promoted_leaves_the_fine_tuned_one_in_place():
    project = make_written()
    one = ended(begin(project), promote=False)
    two = ended(begin(project))
    assert two.policy == one.policy
    assert not standing_steps(two, "sft")
    assert bases(two, "sample") == bases(two, "policy") == [made_by(one, "sft")]


@pytest.mark.slow
def test_each_is_each_round():
    project = make_written(sft="each")
    one = ended(begin(project))
    two = ended(begin(project))
    assert bases(two, "sft") == [made_by(one, "policy")]
    assert bases(two, "sample") == [made_by(two, "sft")]
    assert start_policy(one) == made_by(one, "sft")  # what came later does not change it


def test_a_constitution_makes_the_demonstrations_itself():
    project = make_loop(prompts=12, sft="once", sft_from="ai", constitution="default")
    round = turn(begin(project))
    assert [step.kind for step in standing_steps(round)] == ["revise"]
    run = standing_steps(round, "revise")[0].run
    assert (run.state, run.base_model) == ("succeeded", round.policy)
    ended(round)
    kinds = [step.kind for step in standing_steps(round)]
    assert kinds == ["revise", "sft", "sample", "freeze", "reward", "policy", "evaluate"]
    version = ConstitutionVersion.objects.get()
    assert run.revising.constitution == version
    assert str(version) == "default v1"
    assert Demonstration.objects.filter(annotator__kind="ai").count() == 12
    snapshot = standing_steps(round, "sft")[0].run.snapshot
    assert snapshot.selection["annotator_kinds"] == ["ai"]
    assert snapshot.counts["labels"] == 12


@pytest.mark.slow
def test_demonstrations_of_people_and_of_ai_can_be_told_apart():
    project = make_loop(prompts=12, sft="each", constitution="default")
    make_demonstrations(project, 3)
    round = turn_until(begin(project), State.LABELLING)
    assert standing_steps(round, "sft")[0].run.snapshot.counts["labels"] == 12 + 3 + 3
    # The three prompts that demonstrations brought have been revised for too.
    other = make_loop(prompts=12, sft="each", sft_from="people")
    make_demonstrations(other, 3)
    round = turn_until(begin(other), State.LABELLING)
    assert standing_steps(round, "sft")[0].run.snapshot.counts["labels"] == 3


def test_a_redone_revision_is_learned_from_once():
    project = make_loop(prompts=12, sft="once", constitution="default")
    round = turn(begin(project))
    turn(round)
    first = standing_steps(round, "revise")[0].run
    redo_step(actor=owner_of(project), round=round, kind="revise")
    assert not standing_steps(round)
    turn_until(round, State.LABELLING)
    run = standing_steps(round, "revise")[0].run
    assert run != first
    gone = Demonstration.objects.filter(revised__revising_run=first.pk)
    assert set(gone.values_list("state", flat=True)) == {TextState.WITHDRAWN}
    assert standing_steps(round, "sft")[0].run.snapshot.counts["labels"] == 12


def test_a_redone_fine_tuning_keeps_the_revisions():
    project = make_loop(prompts=12, sft="once", constitution="default")
    round = turn(turn(begin(project)))
    assert made_by(round, "sft")
    old = made_by(round, "sft")
    redo_step(actor=owner_of(project), round=round, kind="sft")
    assert start_policy(round) == round.policy
    turn_until(round, State.LABELLING)
    assert made_by(round, "sft") != old
    assert bases(round, "sample") == [made_by(round, "sft")]
    assert Demonstration.objects.filter(state=TextState.WITHDRAWN).count() == 0


def test_what_the_loop_leaves_alone_is_neither_revised_nor_learned():
    project = make_loop(prompts=12, sft="once", constitution="default", exclude_tags="secret")
    make_demonstrations(project, 3)
    tag = Tag.objects.create(project=project, name="secret")
    for prompt in (*Prompt.objects.order_by("pk")[:2], Prompt.objects.order_by("pk").last()):
        prompt.tags.add(tag)  # the last one has a demonstration
    round = turn(turn(begin(project)))
    assert len(standing_steps(round, "revise")[0].run.revising.prompt_ids) == 15 - 3
    snapshot = standing_steps(round, "sft")[0].run.snapshot
    assert snapshot.counts["labels"] == 12 + 2
    assert snapshot.selection["exclude_tags"] == ["secret"]


def test_turning_again_and_again_makes_nothing_twice():
    project = make_loop(prompts=12, sft="each", constitution="default")
    round = begin(project)
    for _ in range(4):
        turn(round)
        turn(round)
    assert round.state == State.LABELLING
    made = [step.kind for step in standing_steps(round)]
    assert sorted(made) == ["revise", "sample", "sft"]
    assert Demonstration.objects.count() == 12


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sft": "once"}, "there are none of that kind"),
        ({"sft": "each", "sft_from": "ai"}, "there are none of that kind"),
        ({"sft": "once", "constitution": "ours"}, "no constitution ours"),
    ],
)
def test_what_would_be_lacking_is_said_before_labels_are_paid_for(changes, reason):
    project = make_loop(prompts=12, **changes)
    with pytest.raises(InvalidInput) as found:
        begin(project)
    assert reason in found.value.errors["round"][0]


@pytest.mark.slow
def test_a_policy_made_by_sft_needs_none():
    project = make_written(start="base")
    ended(begin(project))
    Demonstration.objects.update(state=TextState.WITHDRAWN)
    second = begin(project)  # its first policy stands fine-tuned by the round before
    turn_until(second, State.LABELLING)
    assert not standing_steps(second, "sft")
