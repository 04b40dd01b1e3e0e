"""Evaluations over the API: started by models' ids, read with what they measured."""

import pytest

from labeling.models import Project
from tests.factories import make_prompt, owner_of
from tests.training.factories import make_evaluation, make_held_out_project, make_model, make_run
from training.models import TrainingRun

pytestmark = pytest.mark.django_db


def address(project: Project, path: str) -> str:
    return f"/api/v1/projects/{project.slug}/{path}"


def test_an_evaluation_is_started_and_read(client_for, bell, django_capture_on_commit_callbacks):
    project = make_held_out_project()
    for _ in range(3):
        make_prompt(project, candidates=0)
    policy, baseline = make_model(project), make_model(project, name="other")
    reward = make_model(project, "reward", "judge")
    body = {
        "policy": policy.pk,
        "baseline": baseline.pk,
        "reward_model": reward.pk,
        "preset": "tiny-cpu",
        "config": {"replies_per_prompt": 6},
        "limit": 2,
        "seed": 4,
    }
    client = client_for(owner_of(project))
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(address(project, "evaluations/"), body, format="json")
    assert response.status_code == 201, response.json()
    said = response.json()
    assert bell == [TrainingRun.objects.get(uid=said["uid"]).pk]
    assert (said["recipe"], said["model"]) == ("evaluate", None)
    assert said["evaluation"]["policy"]["id"] == policy.pk
    assert said["evaluation"]["reference"]["id"] == policy.pk
    assert said["evaluation"]["baseline"]["sha256"] == baseline.sha256
    assert (said["evaluation"]["judge"], said["evaluation"]["prompts"]) == (None, 2)
    assert (said["config"]["replies_per_prompt"], said["seed"]) == (6, 4)
    assert said["reward_model"]["id"] == reward.pk
    again = client.get(address(project, f"evaluations/{said['uid']}/")).json()
    assert again["evaluation"] == said["evaluation"]
    make_run(project)
    assert client.get(address(project, "evaluations/")).json()["count"] == 1


def test_what_is_wrong_is_named_by_field(client_for):
    project = make_held_out_project()
    policy, reward = make_model(project), make_model(project, "reward", "judge")
    client = client_for(owner_of(project))
    none = client.post(
        address(project, "evaluations/"), {"policy": 0, "reward_model": reward.pk}, format="json"
    )
    assert (none.status_code, set(none.json()["errors"])) == (422, {"policy"})
    body = {"policy": policy.pk, "reward_model": policy.pk, "split": "train", "limit": 1}
    shape = client.post(address(project, "evaluations/"), body, format="json")
    assert set(shape.json()["errors"]) == {"split", "limit"}
    body = {"policy": policy.pk, "reward_model": policy.pk}
    kind = client.post(address(project, "evaluations/"), body, format="json")
    assert set(kind.json()["errors"]) == {"reward_model"}


def test_a_list_asks_the_same_however_many_evaluations(client_for, django_assert_max_num_queries):
    project = make_held_out_project()
    judge, reward = make_model(project, name="critic"), make_model(project, "reward", "judge")
    for _ in range(3):
        make_evaluation(project, baseline=judge, judge=judge, reward_model=reward)
    client = client_for(owner_of(project))
    with django_assert_max_num_queries(6):
        assert client.get(address(project, "evaluations/")).json()["count"] == 3
