"""Runs side by side over the API."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from labeling.models import Project
from tests.factories import make_project, owner_of
from tests.training.curves import make_family, measure
from tests.training.factories import make_rewarded_run, make_run

pytestmark = pytest.mark.django_db


ClientFor = Callable[[Any], APIClient]


def ask(client_for: ClientFor, project: Project, *uids: object) -> Any:
    """Return the answer for runs of those uids, as the project's owner gets it."""
    query = "&".join(f"run={uid}" for uid in uids)
    client = client_for(owner_of(project))
    return client.get(f"/api/v1/projects/{project.slug}/runs/compare/?{query}")


def test_runs_are_told_in_the_order_asked_for(client_for: ClientFor) -> None:
    project = make_project()
    first, second = (make_rewarded_run(project, config={"beta": beta}) for beta in (0.125, 0.25))
    measure(first, {step: {"loss": 1 / step, "val/length": 20.0} for step in (1, 2)})
    measure(second, {4: {"loss": 0.5}})
    told = ask(client_for, project, second.uid, first.uid).json()
    assert [run["uid"] for run in told["runs"]] == [str(second.uid), str(first.uid)]
    assert told["settings"]["differing"] == [{"name": "beta", "values": [0.25, 0.125]}]
    assert told["measures"] == [{"name": "loss", "values": [0.5, 0.5]}]
    assert told["curves"] == [
        {
            "name": "loss",
            "lines": [
                {"run": str(second.uid), "steps": [4], "values": [0.5]},
                {"run": str(first.uid), "steps": [1, 2], "values": [1.0, 0.5]},
            ],
        }
    ]
    assert told["frontiers"] == []


def test_frontiers_hold_ways_evaluations_and_best_of_n(client_for: ClientFor) -> None:
    project = make_project()
    ppo, strong, dpo = make_family(project)
    (told,) = ask(client_for, project, ppo.uid, strong.uid, dpo.uid).json()["frontiers"]
    assert (told["reward_model"]["name"], told["reference"]["name"]) == ("judge", "base")
    proxy, gold = told["proxy"], told["gold"]
    assert [way["run"] for way in proxy["trajectories"]] == [str(ppo.uid), str(strong.uid)]
    assert [one["run"] for one in proxy["measured"]] == [
        None,
        *(str(run.uid) for run in (ppo, strong, dpo)),
    ]
    assert [point["n"] for point in proxy["best_of"][0]["points"]] == [1, 4, 16, 64, 256]
    rewards = [point["reward"] for point in proxy["frontier"]]
    assert rewards == sorted(rewards)
    # The proxy goes up with KL where gold has fallen: the strong run is on one frontier alone.
    assert proxy["frontier"][-1]["kl"] > 10
    assert gold["frontier"][-1] == {"kl": pytest.approx(3.68), "reward": 1.35}
    assert gold["trajectories"] == []


@pytest.mark.parametrize(("count", "status"), [(0, 422), (1, 422), (9, 422)])
def test_another_number_of_runs_is_refused(client_for: ClientFor, count: int, status: int) -> None:
    project = make_project()
    uids = [f"00000000-0000-0000-0000-{number:012d}" for number in range(count)]
    answer = ask(client_for, project, *uids)
    assert answer.status_code == status
    assert answer.json()["errors"] == {"run": [f"Choose 2 to 8 runs, not {count}."]}


def test_runs_that_are_none_of_the_project_are_not_found(client_for: ClientFor) -> None:
    project, other = make_project(), make_project()
    own = make_run(project)
    for uid in (make_run(other).uid, "x"):
        assert ask(client_for, project, own.uid, uid).status_code == 404
