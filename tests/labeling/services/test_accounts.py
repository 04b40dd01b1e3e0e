"""People: accounts made with care, and erased without losing the judgements."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate

from labeling.exceptions import InvalidInput, NotAllowed
from labeling.models import Annotator, AuditEvent, Export, Judgement, Snapshot, User
from labeling.selectors.snapshots import kway_rows
from labeling.services.accounts import (
    TOMBSTONE,
    create_user,
    erase_user,
    set_active,
    set_site_admin,
    update_own_settings,
)
from labeling.services.exports import request_export, write_export
from labeling.services.snapshots import hash_of
from tests.factories import make_admin, make_user
from tests.labeling.services.test_snapshots import freeze, judged_project

pytestmark = pytest.mark.django_db


def test_create_user_refuses_a_weak_password_and_a_taken_name() -> None:
    with pytest.raises(InvalidInput) as caught:
        create_user(actor=None, username="ann", password="12345")
    assert "password" in caught.value.errors
    create_user(actor=None, username="ann", password="a long enough secret")
    with pytest.raises(InvalidInput) as caught:
        create_user(actor=None, username="ann", password="a long enough secret")
    assert "username" in caught.value.errors


def test_update_own_settings_refuses_an_unknown_time_zone() -> None:
    user = make_user()
    with pytest.raises(InvalidInput) as caught:
        update_own_settings(actor=user, time_zone="Mars/Olympus", language="")
    assert "time_zone" in caught.value.errors
    update_own_settings(actor=user, time_zone="Asia/Shanghai", language="zh-hans")
    user.refresh_from_db()
    assert (user.time_zone, user.language) == ("Asia/Shanghai", "zh-hans")


def test_account_without_a_password_lets_nobody_in() -> None:
    user = create_user(actor=make_admin(), username="ann", password=None)
    assert not user.has_usable_password()
    assert authenticate(username="ann", password="") is None


def test_set_active_and_set_site_admin_are_written_down() -> None:
    admin, user = make_admin(), make_user()
    set_active(actor=admin, user=user, active=False)
    set_active(actor=admin, user=user, active=True)
    set_site_admin(actor=admin, user=user, site_admin=True)
    assert User.objects.get(pk=user.pk).is_site_admin
    set_site_admin(actor=admin, user=user, site_admin=False)
    assert not User.objects.get(pk=user.pk).is_site_admin
    events = AuditEvent.objects.filter(actor=admin, object_id=user.pk).order_by("pk")
    assert [event.verb for event in events] == [
        "account.deactivate",
        "account.activate",
        "account.grant_admin",
        "account.revoke_admin",
    ]


def test_the_site_keeps_an_admin() -> None:
    """Two admins who switch each other off at once: the second is no admin any more."""
    first, second = make_admin(), make_admin()
    with pytest.raises(InvalidInput):
        set_active(actor=first, user=first, active=False)
    with pytest.raises(InvalidInput):
        set_site_admin(actor=first, user=first, site_admin=False)
    set_active(actor=first, user=second, active=False)
    with pytest.raises(NotAllowed):
        set_site_admin(actor=second, user=first, site_admin=False)


def test_erase_user_keeps_judgements_and_redacts_snapshots_with_both_hashes() -> None:
    project = judged_project()
    snapshot = freeze(project)
    person = Judgement.objects.all()[0].annotator.user
    assert person is not None
    old = snapshot.sha256
    assert erase_user(actor=make_admin(), user=person) == [snapshot.pk]
    assert not User.objects.filter(username=person.username).exists()
    annotator = Annotator.objects.get(project=project)
    assert annotator.user is None
    assert Judgement.objects.count() == 2
    assert set(Judgement.objects.values_list("comment", flat=True)) == {TOMBSTONE}
    snapshot = Snapshot.objects.get(pk=snapshot.pk)
    assert snapshot.redacted_at is not None
    redaction = snapshot.redactions.get()
    assert (redaction.old_sha256, redaction.new_sha256) == (old, snapshot.sha256)
    assert hash_of(snapshot) == snapshot.sha256 != old
    assert "why not" not in str(list(kway_rows(snapshot)))
    assert AuditEvent.objects.filter(verb="account.erase").exists()


def test_erase_user_withdraws_exports_that_held_the_text(
    settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    settings.EXPORT_DIR = tmp_path
    snapshot = freeze(judged_project())
    export = request_export(actor=None, snapshot=snapshot, format="kway", container="jsonl")
    path = Path(write_export(export_id=export.pk).path)
    person = Judgement.objects.all()[0].annotator.user
    assert person is not None
    with django_capture_on_commit_callbacks(execute=True):
        erase_user(actor=make_admin(), user=person)
    export.refresh_from_db()
    assert export.state == Export.State.FAILED
    assert not path.exists()


def test_erase_user_is_refused_for_oneself() -> None:
    admin = make_admin()
    with pytest.raises(InvalidInput):
        erase_user(actor=admin, user=admin)
