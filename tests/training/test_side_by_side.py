"""What is read of several runs at once."""

import pytest
from pytest_django import DjangoAssertNumQueries

from labeling.exceptions import InvalidInput, NotFound
from labeling.models import Project
from tests.factories import make_project
from tests.training.curves import end_well, make_evaluation, make_family, measure
from tests.training.factories import make_model, make_rewarded_run, make_run
from training.models import TrainingRun
from training.side_by_side import (
    ROWS,
    WAYPOINTS,
    SideBySide,
    chosen_runs,
    comparable_runs,
    settings_of,
    side_by_side,
)

pytestmark = pytest.mark.django_db


def of(project: Project, runs: list[TrainingRun]) -> SideBySide:
    return side_by_side(project, [str(run.uid) for run in runs])


def test_runs_come_in_the_order_chosen_each_once() -> None:
    project = make_project()
    first, second = make_run(project), make_run(project)
    uids = [str(run.uid) for run in (second, first, second)]
    assert chosen_runs(project, uids) == [second, first]


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_or_too_many_runs_are_refused_by_their_number(count: int) -> None:
    project = make_project()
    uids = [f"00000000-0000-0000-0000-{number:012d}" for number in range(count)]
    with pytest.raises(InvalidInput) as refused:
        chosen_runs(project, uids)
    assert refused.value.errors == {"run": [f"Choose 2 to 8 runs, not {count}."]}


def test_a_run_of_another_project_or_of_none_is_not_found() -> None:
    project = make_project()
    own, other = make_run(project), make_run(make_project())
    for uid in (str(other.uid), "no-uid"):
        with pytest.raises(NotFound):
            chosen_runs(project, [str(own.uid), uid])


def test_settings_are_told_apart() -> None:
    """A field that one recipe lacks differs only if two that have it do."""
    found = settings_of(
        [{"beta": 0.1, "lora_r": 0, "clip": 0.2}, {"beta": 0.2, "lora_r": 0}, {"lora_r": 0}]
    )
    assert [(row.name, row.values) for row in found.differing] == [("beta", (0.1, 0.2, None))]
    assert [(row.name, row.values) for row in found.equal] == [("lora_r", (0, 0, 0))]
    assert [(row.name, row.values) for row in found.of_some] == [("clip", (0.2, None, None))]


def test_curves_and_measures_are_those_that_two_runs_share() -> None:
    project = make_project()
    first, second = make_run(project), make_run(project)
    measure(first, {1: {"loss": 0.7, "lr": 0.1}, 2: {"loss": 0.6}, 3: {"loss": None}})
    measure(second, {1: {"loss": 0.8}, 3: {"loss": 0.4, "grad_norm": 2.0}})
    end_well(second, 3, loss=0.35)  # over the whole run, as its result tells it
    found = of(project, [first, second])
    assert found.curves == {"loss": (((1, 0.7), (2, 0.6)), ((1, 0.8), (3, 0.4)))}
    assert [(row.name, row.values) for row in found.measures] == [("loss", (0.6, 0.35))]


def test_a_long_run_keeps_every_nth_row_its_evaluations_and_its_end() -> None:
    project = make_project()
    long, short = make_run(project), make_run(project)
    rows = {step: {"loss": 1 / step} for step in range(1, 4 * ROWS + 2)}
    rows[7] |= {"eval_loss": 0.5}
    measure(long, rows)
    measure(short, {step: {"loss": 1.0, "eval_loss": 1.0} for step in (1, 2, 3)})
    found = of(project, [long, short])
    points, other = found.curves["loss"]
    assert len(points) <= ROWS + 2
    assert points[-1][0] == 4 * ROWS + 1
    assert found.curves["eval_loss"][0] == ((7, 0.5),)
    assert [step for step, _loss in other] == [1, 2, 3]


def test_a_trajectory_is_made_of_means_and_ends_at_the_last_step() -> None:
    project = make_project()
    judge, base = make_model(project, "reward", name="judge"), make_model(project)
    runs = [make_rewarded_run(project, base_model=base, reward_model=judge) for _ in range(2)]
    for run in runs:
        measure(
            run,
            {
                step: {"objective/kl": step / 100, "objective/scores": (-1.0) ** step}
                for step in range(1, 10 * WAYPOINTS + 1)
            },
        )
    (frontier,) = of(project, runs).frontiers
    assert (frontier.reward_model, frontier.reference) == (judge, base)
    first, second = frontier.proxy.trajectories
    assert (first.place, second.place) == (1, 2)
    assert len(first.points) == WAYPOINTS
    step, kl, reward = first.points[-1]
    assert (step, round(kl, 6), reward) == (160, 1.555, 0.0)  # the mean of 1.51 to 1.60
    assert not frontier.gold.points()


def test_what_a_run_says_at_its_evaluations_goes_before_what_it_draws_from() -> None:
    project = make_project()
    runs = [make_rewarded_run(project), make_rewarded_run(project)]
    for run in runs:
        measure(
            run,
            {
                1: {"objective/kl": 9.0, "objective/scores": 9.0},
                2: {"eval_objective/kl": 1.0, "eval_objective/scores": 2.0},
            },
        )
    found = of(project, runs).frontiers
    assert [frontier.proxy.points() for frontier in found] == [[(1.0, 2.0)]] * 2


def test_another_reward_model_or_another_reference_is_another_frontier() -> None:
    project = make_project()
    judge, base = make_model(project, "reward", name="judge"), make_model(project)
    alike = make_rewarded_run(project, base_model=base, reward_model=judge)
    runs = [
        alike,
        make_rewarded_run(project, base_model=base),
        make_rewarded_run(project, reward_model=judge, base_model=make_model(project, name="b")),
        make_rewarded_run(project, base_model=base, reward_model=judge),
        make_run(project),  # says nothing of KL and reward
    ]
    for run in runs[:-1]:
        measure(run, {1: {"objective/kl": 1.0, "objective/scores": 1.0}})
    found = of(project, runs).frontiers
    assert [[way.place for way in one.proxy.trajectories] for one in found] == [[1, 4], [2], [3]]


def test_evaluations_join_the_runs_that_made_their_policies() -> None:
    project = make_project()
    ppo, strong, dpo = make_family(project)
    (frontier,) = of(project, [ppo, dpo]).frontiers
    assert [way.name for way in frontier.proxy.trajectories] == [f"ppo {ppo.pk}"]
    # The base from which they started is shown, what the run that was not chosen made is not.
    assert [(one.place, one.name) for one in frontier.proxy.measured] == [
        (0, "base v1 (test)"),
        (1, f"{ppo.model_version} (test)"),
        (2, f"{dpo.model_version} (test)"),
    ]
    assert [one.reward.value for one in frontier.gold.measured] == [0.1, 1.35, 1.2]
    (best,) = frontier.gold.best_of
    assert best.name == "best of n, base v1 (test)"
    assert [n for n, _kl, _gold in best.points] == [1, 4, 16, 64, 256]
    assert strong.model_version is not None


def test_best_of_n_of_another_policy_than_the_reference_has_no_place_on_the_axis() -> None:
    """Its KL is to the policy that replied."""
    project = make_project()
    ppo, dpo = make_rewarded_run(project), make_run(project)
    made = end_well(ppo, 4)
    best = {1: (0.0, None), 4: (1.0, None)}
    make_evaluation(
        project, made, ppo.base_model, ppo.reward_model, kl=1.0, reward=1.0, best_of=best
    )
    (frontier,) = of(project, [ppo, dpo]).frontiers
    assert len(frontier.proxy.measured) == 1
    assert frontier.proxy.best_of == ()


def test_an_evaluation_that_is_itself_chosen_is_shown() -> None:
    project = make_project()
    runs = [make_run(project), make_run(project)]
    judge, other = make_model(project, "reward", name="judge"), make_model(project)
    evaluation = make_evaluation(project, other, other, judge, kl=0.0, reward=0.3)
    assert of(project, runs).frontiers == ()
    (frontier,) = of(project, [*runs, evaluation]).frontiers
    assert [one.place for one in frontier.proxy.measured] == [3]


def test_queries_don_t_grow_with_the_runs(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """The runs, the models they made, their points, and the evaluations."""
    project = make_project()
    family = make_family(project)
    more = [make_rewarded_run(project) for _ in range(5)]
    for runs in (family[:2], [*family, *more]):
        with django_assert_num_queries(4):
            of(project, runs)


def test_comparable_are_the_run_it_started_from_and_those_that_learned_from_the_same() -> None:
    project = make_project()
    first = make_run(project)
    second = make_run(project, snapshot=first.snapshot, base_model=end_well(first, 3))
    sibling = make_run(project, snapshot=first.snapshot)
    stranger = make_run(project)
    assert list(comparable_runs(second)) == [sibling, first]
    assert list(comparable_runs(stranger)) == []
    ppo = make_rewarded_run(project)
    twin = make_rewarded_run(project, reward_model=ppo.reward_model, base_model=ppo.base_model)
    evaluation = make_evaluation(
        project, ppo.base_model, ppo.base_model, ppo.reward_model, kl=0.0, reward=0.0
    )
    assert list(comparable_runs(ppo)) == [twin]
    assert list(comparable_runs(evaluation)) == []
