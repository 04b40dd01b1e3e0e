"""Writes of passwords: a one-time link for the first one, a reset by an admin, one's own change.

No mail server is needed and no admin ever knows a password: an admin hands on a link, by which the
person chooses their own. A link holds for PASSWORD_RESET_TIMEOUT seconds and dies with its use,
with a reset, and as soon as the account is switched off. Nothing of it is stored.
"""

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from rest_framework.authtoken.models import Token

from labeling.exceptions import InvalidInput, NotFound
from labeling.models import User
from labeling.selectors.accounts import people
from labeling.services import audit

_DEAD_LINK = gettext_noop(
    "This link was used already, or is too old. Ask a site admin for another."
)


def waits_for_password(user: User) -> bool:
    """Return whether the account waits for its person to choose a password."""
    return user.is_active and not user.has_usable_password()


def link_token(user: User) -> str:
    """Return a fresh token of the link by which the account's person chooses a password.

    It is empty where the account has a password (reset it first), or may not sign in.
    """
    return default_token_generator.make_token(user) if waits_for_password(user) else ""


def user_of_link(*, user_id: int, token: str) -> User:
    """Return the account that a link is for. Raises NotFound for a link that is dead."""
    user = people().filter(pk=user_id).first()
    if user is None or not waits_for_password(user):
        raise NotFound(_(_DEAD_LINK))
    if not default_token_generator.check_token(user, token):
        raise NotFound(_(_DEAD_LINK))
    return user


@transaction.atomic
def set_first_password(*, user_id: int, token: str, password: str) -> User:
    """Set the password that the bearer of a link chose. Raises NotFound, InvalidInput."""
    User.objects.select_for_update().filter(pk=user_id).first()  # so that a link is used once
    user = user_of_link(user_id=user_id, token=token)
    _set(user, password)
    audit.record(actor=user, project=None, verb="account.first_password", obj=user)
    return user


@transaction.atomic
def change_own_password(*, actor: User, current: str, password: str) -> User:
    """Change the actor's password; other sessions and the API token end with the old one.

    Raises InvalidInput, naming the field.
    """
    if not actor.check_password(current):
        raise InvalidInput(
            _("The password was not changed."),
            errors={"current": [_("This is not your password.")]},
        )
    _set(actor, password)
    audit.record(actor=actor, project=None, verb="account.password", obj=actor)
    return actor


@transaction.atomic
def reset_password(*, actor: User, user: User) -> User:
    """Take an account's password, sessions and API token away; its link sets the next one."""
    if user.pk == actor.pk:
        raise InvalidInput(_("Change your own password in your settings."))
    user.set_unusable_password()
    user.save(update_fields=["password"])
    Token.objects.filter(user=user).delete()
    audit.record(actor=actor, project=None, verb="account.reset_password", obj=user)
    return user


def _set(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidInput(
            _("This password can't be taken."), errors={"password": error.messages}
        ) from None
    user.set_password(password)
    user.save(update_fields=["password"])
    Token.objects.filter(user=user).delete()
