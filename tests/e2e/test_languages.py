"""Both languages: chosen in one's settings or before signing in, and ranked in."""

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from labeling.models import Judgement, Project, User
from tests.e2e import steps
from tests.factories import PASSWORD, make_comparison, make_member, make_project
from tests.locale.pages import english_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def project() -> Project:
    """Return a project with two comparisons of four."""
    project = make_project()
    for _ in range(2):
        make_comparison(project, k=4)
    return project


@pytest.fixture
def annotator(project: Project) -> User:
    """Return somebody who ranks in the project."""
    return make_member(project)


def test_an_annotator_switches_to_chinese_and_ranks_a_comparison(
    page: Page, live_server: LiveServer, project: Project, annotator: User
) -> None:
    steps.sign_in(page, live_server.url, (annotator.username, PASSWORD))
    page.goto(f"{live_server.url}/settings/")
    page.get_by_label("Language").select_option(label="简体中文")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="您的设置")).to_be_visible()
    expect(page.get_by_text("您的设置已保存。")).to_be_visible()
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    steps.expect_ready(page)
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    say = page.locator("#say")
    expect(say).to_have_text("新的比较：4 个回复。")
    first = steps.card_key(page)
    page.keyboard.press("1")
    expect(say).to_have_text("回复 A 排在第 1 名。")
    page.keyboard.press("1")
    expect(say).to_have_text("回复 B 排在第 1 名，与 A 并列。")
    page.keyboard.press("Enter")
    expect(say).to_contain_text("尚未排序：C, D。")
    page.keyboard.press("2")
    page.keyboard.press("3")
    expect(say).to_contain_text("已全部排好，按回车提交。")
    assert english_in(page.content()) == []
    page.get_by_role("button", name="提交").click()
    steps.expect_next_card(page, first)
    expect(say).to_contain_text("新的比较：4 个回复。")
    (judgement,) = Judgement.objects.filter(assignment__uid=first)
    order = judgement.assignment.shown_order
    assert judgement.tiers == [sorted(order[:2]), [order[2]], [order[3]]]


def test_keys_and_skipping_are_explained_in_chinese(
    page: Page, live_server: LiveServer, project: Project, annotator: User
) -> None:
    User.objects.filter(pk=annotator.pk).update(language="zh-hans")
    page.goto(live_server.url)
    page.get_by_label("Username").fill(annotator.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="项目")).to_be_visible()
    page.goto(f"{live_server.url}/projects/{project.slug}/compare/")
    steps.expect_ready(page)
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="快捷键")).to_be_visible()
    expect(page.get_by_text("提交，继续下一个")).to_be_visible()
    page.keyboard.press("Escape")
    before = steps.card_key(page)
    page.keyboard.press("s")
    page.get_by_label("我看不懂这种语言", exact=True).check()
    page.get_by_role("button", name="跳过", exact=True).last.click()
    steps.expect_next_card(page, before)


def test_the_language_is_chosen_before_signing_in(
    page: Page, live_server: LiveServer, annotator: User
) -> None:
    page.goto(f"{live_server.url}/settings/")
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.get_by_role("button", name="简体中文")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("button", name="English")).to_have_attribute("lang", "en")
    page.get_by_label("用户名").fill(annotator.username)
    page.get_by_label("密码").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="登录").click()
    expect(page.get_by_role("heading", level=1, name="您的设置")).to_be_visible()
