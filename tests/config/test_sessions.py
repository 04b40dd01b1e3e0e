"""Signing in holds, ends and is refused as Django does it, at the price of two statements."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labeling.models import User
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db


def _status(client: Client) -> int:
    return client.get(reverse("labeling:own_settings")).status_code


def _signed_in() -> tuple[Client, User]:
    """Return a client whose account signed in through the form."""
    client, user = Client(), make_user()
    client.post(reverse("labeling:login"), {"username": user.username, "password": PASSWORD})
    assert _status(client) == 200
    return client, user


def test_account_is_read_whole() -> None:
    client, user = _signed_in()
    read = client.get(reverse("labeling:own_settings")).wsgi_request.user
    names = [field.attname for field in User._meta.concrete_fields]
    assert [getattr(read, name) for name in names] == [
        getattr(User.objects.get(pk=user.pk), name) for name in names
    ]
    assert not read._state.adding


def test_session_and_account_cost_two_statements() -> None:
    client, _ = _signed_in()
    with CaptureQueriesContext(connection) as captured:
        client.get("/health")
    assert len(captured) == 2


def _let_it_expire(user: User) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def _delete_the_session(user: User) -> None:
    Session.objects.all().delete()


def _delete_the_account(user: User) -> None:
    user.delete()


def _deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _change_the_password(user: User) -> None:
    user.set_password("another battery staple")
    user.save()


@pytest.mark.parametrize(
    "end",
    [_let_it_expire, _delete_the_session, _delete_the_account, _deactivate, _change_the_password],
)
def test_whoever_may_not_go_on_is_sent_to_the_login(end: Callable[[User], None]) -> None:
    client, user = _signed_in()
    end(user)
    assert _status(client) == 302


def test_key_that_nobody_was_given_is_no_session() -> None:
    client = Client()
    client.cookies["sessionid"] = "x" * 32
    assert _status(client) == 302
