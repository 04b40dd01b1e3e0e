"""Contests and reports over the API: every address as each of seven, then what they say."""

import pytest

from tests.factories import ACTORS, owner_of, seven_actors
from tests.training.contests.playing import make_contest, make_finished_evaluation, prefer
from tests.training.factories import make_model
from training.contests.models import Contest
from training.rounds.models import Promotion, Round

pytestmark = pytest.mark.django_db
READERS = (401, 404, 403, 200, 200, 200, 200)
OWNERS = (401, 404, 403, 403, 403, 200, 200)
MAKERS = (401, 404, 403, 403, 403, 201, 201)

DEEDS = [
    ("get", "contests/", READERS),
    ("post", "contests/", MAKERS),
    ("get", "contests/{number}/", READERS),
    ("post", "contests/{number}/end/", OWNERS),
    ("get", "rounds/1/report/", READERS),
]
ADDRESSES = {path for _, path, _ in DEEDS}


@pytest.mark.parametrize(("method", "path", "expected"), DEEDS)
def test_every_address_answers_each_of_the_seven(method, path, expected, client_for):
    run = make_finished_evaluation(prompts=2)
    project = run.project
    owner = client_for(owner_of(project))
    Round.objects.create(project=project, number=1, config={}, policy=make_model(project))
    base = f"/api/v1/projects/{project.slug}/"
    body = {"evaluation": str(run.uid)} if method == "post" and path == "contests/" else {}
    found = []
    for user in seven_actors(project).values():
        Contest.objects.filter(state="open").update(state="withdrawn")
        number = 0
        if "{number}" in path:
            opened = owner.post(f"{base}contests/", {"evaluation": str(run.uid)}, format="json")
            number = opened.json()["number"]
        url = base + path.format(number=number)
        response = getattr(client_for(user), method)(url, body, format="json")
        found.append(response.status_code)
        if response.status_code >= 400:
            assert set(response.json()) == {"code", "message", "errors"}
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))
    assert not Promotion.objects.exists()


def test_a_contest_tells_what_people_said(client_for):
    contest = make_contest(prompts=4)
    client = client_for(owner_of(contest.project))
    prefer(contest.project, "policy", most=2)
    told = client.get(f"/api/v1/projects/{contest.project.slug}/contests/1/").json()
    assert told["asked"] == {"pairs": 4, "comparisons": 4, "closed": 2, "open": 2}
    assert (told["figures"]["won"], told["figures"]["outcome"]) == (2, "")
    assert told["figures"]["rate"]["value"] == 1.0
    assert (told["policy"]["name"], told["state"]) == ("new", "open")
    listed = client.get(f"/api/v1/projects/{contest.project.slug}/contests/").json()
    assert [row["number"] for row in listed["results"]] == [1]


def test_what_can_not_be_opened_says_which_field(client_for):
    contest = make_contest(prompts=2)
    client = client_for(owner_of(contest.project))
    url = f"/api/v1/projects/{contest.project.slug}/contests/"
    again = client.post(url, {"evaluation": str(contest.run.uid)}, format="json")
    assert again.status_code == 422
    assert "nobody compared yet" in again.json()["errors"]["evaluation"][0]
    wrong = client.post(url, {"evaluation": str(contest.run.uid), "mots": 3}, format="json")
    assert wrong.json()["errors"] == {"mots": ["No such field."]}
