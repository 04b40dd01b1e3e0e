"""Every page in Simplified Chinese: it says so, and no English sentence is left in it."""

import pytest
from django.test import RequestFactory
from django.utils import translation
from django.views.defaults import server_error
from pytest_django import Settings

from labeling.models import User
from labeling.services.projects import DEFAULT_FLAGS
from tests.labeling.views.conftest import World
from tests.labeling.views.test_access import DEEDS, Deed
from tests.locale.pages import english_in

# Pages, each as whoever sees the most of it.
PAGES = [deed for deed in DEEDS if deed.data is None and 200 in deed.statuses]
PAGES = [deed for deed in PAGES if deed.name != "export_download"]
OWN = {"compare", "compare_ahead", "write", "write_correct", "own_work"}


def test_english_is_found_where_a_page_speaks_it() -> None:
    page = '<p title="A good old title">你好 <i>this is left over</i></p><p dir="auto">no no no</p>'
    assert english_in(page) == ["A good old title", "this is left over"]


@pytest.mark.parametrize("deed", PAGES, ids=str)
def test_a_page_speaks_chinese_alone(deed: Deed, world: World) -> None:
    User.objects.update(language="zh-hans")
    name = "annotator" if deed.name in OWN else "admin"
    name = "anonymous" if deed.name in {"login", "password_link"} else name
    client = world.client(name)
    response = client.get(
        world.url(deed.name, *deed.parts), headers={"Accept-Language": "zh-CN,zh;q=0.9"}
    )
    assert response.status_code == 200
    assert response["Content-Language"] == "zh-hans"
    assert '<html lang="zh-hans" dir="ltr">' in response.text or deed.name == "compare_ahead"
    assert english_in(response.text) == []


def test_dates_are_written_as_in_china(world: World) -> None:
    User.objects.update(language="zh-hans")
    page = world.client("owner").get(world.url("snapshot_list", "slug"))
    assert "年" in page.text
    assert "月" in page.text


def test_refusals_are_said_in_chinese(world: World) -> None:
    User.objects.update(language="zh-hans")
    page = world.client("stranger").get(world.url("project_detail", "slug"))
    assert page.status_code == 404
    assert "没有这个项目，或您不是它的成员。" in page.text
    assert english_in(page.text) == []


def test_a_request_that_cannot_be_read_is_refused_in_chinese(
    world: World, settings: Settings
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    User.objects.update(language="zh-hans")
    page = world.client("manager").post(world.url("guideline_list", "slug"), {"text": "x" * 20})
    assert page.status_code == 400
    assert '<html lang="zh-hans"' in page.text
    assert english_in(page.text) == []


def test_a_fault_is_told_in_chinese(rf: RequestFactory) -> None:
    with translation.override("zh-hans"):
        page = server_error(rf.get("/"))
    assert '<html lang="zh-hans"' in page.text
    assert "服务器出错了" in page.text
    assert english_in(page.text) == []


def test_the_default_flags_are_shown_in_chinese_until_somebody_changes_them(world: World) -> None:
    User.objects.update(language="zh-hans")
    page = world.client("manager").get(world.url("flag_set", "slug")).text
    assert "未遵循指令" in page
    assert DEFAULT_FLAGS[0]["label"] in page  # in the editor, as it is stored


def test_a_language_chosen_before_signing_in_is_kept(world: World) -> None:
    client = world.client("anonymous")
    login = world.url("login")
    assert '<html lang="en"' in client.get(login).text
    chosen = client.post("/i18n/setlang/", {"language": "zh-hans", "next": login})
    assert chosen["Location"] == login
    page = client.get(login).text
    assert '<html lang="zh-hans"' in page
    assert '<button class="button quiet small" name="language" value="en" lang="en">English' in page


def test_a_saved_language_is_spoken_at_once_and_signed_out_too(world: World) -> None:
    client = world.client("viewer")
    saved = client.post(
        world.url("own_settings"), {"time_zone": "Asia/Shanghai", "language": "zh-hans"}
    )
    assert "您的设置已保存。" in client.get(saved["Location"]).text
    client.post(world.url("logout"))
    assert '<html lang="zh-hans"' in client.get(world.url("login")).text


def test_without_a_language_of_ones_own_the_browser_is_asked_again(world: World) -> None:
    client = world.client("viewer")
    chinese = {"Accept-Language": "zh-CN"}
    settings = {"time_zone": "UTC", "language": "en"}
    client.post(world.url("own_settings"), settings)
    assert '<html lang="en"' in client.get(world.url("project_list"), headers=chinese).text
    client.post(world.url("own_settings"), {**settings, "language": ""}, headers=chinese)
    page = client.get(world.url("own_settings"), headers=chinese).text
    assert '<html lang="zh-hans"' in page
    assert "您的设置已保存。" in page


def test_a_language_that_nobody_speaks_here_is_refused(world: World) -> None:
    data = {"time_zone": "UTC", "language": "tlh"}
    response = world.client("viewer").post(world.url("own_settings"), data)
    assert response.status_code == 422
