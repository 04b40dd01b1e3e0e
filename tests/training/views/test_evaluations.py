"""The pages of evaluations: the form, the report, and who may see them."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from labeling.models import Project, Prompt
from tests.factories import ACTORS, make_prompt, owner_of, seven_actors
from tests.training.factories import make_evaluation, make_held_out_project, make_model, make_run
from tests.training.recipes.test_evaluation_report import line
from tests.training.views.asking import client_of, page
from tests.training.views.test_runs import HTMX, OWNS, bell  # noqa: F401
from training.evaluation_points import evaluation_points
from training.models import Evaluation, TrainingRun
from training.recipes.evaluation_report import report_of
from training.services.models import register_result

pytestmark = pytest.mark.django_db


def test_the_form_answers_each_of_the_seven():
    project = make_held_out_project()
    url = page("evaluation_new", project)
    people = seven_actors(project).values()
    found = [client_of(user).get(url).status_code for user in people]
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, OWNS, strict=True))
    posted = [client_of(user).post(url).status_code for user in people]
    assert tuple(posted) == (302, 404, 403, 403, 403, 422, 422)


def _client(project: Project) -> Client:
    return client_of(owner_of(project))


def _filled(form: Any) -> dict[str, Any]:
    """Return what a browser would send of the form as it is."""
    given = {field.html_name: field.value() for field in form}
    given = {name: value for name, value in given.items() if value is not None}
    given = {name: value for name, value in given.items() if value is not False}
    return {name: getattr(value, "pk", value) for name, value in given.items()}


def test_the_form_begins_with_what_lies_nearest_and_starts_the_run():
    project = make_held_out_project()
    for _ in range(3):
        make_prompt(project, candidates=0)
    base, reward = make_model(project), make_model(project, "reward", "judge")
    run = make_run(project, base_model=base)
    made = register_result(run=run, result={"model": {"sha256": "0" * 64}}, path="made")
    client = _client(project)
    url = page("evaluation_new", project) + f"?model={made.pk}&preset=tiny-cpu"
    form = client.get(url).context["form"]
    start = {name: form.initial[name] for name in ("policy", "reference", "baseline")}
    assert start == {"policy": made, "reference": base, "baseline": base}
    assert form.initial["reward_model"] == reward
    given = _filled(form) | {"limit": 2, "replies_per_prompt": 5, "baseline": ""}
    sent = client.post(url, given)
    assert sent.status_code == 302, sent.context["form"].errors
    evaluation = Evaluation.objects.get(policy=made)
    assert (evaluation.reference, evaluation.baseline) == (base, None)
    assert (len(evaluation.prompt_ids), evaluation.run.config["replies_per_prompt"]) == (2, 5)
    response = client.post(url, given | {"judge": base.pk, "judged_pairs": 50}, headers=HTMX)
    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"judged_pairs"}
    response = client.post(url, given | {"judge": base.pk}, headers=HTMX)
    assert set(response.context["form"].errors) == {"baseline"}
    assert "choose one" in response.content.decode()


def finished(project: Project, *, gold: bool = False, **fields: Any) -> TrainingRun:
    """Return an evaluation that is told to have ended, with a report of lines made up here."""
    baseline = fields.pop("baseline", None) or make_model(project, name="other")
    run = make_evaluation(project, prompts=4, baseline=baseline, judge=baseline, **fields)
    names = [str(pk) for pk in run.evaluation.prompt_ids]
    lines = []
    for place, name in enumerate(names):
        for nth in range(4):
            said = {"first": 0.7, "second": 0.4, "against_tokens": 5}
            lines.append(
                line(
                    name,
                    float(place + nth),
                    text=f"<b>ours</b> {nth}",
                    ended=nth > 0,
                    **({} if nth else {"judged": said if place else None}),
                )
            )
            lines.append(line(name, place + 1.5, "baseline", text=f"theirs {nth}"))
    result = {"evaluation": report_of(lines), "metrics": {"objective/kl": 1.0}}
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", result=result)
    if gold:
        told = {"value": 0.61, "low": 0.5, "high": 0.7}
        best = [{"n": n, **told} for n in range(1, 5)]
        given = {"policy": told, "baseline": told, "best_of": best}
        Evaluation.objects.filter(pk=run.pk).update(gold=given)
    return TrainingRun.objects.get(pk=run.pk)


def test_the_report_shows_figures_wins_curve_and_replies(
    django_assert_max_num_queries: DjangoAssertNumQueries,
):
    project = make_held_out_project()
    run = finished(project, gold=True)
    client = _client(project)
    with django_assert_max_num_queries(14):
        answer = client.get(page("run_detail", project, run.uid))
    text = answer.content.decode()
    report = answer.context["report"]
    assert [figure.policy for figure in report.figures][:3] == ["3", "1", "0.5"]
    assert report.figures[-1].name == "Hidden score"
    assert report.wins[0].name == "By the reward model"
    assert report.wins[0].won.percent == 50
    assert [row.n for row in report.best_of] == [1, 2, 4]
    assert len(report.charts) == 2
    assert "&lt;b&gt;ours&lt;/b&gt; 0" in text
    assert "<b>ours" not in text
    assert text.count("cut off") == 4
    asked = Prompt.objects.get(pk=run.evaluation.prompt_ids[0]).messages[0]["content"][0]["text"]
    assert asked in text
    assert "1 pair could not be put to the AI judge" in text
    assert "Position bias" in text
    assert "Curves over the steps" not in text
    assert "baseline" in text


def test_an_evaluation_without_baseline_or_gold_tells_the_rest():
    project = make_held_out_project()
    run = make_evaluation(project, prompts=3)
    lines = [line(str(pk), float(pk)) for pk in run.evaluation.prompt_ids]
    result = {"evaluation": report_of(lines)}
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", result=result)
    text = _client(project).get(page("run_detail", project, run.uid)).content.decode()
    assert "What it is worth" in text
    assert "Hidden score" not in text
    assert "How often it wins" not in text


def test_a_live_evaluation_has_no_report_yet():
    project = make_held_out_project()
    run = make_evaluation(project)
    answer = _client(project).get(page("run_detail", project, run.uid))
    assert answer.context["report"] is None
    assert "Reference" in answer.content.decode()


def test_a_models_page_lists_its_evaluations_and_offers_another():
    project = make_held_out_project()
    run = finished(project)
    text = _client(project).get(page("model_detail", project, run.base_model.pk)).content.decode()
    assert "reward 3.00 · KL 1.00" in text
    assert page("evaluation_new", project) + f"?model={run.base_model.pk}" in text
    reward = _client(project).get(page("model_detail", project, run.reward_model.pk))
    assert page("evaluation_new", project) not in reward.content.decode()


def test_finished_evaluations_are_points():
    project = make_held_out_project()
    run = finished(project, gold=True)
    make_evaluation(project)
    (point,) = evaluation_points(project)
    assert (point.run, point.policy, point.made_by) == (run.uid, run.base_model, None)
    assert (point.kl.value, point.reward.value, point.prompts) == (1.0, 3.0, 4)
    assert (point.split, point.reference, point.reward_model) == (
        *("validation", run.evaluation.reference, run.reward_model),
    )
    assert point.win_rate is not None
    assert point.win_rate.value == pytest.approx(0.5)
    assert point.gold is not None
    assert point.gold.value == 0.61
    assert [row[0] for row in point.best_of] == [1, 2, 3, 4]
    assert point.group == (run.evaluation.reference.pk, run.reward_model.pk, "validation")
    assert evaluation_points(make_held_out_project()) == []
