"""The pages of contests: asked by each of seven, and walked from a form to an answer."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import ACTORS, owner_of, seven_actors
from tests.training.contests.playing import make_contest, make_finished_evaluation, prefer
from tests.training.views.asking import client_of, page
from training import tasks
from training.contests.models import Contest

pytestmark = pytest.mark.django_db
READS = (302, 404, 403, 200, 200, 200, 200)
ACTS = (302, 404, 403, 403, 403, 302, 302)


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("contest_list", "get", READS),
        ("contest_detail", "get", READS),
        ("contest_open", "post", ACTS),
        ("contest_end", "post", ACTS),
    ],
)
def test_pages_answer_each_of_the_seven(name, method, expected):
    run = make_finished_evaluation(prompts=2)
    project = run.project
    said = {"evaluation": run.pk, "most": 5, "indifference": 0, "overlap": 1, "priority": 1}
    about_one = name in {"contest_detail", "contest_end"}
    found = []
    for user in seven_actors(project).values():
        Contest.objects.filter(state="open").update(state="withdrawn")
        if about_one:
            client_of(owner_of(project)).post(page("contest_open", project), said)
        number = [Contest.objects.latest("pk").number] if about_one else []
        url = page(name, project, *number)
        found.append(getattr(client_of(user), method)(url, said).status_code)
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_from_the_form_to_the_answer():
    run = make_finished_evaluation(prompts=12)
    project = run.project
    owner = client_of(owner_of(project))
    listed = page("contest_list", project)
    assert "new v1 against old v1" in owner.get(f"{listed}?run={run.pk}").text
    fields = {"most": 12, "indifference": 0, "overlap": 1, "priority": 1}
    wrong = owner.post(page("contest_open", project), {"evaluation": run.pk, **fields, "most": 0})
    assert wrong.status_code == 422
    opened = owner.post(
        page("contest_open", project),
        {"evaluation": run.pk, **fields},
        headers={"HX-Request": "true"},
    )
    shown = opened["HX-Redirect"]
    text = owner.get(shown).text
    assert "12 comparisons are open" in text
    assert "Compared replies" not in text
    prefer(project, "policy", most=3)
    text = owner.get(shown, headers={"HX-Request": "true"}).text
    assert "3 of 12" in text
    assert "Win rate after each pair" in text
    prefer(project, "policy", most=7)
    tasks.settle_contests()
    text = owner.get(shown).text
    assert "new v1 is better." in text
    assert text.count('<article class="example') == 10
    text = owner.get(listed).text
    assert "new v1 is better." in text
    assert "First evaluate a policy against a baseline" in text


def test_a_contest_that_ended_is_not_ended_again():
    contest = make_contest(prompts=2)
    owner = client_of(owner_of(contest.project))
    ended = page("contest_end", contest.project, contest.number)
    assert owner.post(ended).status_code == 302
    assert owner.post(ended).status_code == 409
    assert owner.get(page("contest_detail", contest.project, 99)).status_code == 404


def test_hostile_replies_do_no_harm_on_the_page():
    evil = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
    contest = make_contest(prompts=2, how={"text": lambda pk, who, n: f"{who} {evil}"})
    prefer(contest.project, "policy")
    tasks.settle_contests()
    text = client_of(owner_of(contest.project)).get(
        page("contest_detail", contest.project, contest.number)
    )
    assert "<script>alert" not in text.text
    assert "<img src=x" not in text.text


def test_the_list_costs_the_same_however_many():
    contest = make_contest(prompts=2)
    make_finished_evaluation(contest.project, prompts=0)
    client = client_of(owner_of(contest.project))
    client.get(page("contest_list", contest.project))
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as found:
            client.get(page("contest_list", contest.project))
        counts.append(len(found))
        for _more in range(3):
            run = make_finished_evaluation(contest.project, prompts=0)
            fields = {"policy": contest.policy, "baseline": contest.baseline, "run": run}
            Contest.objects.create(
                project=contest.project, number=100 + run.pk, most=5, state="withdrawn", **fields
            )
    assert counts[0] == counts[1]
