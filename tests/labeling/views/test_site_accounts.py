"""Accounts as a site admin meets them: a link to hand on, and what it leads to."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from labeling.models import User
from tests.factories import PASSWORD
from tests.labeling.views.conftest import World

PIECE = {"HX-Request": "true"}
NEW = {"password": "an altogether other secret", "again": "an altogether other secret"}


def link_in(page: str) -> str:
    """Return the path of the link that the page shows."""
    found = re.search(r'readonly value="http://testserver([^"]+)"', page)
    assert found is not None
    return html.unescape(found[1])


def test_new_account_gets_a_link_that_signs_its_person_in_once(world: World) -> None:
    admin = world.client("admin")
    made = admin.post(world.url("account_list"), {"username": "zoe"})
    page = admin.get(made["Location"])
    assert page["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    link = link_in(page.text)
    person = Client()
    assert "zoe" in person.get(link).text
    assert person.post(link, NEW)["Location"] == world.url("project_list")
    assert person.get(world.url("own_settings")).status_code == 200
    assert Client().get(link).status_code == 404
    assert "password-link" not in admin.get(made["Location"]).text


def test_link_page_refuses_two_that_differ_and_a_weak_one(world: World) -> None:
    url = world.url("password_link", "waiting", "token")
    for data in ({**NEW, "again": "x"}, {"password": "12345", "again": "12345"}):
        answer = Client().post(url, data)
        assert answer.status_code == 422
        assert "errorlist" in answer.text
    assert not User.objects.get(pk=world.ids["waiting"]).has_usable_password()


def test_taken_name_is_refused_in_the_form(world: World) -> None:
    data = {"username": world.actor("viewer").username}
    answer = world.client("admin").post(world.url("account_list"), data, headers=PIECE)
    assert answer.status_code == 422
    assert answer.text.strip().startswith('<form id="account-form"')


def test_switched_off_account_is_out_at_its_next_request(world: World) -> None:
    world.ids |= {"account": world.actor("viewer").pk, "deed": "deactivate"}
    viewer, home = world.client("viewer"), world.url("project_list")
    assert viewer.get(home).status_code == 200
    url = world.url("account_deed", "account", "deed")
    assert "switched off" in world.client("admin").post(url, headers=PIECE).text
    assert viewer.get(home).status_code == 302
    login = {"username": world.actor("viewer").username, "password": PASSWORD}
    assert Client().post(world.url("login"), login).status_code == 422
    token = {"username": login["username"], "password": PASSWORD}
    assert Client().post("/api/v1/token/", token).status_code == 422


def test_reset_signs_the_person_out_and_shows_a_link(world: World) -> None:
    world.ids["account"] = world.actor("viewer").pk
    viewer = world.client("viewer")
    page = world.client("admin").post(world.url("account_deed", "account", "deed"), headers=PIECE)
    assert viewer.get(world.url("project_list")).status_code == 302
    assert Client().get(link_in(page.text)).status_code == 200


def test_own_account_is_left_alone(world: World) -> None:
    world.ids["account"] = world.actor("admin").pk
    admin = world.client("admin")
    for deed in ("deactivate", "take-admin", "reset"):
        world.ids["deed"] = deed
        assert admin.post(world.url("account_deed", "account", "deed")).status_code == 422
    world.ids["deed"] = "promote"
    assert admin.post(world.url("account_deed", "account", "deed")).status_code == 404
    assert User.objects.get(pk=world.ids["account"]).is_site_admin


def test_account_page_costs_the_same_for_few_and_many(
    world: World, django_assert_max_num_queries: Any
) -> None:
    admin = world.client("admin")
    with django_assert_max_num_queries(5):
        page = admin.get(world.url("account_list"))
    assert "newcomer" in page.text
    assert "no password yet" in page.text
    assert "newcomer" not in admin.get(world.url("account_list"), {"name": "owner"}).text


def test_owner_is_offered_the_names_that_can_be_added(world: World) -> None:
    page = world.client("owner").get(world.url("member_list", "slug")).text
    offered = re.findall(r'<option value="([^"]+)">', page.partition("addable-names")[2])
    assert world.actor("stranger").username in offered
    assert world.actor("annotator").username not in offered


@pytest.mark.parametrize("name", ["viewer", "admin"])
def test_header_leads_admins_to_the_accounts(world: World, name: str) -> None:
    page = world.client(name).get(world.url("project_list")).text
    assert (f'href="{world.url("account_list")}"' in page) is (name == "admin")
