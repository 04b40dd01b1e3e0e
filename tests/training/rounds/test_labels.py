"""Of AI judges a round learns from those that its standing steps asked, and from no others."""

from pathlib import Path

import pytest

from labeling.models import Comparison, Judgement, Project
from tests.factories import owner_of
from tests.training.rounds.turning import asked, begin, make_loop, play, turn_until
from training.judges.models import Judge
from training.judges.services import create_judge, start_judging
from training.models import TrainingRun
from training.rounds.labels import ai_annotators_of
from training.rounds.models import Round
from training.rounds.selectors import current_policy, standing_steps
from training.rounds.services import decide_round, redo_step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _recipes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    play(monkeypatch, tmp_path)


def _loop(labels: str = "all") -> Project:
    project = make_loop(prompts=3, judges="ai", judge="strict", labels=labels, trains_reward=False)
    _make_judge(project, "strict")
    return project


def _make_judge(project: Project, name: str) -> Judge:
    return create_judge(
        actor=owner_of(project), project=project, name=name, model=current_policy(project)
    )


def _try_out(judge: Judge, comparisons: list[Comparison]) -> None:
    """Ask a judge outside any round, as one is tried whose calibration somebody wants to see."""
    start_judging(
        actor=owner_of(judge.project),
        project=judge.project,
        judge=judge,
        comparison_ids=[one.pk for one in comparisons],
    )


def _learned_from(round: Round) -> set[str]:
    """Return the AI judges whose labels the round froze; the snapshot must say the same."""
    snapshot = standing_steps(round, "freeze")[0].snapshot
    assert snapshot is not None
    names = Judgement.objects.filter(snapshot_items__snapshot=snapshot)
    found = set(names.values_list("annotator__name", flat=True))
    assert found <= set(snapshot.selection["ai_annotators"])
    return found


def test_what_the_old_version_said_is_forgotten_once_its_step_is_redone() -> None:
    project = _loop()
    round = turn_until(begin(project), Round.State.DECIDING)
    assert _learned_from(round) == {"strict v1"}
    _make_judge(project, "strict")
    redo_step(actor=owner_of(project), round=round, kind="judge")
    turn_until(round, Round.State.DECIDING)
    assert Judgement.objects.count() == 2 * len(asked(round))
    assert _learned_from(round) == {"strict v2"}


def test_a_judge_that_was_only_tried_teaches_nothing() -> None:
    project = _loop()
    round = turn_until(begin(project), Round.State.LABELLING)
    _try_out(_make_judge(project, "trial"), asked(round))
    turn_until(round, Round.State.DECIDING)
    assert Judgement.objects.filter(annotator__name="trial v1").exists()
    assert _learned_from(round) == {"strict v1"}


def test_a_judge_redone_that_has_said_all_stands_by_it() -> None:
    project = _loop()
    round = turn_until(begin(project), Round.State.DECIDING)
    before = standing_steps(round, "judge")
    redo_step(actor=owner_of(project), round=round, kind="judge")
    turn_until(round, Round.State.DECIDING)
    assert standing_steps(round, "judge") == before
    assert _learned_from(round) == {"strict v1"}


def test_a_next_version_tried_on_all_of_the_round_is_asked_nothing_more_and_counts() -> None:
    project = _loop()
    round = turn_until(begin(project), Round.State.DECIDING)
    _try_out(_make_judge(project, "strict"), asked(round))
    turn_until(round, Round.State.DECIDING)
    redo_step(actor=owner_of(project), round=round, kind="judge")
    runs = TrainingRun.objects.filter(recipe="judge").count()
    turn_until(round, Round.State.DECIDING)
    assert TrainingRun.objects.filter(recipe="judge").count() == runs
    assert _learned_from(round) == {"strict v2"}


@pytest.mark.parametrize(
    ("labels", "wanted"), [("all", {"strict v1", "strict v2"}), ("round", {"strict v2"})]
)
def test_earlier_rounds_judges_count_where_the_loop_learns_from_all(
    labels: str, wanted: set[str]
) -> None:
    project = _loop(labels)
    first = turn_until(begin(project), Round.State.DECIDING)
    decide_round(actor=owner_of(project), round=first, promote=False)
    _make_judge(project, "strict")
    second = turn_until(begin(project), Round.State.DECIDING)
    assert _learned_from(second) == wanted
    first.refresh_from_db()
    assert len(ai_annotators_of(first)) == 1
