"""The loop's pages: asked by each of seven, and walked from nothing to a promoted policy."""

import pytest

from tests.factories import ACTORS, make_member, make_project, owner_of, seven_actors
from tests.training.factories import make_model
from tests.training.rounds.turning import begin, judge, make_loop, play, turn_until
from tests.training.views.asking import client_of, page
from training import tasks
from training.models import TrainingRun
from training.rounds.models import ProjectLoop, Promotion, Round
from training.rounds.selectors import current_policy

pytestmark = pytest.mark.django_db(transaction=True)
HTMX = {"HX-Request": "true"}
READS = (302, 404, 403, 200, 200, 200, 200)
MANAGES = (302, 404, 403, 403, 200, 200, 200)
ACTS = (302, 404, 403, 403, 403, 302, 302)


@pytest.fixture(autouse=True)
def _played(monkeypatch, tmp_path):
    play(monkeypatch, tmp_path)
    monkeypatch.setattr(tasks, "ring_rounds", lambda: None)


@pytest.mark.parametrize(
    ("name", "method", "expected"),
    [
        ("round_list", "get", READS),
        ("round_detail", "get", READS),
        ("loop_edit", "get", MANAGES),
        ("policy_promote", "post", ACTS),
        ("policy_roll_back", "post", ACTS),
        ("round_start", "post", ACTS),
        ("round_pause", "post", ACTS),
        ("round_go_on", "post", ACTS),
        ("round_cancel", "post", ACTS),
        ("round_redo", "post", ACTS),
        ("round_decide", "post", ACTS),
    ],
)
def test_pages_answer_each_of_the_seven(name, method, expected):
    project = make_loop(prompts=1, trains_reward=False)
    first, second, third = (make_model(project, name=name) for name in ("b", "c", "d"))
    about_a_round = name.startswith("round_") and name not in {"round_list", "round_start"}
    found = []
    for user in seven_actors(project).values():
        Round.objects.all().delete()
        Promotion.objects.all().delete()
        for model in (first, second):
            Promotion.objects.create(project=project, model=model)
        if about_a_round:
            round = begin(project)
            if name == "round_redo":
                tasks.turn_rounds()
            if name == "round_decide":
                Round.objects.update(state="deciding")
        url = page(name, project, *([round.number] if about_a_round else []))
        said = {"model": third.pk, "step": "sample", "promote": "0"}
        found.append(getattr(client_of(user), method)(url, said).status_code)
        TrainingRun.objects.filter(round_step__isnull=False).update(state="cancelled")
        for step in TrainingRun.objects.filter(round_step__isnull=False):
            step.round_step.delete()
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_a_loop_is_configured_started_and_decided_by_hand():
    project = make_loop(trains_reward=False)
    ProjectLoop.objects.all().delete()
    manager, owner = make_member(project, "manager"), owner_of(project)
    as_manager, as_owner = client_of(manager), client_of(owner)
    listed = page("round_list", project)
    assert "Nobody has said yet" in as_manager.get(listed).text
    form = as_manager.get(page("loop_edit", project) + "?preset=online-dpo").text
    assert 'name="replies_per_prompt"' in form
    yaml = "policy_recipe: dpo\ntrains_reward: false\npreset: tiny-cpu\nprompts: 2\n"
    saved = as_manager.post(page("loop_edit", project), {"yaml": yaml}, headers=HTMX)
    assert saved["HX-Redirect"] == listed
    assert "Start a round" not in as_manager.get(listed).text
    assert "Start a round" in as_owner.get(listed).text
    as_owner.post(page("round_start", project))
    round = turn_until(Round.objects.get(), "labelling")
    shown = as_owner.get(page("round_detail", project, 1)).text
    assert "0 of 2 comparisons" in shown
    assert shown.count("<li class=") == 8
    judge(project)
    turn_until(round, "deciding")
    shown = as_manager.get(page("round_detail", project, 1), headers=HTMX).text
    assert "shall policy v2 take over from policy v1" in shown
    assert 'name="promote"' not in shown
    as_owner.post(page("round_decide", project, 1), {"promote": "1", "note": "Kinder."})
    assert str(current_policy(project)) == "policy v2"
    page_after = as_owner.get(listed).text
    assert "Kinder." in page_after
    assert "Roll back to policy v1" in page_after
    as_owner.post(page("policy_roll_back", project))
    assert str(current_policy(project)) == "policy v1"


def test_what_is_wrong_with_a_loop_stands_beside_its_field():
    project = make_project()
    client = client_of(owner_of(project))
    url = page("loop_edit", project)
    wrong = client.post(url, {"yaml": "prompts: many\n"}, headers=HTMX)
    assert wrong.status_code == 422
    assert "prompts: prompts is &#x27;many&#x27;: write a number." in wrong.text
    fields = {"replies_per_prompt": 1}
    wrong = client.post(url, fields, headers=HTMX)
    assert wrong.status_code == 422
    assert "The loop was not changed" in wrong.text
    assert not ProjectLoop.objects.exists()


def test_a_second_round_is_refused_on_the_page():
    project = make_loop()
    begin(project)
    client = client_of(owner_of(project))
    refused = client.post(page("round_start", project))
    assert refused.status_code == 422
    assert "A round is under way" in refused.text


def test_lists_cost_the_same_however_many_rounds(django_assert_num_queries):
    project = make_loop()
    client = client_of(owner_of(project))
    client.get(page("round_list", project))
    for count in (1, 4):
        for _ in range(count):
            round = begin(project)
            round.state = "done"
            round.save()
        with django_assert_num_queries(13):
            client.get(page("round_list", project))
