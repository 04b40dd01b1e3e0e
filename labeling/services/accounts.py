"""Writes about people: accounts made, switched off, given rights; settings; persons erased."""

from functools import partial
from pathlib import Path

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.exceptions import InvalidInput, NotAllowed
from labeling.models import (
    Annotator,
    Assignment,
    Export,
    Judgement,
    Snapshot,
    User,
)
from labeling.selectors.references import candidates_written_by
from labeling.services import audit
from labeling.services.demonstrations import erase_written
from labeling.services.offers import erase_offers
from labeling.services.snapshots import redact_snapshots
from labeling.services.written_replies import erase_candidates

TOMBSTONE = "[erased at the writer's request]"  # also in exports: one text for everybody


@transaction.atomic
def create_user(
    *,
    actor: User | None,
    username: str,
    password: str | None,
    email: str = "",
    is_site_admin: bool = False,
    time_zone: str = "UTC",
    language: str = "",
) -> User:
    """Make an account; the actor is None for the first one of an installation.

    Without a password nobody can sign in to it until its one-time link was followed
    (services/passwords.py).
    """
    user = User(
        username=username,
        email=email,
        time_zone=time_zone,
        language=language,
        is_superuser=is_site_admin,
        is_staff=is_site_admin,
    )
    try:
        user.set_password(password)
        user.full_clean()
        if password is not None:
            validate_password(password, user)
    except ValidationError as error:
        errors = getattr(error, "error_dict", None)
        raise InvalidInput(
            _("The account can't be made."),
            errors=error.message_dict if errors else {"password": error.messages},
        ) from None
    user.save()
    audit.record(actor=actor, project=None, verb="account.create", obj=user)
    return user


def _require_other_admin(*, actor: User, user: User) -> None:
    """Raise unless the actor is a site admin at this moment, and the account is another's.

    All admins are locked: two who switch each other off must not leave the site without one.
    """
    admins = User.objects.select_for_update().filter(is_superuser=True, is_active=True)
    if actor.pk not in set(admins.order_by("pk").values_list("pk", flat=True)):
        raise NotAllowed(_("Only a site admin may do that."))
    if user.pk == actor.pk:
        raise InvalidInput(_("Nobody does that to their own account: ask another admin."))


@transaction.atomic
def set_active(*, actor: User, user: User, active: bool) -> User:
    """Let an account sign in, or keep it out, at once and everywhere; all that it made stays.

    Raises InvalidInput for the actor's own account.
    """
    _require_other_admin(actor=actor, user=user)
    user.is_active = active
    user.save(update_fields=["is_active"])
    verb = "account.activate" if active else "account.deactivate"
    audit.record(actor=actor, project=None, verb=verb, obj=user)
    return user


@transaction.atomic
def set_site_admin(*, actor: User, user: User, site_admin: bool) -> User:
    """Give an account every right on the site, or take them back.

    Raises InvalidInput for the actor's own account, so that one admin always stays.
    """
    _require_other_admin(actor=actor, user=user)
    user.is_superuser = user.is_staff = site_admin
    user.save(update_fields=["is_superuser", "is_staff"])
    verb = "account.grant_admin" if site_admin else "account.revoke_admin"
    audit.record(actor=actor, project=None, verb=verb, obj=user)
    return user


@transaction.atomic
def update_own_settings(*, actor: User, time_zone: str, language: str) -> User:
    """Change the actor's own time zone and language; without one the browser's is spoken."""
    if language and language not in dict(settings.LANGUAGES):
        known = _("Use one of {known}.").format(known=", ".join(dict(settings.LANGUAGES)))
        raise InvalidInput(_("Some settings can't be taken."), errors={"language": [known]})
    actor.time_zone, actor.language = time_zone, language
    try:
        actor.full_clean(exclude=["password"])
    except ValidationError as error:
        raise InvalidInput(_("Some settings can't be taken."), errors=error.message_dict) from None
    actor.save(update_fields=["time_zone", "language"])
    audit.record(actor=actor, project=None, verb="account.update", obj=actor)
    return actor


@transaction.atomic
def erase_user(*, actor: User, user: User) -> list[int]:
    """Delete an account and the link from its pseudonyms; return the redacted snapshots' ids.

    Free text that the person wrote becomes a tombstone. Judgements without personal content stay,
    under a pseudonym that nobody can follow back. Exports that held erased text are withdrawn.
    """
    if user.pk == actor.pk:
        raise InvalidInput(_("Nobody erases their own account: ask another admin."))
    annotators = list(Annotator.objects.filter(user=user))
    touched = _snapshots_with_text_of(annotators, user)
    _erase_texts(annotators)
    erase_offers(actor=actor, author=user, tombstone=TOMBSTONE)
    for snapshot in touched:
        _withdraw_exports(snapshot)
    redactions = redact_snapshots(snapshots=touched)
    Annotator.objects.filter(user=user).update(name="", user=None)
    audit.record(
        actor=actor,
        project=None,
        verb="account.erase",
        obj=user,
        data={"snapshots": [r.snapshot_id for r in redactions]},
    )
    user.delete()
    return [r.snapshot_id for r in redactions]


def _snapshots_with_text_of(annotators: list[Annotator], user: User) -> list[Snapshot]:
    judged = Judgement.objects.filter(annotator__in=annotators)
    with_text = judged.exclude(comment="", unrankable_reason="", written_candidate=None)
    written = candidates_written_by([annotator.pk for annotator in annotators])
    found = (
        Snapshot.objects.filter(items__judgement__in=with_text)
        | Snapshot.objects.filter(items__demonstration__annotator__in=annotators)
        | Snapshot.objects.filter(items__judgement__comparison__slots__candidate__any=written)
        | Snapshot.objects.filter(items__judgement__comparison__prompt__offers__author=user)
        | Snapshot.objects.filter(items__demonstration__prompt__offers__author=user)
    )
    return list(found.distinct())


def _erase_texts(annotators: list[Annotator]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL prefloop.erasing = 'on'")
    judged = Judgement.objects.filter(annotator__in=annotators)
    judged.exclude(comment="").update(comment=TOMBSTONE)
    judged.exclude(unrankable_reason="").update(unrankable_reason=TOMBSTONE)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL prefloop.erasing = 'off'")
    own = Assignment.objects.filter(annotator__in=annotators)
    own.exclude(skip_reason="").update(skip_reason=TOMBSTONE)
    erase_candidates(annotators=annotators, tombstone=TOMBSTONE)
    erase_written(annotators=annotators, tombstone=TOMBSTONE)


def _withdraw_exports(snapshot: Snapshot) -> None:
    """Delete the files that held erased text; whoever needs one asks for it anew."""
    exports = Export.objects.filter(snapshot=snapshot, state=Export.State.READY)
    for path in exports.values_list("path", flat=True):
        transaction.on_commit(partial(Path(path).unlink, missing_ok=True))
    exports.update(
        state=Export.State.FAILED,
        error=gettext_noop("Withdrawn: a text in it was erased. Export again."),
        path="",
    )
