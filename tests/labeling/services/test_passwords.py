"""Passwords: chosen by a link that holds once, changed, and taken away."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from rest_framework.authtoken.models import Token

from labeling.exceptions import InvalidInput, NotFound
from labeling.models import AuditEvent, User
from labeling.services.accounts import create_user, set_active
from labeling.services.passwords import (
    change_own_password,
    link_token,
    reset_password,
    set_first_password,
    user_of_link,
)
from tests.factories import PASSWORD, make_admin, make_user

pytestmark = pytest.mark.django_db
NEW = "an altogether other secret"


def newcomer() -> User:
    return create_user(actor=make_admin(), username="newcomer", password=None)


def test_link_sets_the_first_password_once() -> None:
    user = newcomer()
    token, other = link_token(user), link_token(user)
    set_first_password(user_id=user.pk, token=token, password=NEW)
    assert authenticate(username="newcomer", password=NEW) == user
    for used in (token, other):
        with pytest.raises(NotFound):
            set_first_password(user_id=user.pk, token=used, password="yet another one")
    assert link_token(User.objects.get(pk=user.pk)) == ""
    assert AuditEvent.objects.get(verb="account.first_password").actor == user


def test_link_of_another_account_a_forged_and_an_old_one_are_dead(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    user, other = newcomer(), create_user(actor=None, username="other", password=None)
    for token in (link_token(other), "forged", "abc-def"):
        with pytest.raises(NotFound):
            user_of_link(user_id=user.pk, token=token)
    token = link_token(user)
    assert user_of_link(user_id=user.pk, token=token) == user
    late = datetime.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT + 60)
    monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda self: late)
    with pytest.raises(NotFound):
        user_of_link(user_id=user.pk, token=token)


def test_link_dies_when_the_account_is_switched_off_or_reset_again() -> None:
    user, admin = newcomer(), make_admin()
    token = link_token(user)
    set_active(actor=admin, user=user, active=False)
    with pytest.raises(NotFound):
        user_of_link(user_id=user.pk, token=token)
    assert link_token(user) == ""
    set_active(actor=admin, user=user, active=True)
    reset_password(actor=admin, user=user)
    with pytest.raises(NotFound):
        user_of_link(user_id=user.pk, token=token)


def test_weak_first_password_is_refused_and_the_link_still_holds() -> None:
    user = newcomer()
    token = link_token(user)
    with pytest.raises(InvalidInput) as caught:
        set_first_password(user_id=user.pk, token=token, password="12345")
    assert "password" in caught.value.errors
    set_first_password(user_id=user.pk, token=token, password=NEW)


def test_change_own_password_wants_the_present_one_and_ends_the_api_token() -> None:
    user = make_user()
    Token.objects.create(user=user)
    with pytest.raises(InvalidInput) as caught:
        change_own_password(actor=user, current="guessed", password=NEW)
    assert set(caught.value.errors) == {"current"}
    assert Token.objects.filter(user=user).exists()
    change_own_password(actor=user, current=PASSWORD, password=NEW)
    assert authenticate(username=user.username, password=NEW) == user
    assert not Token.objects.filter(user=user).exists()
    assert AuditEvent.objects.filter(verb="account.password", actor=user).count() == 1


def test_reset_password_takes_password_and_token_away() -> None:
    admin, user = make_admin(), make_user()
    Token.objects.create(user=user)
    reset_password(actor=admin, user=user)
    assert authenticate(username=user.username, password=PASSWORD) is None
    assert not Token.objects.filter(user=user).exists()
    assert link_token(user)
    with pytest.raises(InvalidInput):
        reset_password(actor=admin, user=admin)
