"""Contests and a round's report in Simplified Chinese."""

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Project
from tests.factories import make_admin, owner_of
from tests.locale.pages import english_in
from tests.training.contests.playing import make_evaluating_round, prefer, tagged
from training import tasks
from training.contests.services import open_contest
from training.rounds.selectors import standing_steps

pytestmark = pytest.mark.django_db


def _page(client: Client, project: Project, name: str, *args: object) -> str:
    response = client.get(reverse(f"training:{name}", args=[project.slug, *args]))
    assert response["Content-Language"] == "zh-hans"
    return response.text


def test_contests_and_reports_speak_chinese_alone() -> None:
    round = make_evaluating_round(prompts=12, how={"text": lambda pk, who, n: f"{who}{pk}"})
    project = round.project
    tagged(project, "标签", 12)
    client = Client()
    client.force_login(make_admin(language="zh-hans"))
    names = ("contest_list", "round_report")
    before = [_page(client, project, name, *([1] if "report" in name else [])) for name in names]
    run = standing_steps(round, "evaluate")[0].run
    open_contest(actor=owner_of(project), project=project, run=run)
    asked = [_page(client, project, "contest_detail", 1), _page(client, project, "round_detail", 1)]
    prefer(project, "baseline")
    tasks.settle_contests()
    after = [
        _page(client, project, "contest_detail", 1),
        _page(client, project, "contest_list"),
        _page(client, project, "round_report", 1),
    ]
    assert "old v1 更好。" in after[0]
    assert "有害：new v1 比 old v1 更差。" in after[2]
    assert "过度优化" in after[2]
    markdown = _page(client, project, "round_report_markdown", 1)
    assert "## 哪里变差了" in markdown
    for page in (*before, *asked, *after):
        assert english_in(page) == []
