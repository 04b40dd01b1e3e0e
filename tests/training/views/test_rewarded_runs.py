"""The pages of runs that learn from their own replies."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from tests.factories import make_project, make_prompts, owner_of
from tests.training.factories import make_demonstrations, make_model, make_rewarded_run
from training import rundir, tasks
from training.models import TrainingRun
from training.services.models import register_result

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note for which runs somebody rang, in place of a broker."""
    rung: list[int] = []
    monkeypatch.setattr(tasks.train, "apply_async", lambda args, expires: rung.append(*args))
    return rung


def _reply(step: int, text: str) -> dict[str, object]:
    prompt = [{"role": "user", "content": "How do I boil <b>rice</b>?"}]
    judged = {"score": 1.234, "kl": 0.5, "tokens": 7, "ended": step > 1}
    return {"step": step, "prompt": prompt, "text": text, **judged}


def test_ppo_starts_from_the_form_with_a_judge_and_prompts(client: Client):
    project = make_project(validation_share=0.0, test_share=0.0)
    make_prompts(project, 3, candidates=0)
    policy, judge = make_model(project), make_model(project, "reward", "judge")
    client.force_login(owner_of(project))
    url = reverse("training:run_new", args=[project.slug]) + "?recipe=ppo&preset=tiny-cpu"
    form = client.get(url).context["form"]
    assert form["reward_model"].value() == judge.pk
    assert form["snapshot"].value() is None
    sent = {field.html_name: field.value() for field in form}
    sent |= {"base_model": policy.pk, "reward_model": judge.pk, "limit": 2, "beta": 0.2}
    given = {name: value for name, value in sent.items() if value is not None}
    given = {name: value for name, value in given.items() if value is not False}
    assert client.post(url, given).status_code == 302
    run = TrainingRun.objects.get(project=project)
    assert (run.recipe, run.base_model, run.reward_model) == ("ppo", policy, judge)
    assert (run.config["beta"], len(run.prompts.prompt_ids)) == (0.2, 2)
    del given["reward_model"]
    refused = client.post(url, given)
    assert refused.status_code == 422
    assert "reward_model" in refused.context["form"].errors


def test_sft_may_be_given_a_judge_and_its_page_says_what_was_chosen(client: Client):
    project = make_project()
    make_demonstrations(project)
    policy, judge = make_model(project), make_model(project, "reward", "judge")
    client.force_login(owner_of(project))
    url = reverse("training:run_new", args=[project.slug]) + "?recipe=sft&preset=tiny-cpu"
    form = client.get(url).context["form"]
    assert form["reward_model"].value() is None
    assert "tags" not in form.fields
    sent = {field.html_name: field.value() for field in form}
    sent |= {"base_model": policy.pk, "reward_model": judge.pk}
    given = {n: value for n, value in sent.items() if value is not None and value is not False}
    refused = client.post(url, given)
    assert refused.status_code == 422
    assert list(refused.context["form"].errors) == ["eval_steps"]
    assert client.post(url, given | {"eval_steps": 20}).status_code == 302
    run = TrainingRun.objects.get(project=project)
    assert run.reward_model == judge
    point = {"step": 40, "score": 1.234, "kl": 0.5}
    run.result = {"chosen": {**point, "of": 3, "curve": [point] * 3}}
    run.save()
    page = client.get(reverse("training:run_detail", args=[project.slug, run.uid]))
    assert "step 40: its score 1.23 is the highest of 3 evaluations" in page.content.decode()
    assert "judge v1" in page.content.decode()


def test_a_runs_page_shows_judge_prompts_and_replies(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
):
    project = make_project(validation_share=0.0, test_share=0.0)
    run = make_rewarded_run(project, prompts=3)
    run.folder.mkdir(parents=True)
    rundir.append_rollouts(run.folder, [_reply(1, "Rudely."), _reply(10, "<i>Gladly</i>.")])
    client.force_login(owner_of(project))
    with django_assert_num_queries(13):
        page = client.get(reverse("training:run_detail", args=[project.slug, run.uid]))
    text = page.content.decode()
    assert [sample.step for sample in page.context["replies"]] == [10, 1]
    assert "&lt;i&gt;Gladly&lt;/i&gt;" in text
    assert "boil &lt;b&gt;rice" in text
    assert "score 1.23 · KL 0.50 · 7 tokens" in text
    assert text.count("cut off") == 1
    assert "judge v1" in text


def test_a_models_page_names_the_judge_of_its_lineage(client: Client):
    project = make_project(validation_share=0.0, test_share=0.0)
    run = make_rewarded_run(project, prompts=1)
    made = register_result(run=run, result={"model": {"sha256": "0" * 64}}, path="made")
    client.force_login(owner_of(project))
    page = client.get(reverse("training:model_detail", args=[project.slug, made.pk]))
    assert "judged by judge v1" in page.content.decode()
