"""The page of runs side by side, and the ways to it."""

import re

import pytest
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from labeling.models import Project
from tests.factories import ACTORS, make_admin, make_project, owner_of, seven_actors
from tests.locale.pages import english_in
from tests.training.curves import end_well, make_family, measure
from tests.training.factories import make_rewarded_run, make_run
from tests.training.views.asking import client_of
from training.models import TrainingRun

pytestmark = pytest.mark.django_db


def address(project: Project, *runs: TrainingRun) -> str:
    query = "&".join(f"run={run.uid}" for run in runs)
    return f"{reverse('training:run_compare', args=[project.slug])}?{query}"


def shown(project: Project, *runs: TrainingRun) -> str:
    response = client_of(owner_of(project)).get(address(project, *runs))
    assert response.status_code == 200
    return response.text


def test_the_page_answers_each_of_the_seven() -> None:
    project = make_project()
    url = address(project, make_run(project), make_run(project))
    people = seven_actors(project)
    found = [client_of(user).get(url).status_code for user in people.values()]
    assert dict(zip(ACTORS, found, strict=True)) == dict(
        zip(ACTORS, (302, 404, 403, 200, 200, 200, 200), strict=True)
    )


def test_runs_of_another_project_are_not_found() -> None:
    project, other = make_project(), make_project()
    url = address(project, make_run(project), make_run(other))
    assert client_of(owner_of(project)).get(url).status_code == 404


def test_one_run_alone_is_refused_with_the_remedy() -> None:
    project = make_project()
    response = client_of(owner_of(project)).get(address(project, make_run(project)))
    assert response.status_code == 422
    assert "Choose 2 to 8 runs, not 1." in response.text


def test_each_run_has_one_style_on_the_whole_page() -> None:
    project = make_project()
    ppo, strong, dpo = make_family(project)
    html = shown(project, dpo, strong, ppo)
    for place, run in enumerate((dpo, strong, ppo), start=1):
        name = f"{run.recipe} {run.pk}"
        keys = re.findall(r'class="(run-\d)" d="M0 4H26"/>.{0,120}?</svg>\s*' + name, html)
        assert keys  # in the legends
        assert set(keys) == {f"run-{place}"}
    assert " style=" not in html
    assert "<script>" not in html


def test_settings_that_differ_stand_before_those_that_are_equal() -> None:
    project = make_project()
    runs = [make_rewarded_run(project, config={"beta": beta}) for beta in (0.125, 0.25)]
    html = shown(project, *runs)
    differing, folded = html.split("Settings that differ", 1)[1].split("<details>", 1)
    assert re.findall(r'<td class="figures">(0\.\d+)</td>', differing) == ["0.125", "0.25"]
    assert "Learning rate" not in differing
    assert "Learning rate" in folded


def test_curves_that_two_runs_share_are_laid_over_each_other() -> None:
    project = make_project()
    first, second = make_run(project), make_run(project)
    measure(first, {step: {"loss": 1 / step, "kept_alone": 1.0} for step in (1, 2, 3)})
    measure(second, {step: {"loss": 2 / step} for step in (1, 2)})
    html = shown(project, first, second)
    assert f'aria-label="loss: dpo {first.pk} 0.3333, dpo {second.pk} 1"' in html
    assert "kept_alone" not in html


def test_runs_that_share_no_quantity_say_so() -> None:
    project = make_project()
    html = shown(project, make_run(project), make_run(project))
    assert "No quantity was measured in two of these runs" in html
    assert "Reward over KL" not in html


def test_reward_and_gold_are_drawn_over_kl_with_their_frontier() -> None:
    project = make_project()
    runs = make_family(project)
    html = shown(project, *runs)
    assert html.count("<h2") == 3  # one frontier, the table, the curves
    assert "Judged by judge v1; KL to base v1." in html
    assert html.count('<path class="frontier" d="M5') == 2  # reward and gold
    assert html.count('class="bars run-1"') == html.count('class="bars run-2"') == 2
    # The strong run has the most reward, and by gold the other is clearly the better one.
    first, best = runs[1].model_version, runs[0].model_version
    assert f"puts {first} (test) first, gold puts {best} (test) clearly above it" in html
    points = html.split("The points in figures", 1)[1].split("</table>", 1)[0]
    row = re.search(rf"{runs[1].model_version} \(test\).*?</tr>", points)
    assert row
    assert re.findall(r'"num">([\d.–]+)<', row.group()) == ["16.56", "3.01", "0.40"]


def test_another_run_can_be_added_and_each_left_out() -> None:
    project = make_project()
    first, second, third = (make_run(project) for _ in range(3))
    html = shown(project, first, second)
    assert f'<option value="{third.uid}">' in html
    assert 'class="drop"' not in html  # two are the fewest
    html = shown(project, first, second, third)
    assert f'<a class="drop" href="{address(project, first, third)}"'.replace("&", "&amp;") in html


def test_eight_runs_are_the_most_and_no_other_is_offered() -> None:
    project = make_project()
    runs = [make_run(project) for _ in range(9)]
    html = shown(project, *runs[:8])
    assert html.count('class="drop"') == 8
    assert "<option" not in html


def test_the_list_chooses_runs_by_check_boxes_and_keeps_the_choice() -> None:
    project = make_project()
    first, second = make_run(project), make_run(project)
    elsewhere = "0" * 32
    url = reverse("training:run_list", args=[project.slug])
    html = client_of(owner_of(project)).get(f"{url}?run={first.uid}&run={elsewhere}").text
    form = html.split(f'<form method="get" action="{address(project)[:-1]}">')[1].split("</form>")[
        0
    ]
    assert re.findall(r'value="([^"]+)"( checked)?', form) == [
        (str(second.uid), ""),
        (str(first.uid), " checked"),
        (elsewhere, ""),
    ]
    assert "1 chosen on another page" in form


def test_a_run_leads_to_the_runs_it_is_held_against() -> None:
    project = make_project()
    first = make_run(project)
    twin = make_run(project, snapshot=first.snapshot)
    made = end_well(first, 3)
    second = make_run(project, snapshot=first.snapshot, base_model=made)
    client = client_of(owner_of(project))
    html = client.get(reverse("training:run_detail", args=[project.slug, second.uid])).text
    links = html.split("Compare with", 1)[1]
    assert re.findall(r"(made the model|learned from the same)", links) == [
        "learned from the same",
        "made the model",
    ]
    assert address(project, second, twin, first).replace("&", "&amp;") in links
    page = reverse("training:run_detail", args=[project.slug, make_run(project).uid])
    assert "Compare with" not in client.get(page).text


def test_a_model_leads_to_the_runs_that_go_on_from_it() -> None:
    project = make_project()
    first = make_run(project)
    client = client_of(owner_of(project))
    page = reverse("training:model_detail", args=[project.slug, first.base_model.pk])
    assert "Compare these runs" not in client.get(page).text
    second = make_run(project, base_model=first.base_model)
    assert address(project, second, first).replace("&", "&amp;") in client.get(page).text


def test_queries_don_t_grow_with_the_runs(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """Session, user, project, role; runs, models, points, evaluations; the runs to be added."""
    project = make_project()
    runs = [*make_family(project), *(make_run(project) for _ in range(4))]
    client = client_of(owner_of(project))
    for chosen in (runs[:2], runs):
        with django_assert_num_queries(10):
            client.get(address(project, *chosen))


def test_the_page_speaks_chinese_alone() -> None:
    project = make_project()
    runs = make_family(project)
    client = client_of(make_admin(language="zh-hans"))
    page = client.get(address(project, *runs)).text
    assert "并排" in page
    assert english_in(page) == []
