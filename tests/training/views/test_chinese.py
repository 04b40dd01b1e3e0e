"""The pages of runs and models in Simplified Chinese."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.domain.sentences import sentence
from labeling.models import Project, User
from tests.factories import make_admin, make_project
from tests.locale.pages import english_in
from tests.training.factories import make_model, make_run, make_sampling_run
from training.models import MetricPoint, TrainingRun
from training.services.attempts import claim_run, end_attempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_admin(language="zh-hans"))
    return client


def _page(client: Client, project: Project, name: str, *args: object, query: str = "") -> str:
    response = client.get(reverse(f"training:{name}", args=[project.slug, *args]) + query)
    assert response.status_code == 200
    assert response["Content-Language"] == "zh-hans"
    return response.text


@pytest.mark.parametrize("recipe", ["sft", "reward", "dpo"])
def test_the_form_of_a_run_speaks_chinese_alone(
    client: Client, project: Project, recipe: str
) -> None:
    page = _page(client, project, "run_new", query=f"?recipe={recipe}")
    assert "学习率" in page
    assert english_in(page) == []


def test_refused_settings_are_explained_in_chinese(client: Client, project: Project) -> None:
    url = reverse("training:run_new", args=[project.slug]) + "?recipe=sft"
    page = client.post(url, {"learning_rate": "0", "lora_r": "x"})
    assert page.status_code == 422
    assert english_in(page.text) == []


def test_lists_and_models_speak_chinese_alone(client: Client, project: Project) -> None:
    model = make_model(project)
    make_run(project)
    make_sampling_run(project, model=model)
    for page in (
        _page(client, project, "run_list"),
        _page(client, project, "model_list"),
        _page(client, project, "model_new"),
        _page(client, project, "model_detail", model.pk),
    ):
        assert english_in(page) == []


def test_a_run_tells_in_chinese_why_it_failed_and_what_it_left_out(
    client: Client, project: Project
) -> None:
    run = make_run(project)
    attempt = claim_run(run_id=run.pk, worker="w")
    assert attempt is not None
    MetricPoint.objects.create(
        run=run, attempt_number=1, step=1, values={"loss": 1.5}, recorded_at=timezone.now()
    )
    reason = sentence(
        "The recipe failed with exit code {code}; the end of its log says why.", code=3
    )
    data = {"rows": 9, "train": 4, "dropped": {"template_changes_prompt": 3, "tie": 2}}
    end_attempt(
        attempt=attempt, state=TrainingRun.State.FAILED, reason=reason, result={"data": data}
    )
    page = _page(client, project, "run_detail", run.uid)
    assert "训练方案失败，退出码 3；原因见日志末尾。" in page
    assert "对话模板改变了提示 3" in page
    assert "<figcaption>损失</figcaption>" in page
    assert english_in(page) == []
    User.objects.update(language="en")
    assert "failed with exit code 3; the end" in _english(client, project, run)


def _english(client: Client, project: Project, run: TrainingRun) -> str:
    return client.get(reverse("training:run_detail", args=[project.slug, run.uid])).text
