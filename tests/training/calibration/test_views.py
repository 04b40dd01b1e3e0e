"""Calibration's pages and addresses, asked as each of seven, and what they show."""

import pytest
from django.urls import reverse

from labeling.models import Comparison
from tests.factories import (
    ACTORS,
    make_comparison,
    make_member,
    make_project,
    owner_of,
    seven_actors,
)
from tests.training.calibration.world import FIRST, SECOND, judged, left_to_ai, make_judge
from tests.training.views.asking import client_of
from training import tasks
from training.calibration import selectors
from training.calibration.models import RoutedComparison, SharedSample
from training.judges.models import Judge

pytestmark = pytest.mark.django_db
ADDRESSES = {f"judges/<uuid:uid>/calibration/{deed}" for deed in ("", "sample/", "route/")}
READS = (302, 404, 403, 200, 200, 200, 200)
ACTS = (302, 404, 403, 403, 403, 302, 302)
READERS = (401, 404, 403, 200, 200, 200, 200)
MAKERS = (401, 404, 403, 403, 403, 201, 201)
OWNERS = (401, 404, 403, 403, 403, 200, 200)


@pytest.fixture(autouse=True)
def rung(monkeypatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(tasks, "ring", found.append)
    monkeypatch.setattr(selectors, "LEAST_PAIRS", 1)
    return found


@pytest.fixture
def judge() -> Judge:
    project = make_project()
    judge = make_judge(project)
    judged(project, judge, [FIRST, FIRST], "chess", soft=0.9, lean=0.1)
    judged(project, judge, [SECOND, SECOND], "poems", soft=0.7, lean=0.3, consistent=False)
    return judge


def page(judge: Judge, name: str = "judge_calibration", of: str = "training") -> str:
    return reverse(f"{of}:{name}", args=[judge.project.slug, judge.uid])


@pytest.mark.parametrize(
    ("name", "said", "expected", "told"),
    [
        ("judge_calibration", None, READS, READERS),
        ("judge_sample", {"count": 1, "people": 1, "seed": 0}, ACTS, MAKERS),
        ("judge_route", {"least_certainty": 0.6}, ACTS, OWNERS),
    ],
)
def test_pages_and_addresses_answer_each_of_the_seven(
    name, said, expected, told, judge, client_for
):
    for _ in range(4):
        make_comparison(judge.project, k=2)
    actors = seven_actors(judge.project)
    method = "get" if said is None else "post"
    found = [
        getattr(client_of(user), method)(page(judge, name), said).status_code
        for user in actors.values()
    ]
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))
    SharedSample.objects.all().delete()
    address = page(judge, name, "training_api")
    found = [
        getattr(client_for(user), method)(address, said, format="json").status_code
        for user in actors.values()
    ]
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, told, strict=True))


def test_the_page_shows_the_judge_beside_people(judge):
    shown = client_of(owner_of(judge.project)).get(page(judge)).text
    assert "From 2 comparisons that both judged." in shown
    assert "On the same comparisons that the judge judged." in shown
    assert 'poems <span class="badge warn">weak</span>' in shown
    assert "chess <span" not in shown
    assert '<path class="diagonal"' in shown
    assert shown.count("<circle") >= 2
    assert 'name="people"' in shown
    as_manager = client_of(make_member(judge.project, "manager"))
    assert 'name="people"' not in as_manager.get(page(judge)).text


def test_a_judge_that_was_never_held_against_people_says_so(judge):
    new = make_judge(judge.project, "newcomer")
    shown = client_of(owner_of(judge.project)).get(page(new)).text
    assert "draw a shared sample below" in shown
    assert "From 0 comparisons" in shown


def test_a_sample_is_drawn_on_the_page_and_the_judge_is_rung_for(
    judge, rung, django_capture_on_commit_callbacks
):
    fresh = make_comparison(judge.project, k=2)
    client = client_of(owner_of(judge.project))
    with django_capture_on_commit_callbacks(execute=True):
        client.post(page(judge, "judge_sample"), {"count": 9, "people": 2, "seed": 3})
    sample = SharedSample.objects.get()
    assert fresh in sample.comparisons.all()
    assert len(rung) == 1
    shown = client.get(page(judge)).text
    assert "3 comparisons: the judge has judged 2, people are done with 2" in shown
    wrong = client.post(page(judge, "judge_sample"), {"count": 9, "people": 2, "seed": 3})
    assert wrong.status_code == 422
    assert "stands in a sample of this judge already" in wrong.text


def test_what_the_judge_is_unsure_of_is_sent_on_from_the_page(judge):
    unsure = left_to_ai(judge.project, judge, 0.55)
    client = client_of(owner_of(judge.project))
    wrong = client.post(page(judge, "judge_route"), {"least_certainty": 3})
    assert wrong.status_code == 422
    client.post(page(judge, "judge_route"), {"least_certainty": 0.6})
    assert RoutedComparison.objects.get().comparison == unsure
    assert Comparison.objects.get(pk=unsure.pk).open_slots == 1
    assert "1 comparison, 0 judged by people" in client.get(page(judge)).text


def test_the_api_tells_the_same(judge, client_for):
    client = client_for(owner_of(judge.project))
    left_to_ai(judge.project, judge, 0.55)
    address = page(judge, "judge_route", "training_api")
    assert client.post(address, {"least_certainty": 0.6}, format="json").json() == {
        "comparisons": 1
    }
    told = client.get(page(judge, of="training_api")).json()
    calibration = told["calibration"]
    assert calibration["comparisons"] == 2
    assert calibration["overall"]["judge"]["value"] == 0.5
    assert calibration["overall"]["people"]["value"] == 1.0
    assert calibration["weak_topics"] == ["poems"]
    assert [one["name"] for one in calibration["gaps"]] == ["0", "1", "2", "3+"]
    assert [one["agreed"]["value"] for one in calibration["reliability"]] == [0.0, 1.0]
    assert calibration["lean"]["value"] == pytest.approx(0.2)
    assert told["routed"] == [{"reason": "unsure", "topic": "", "comparisons": 1, "judged": 0}]
    made = client.post(
        page(judge, "judge_sample", "training_api"), {"count": 1, "people": 1}, format="json"
    )
    assert (made.json()["size"], made.json()["people"]) == (1, 1)


def test_the_page_costs_the_same_however_much_was_judged(judge, django_assert_max_num_queries):
    client = client_of(owner_of(judge.project))
    client.get(page(judge))
    for tag in ("chess", "poems", "history"):
        judged(judge.project, judge, [FIRST, SECOND], tag, soft=0.6)
    with django_assert_max_num_queries(11):
        client.get(page(judge))
