"""Rounds over the API: every address as each of seven, then what the answers say."""

import pytest

from tests.factories import ACTORS, owner_of, seven_actors
from tests.training.factories import make_model
from tests.training.rounds.turning import LOOP, begin, make_loop, play
from training import tasks
from training.models import ModelVersion
from training.rounds.models import Promotion, Round, RoundStep
from training.rounds.services import turn_round

pytestmark = pytest.mark.django_db(transaction=True)
READERS = (401, 404, 403, 200, 200, 200, 200)
MANAGERS = (401, 404, 403, 403, 200, 200, 200)
OWNERS = (401, 404, 403, 403, 403, 200, 200)
MAKERS = (401, 404, 403, 403, 403, 201, 201)

# Method, address under /api/v1/projects/<slug>/, body, and what each of the seven gets.
DEEDS = [
    ("get", "loop/", None, READERS),
    ("put", "loop/", {"config": LOOP}, MANAGERS),
    ("get", "rounds/", None, READERS),
    ("post", "rounds/", {}, MAKERS),
    ("get", "rounds/{number}/", None, READERS),
    ("post", "rounds/{number}/pause/", None, OWNERS),
    ("post", "rounds/{number}/go-on/", None, OWNERS),
    ("post", "rounds/{number}/cancel/", None, OWNERS),
    ("post", "rounds/{number}/redo/", {"step": "sample"}, OWNERS),
    ("post", "rounds/{number}/decide/", {"promote": False}, OWNERS),
    ("get", "promotions/", None, READERS),
    ("post", "promotions/", {"model": 0}, MAKERS),
    ("post", "promotions/back/", None, MAKERS),
]
ADDRESSES = {path for _, path, _, _ in DEEDS}


@pytest.fixture(autouse=True)
def _played(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path)
    monkeypatch.setattr(tasks, "ring_rounds", lambda: None)


@pytest.mark.parametrize(("method", "path", "body", "expected"), DEEDS)
def test_every_address_answers_each_of_the_seven(method, path, body, expected, client_for):
    project = make_loop(prompts=1, trains_reward=False)
    first, second, third = (make_model(project, name=name) for name in ("b", "c", "d"))
    if body and "model" in body:
        body = {"model": third.pk}
    found = []
    for user in seven_actors(project).values():
        Promotion.objects.all().delete()
        for model in (first, second):
            Promotion.objects.create(project=project, model=model)
        RoundStep.objects.all().delete()
        Round.objects.all().delete()
        number = 0
        if "{number}" in path:
            number = begin(project).number
            if "redo" in path:
                turn_round(round_id=Round.objects.get().pk)
            if "decide" in path:
                Round.objects.update(state="deciding")
        url = f"/api/v1/projects/{project.slug}/{path.format(number=number)}"
        response = getattr(client_for(user), method)(url, body, format="json")
        found.append(response.status_code)
        if response.status_code >= 400:
            assert set(response.json()) == {"code", "message", "errors"}
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_a_round_tells_where_it_stands_and_what_it_took(client_for):
    project = make_loop(prompts=2, trains_reward=False)
    client = client_for(owner_of(project))
    base = f"/api/v1/projects/{project.slug}"
    assert client.get(f"{base}/loop/").json()["config"]["preset"] == "tiny-cpu"
    started = client.post(f"{base}/rounds/", {"seed": 7}, format="json")
    assert (started.status_code, started.json()["seed"]) == (201, 7)
    turn_round(round_id=Round.objects.get().pk)
    told = client.get(f"{base}/rounds/1/").json()
    assert [step["kind"] for step in told["steps"]] == ["sample"]
    assert told["steps"][0]["run_state"] == "queued"
    assert told["labelling"] == {"comparisons": 0, "closed": 0, "wanted": 0}
    assert told["cost"] == {"judgements": 0, "ai_judgements": 0, "active_s": 0, "computed_s": 0}
    assert (told["state"], told["problem"]) == ("sampling", "")
    promoted = client.get(f"{base}/promotions/").json()["results"]
    assert [row["round"] for row in promoted] == [None]


def test_what_is_wrong_is_told_by_field(client_for):
    project = make_loop()
    client = client_for(owner_of(project))
    base = f"/api/v1/projects/{project.slug}"
    wrong = client.put(f"{base}/loop/", {"config": {"overlap": 0}}, format="json").json()
    assert "overlap" in wrong["errors"]
    other = ModelVersion.objects.order_by("-pk").first().pk + 1
    wrong = client.post(f"{base}/promotions/", {"model": other}, format="json").json()
    assert "is no policy of this project" in wrong["errors"]["model"][0]
    begin(project)
    wrong = client.post(f"{base}/rounds/1/decide/", {"promote": True}, format="json")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "round_moved_on")
