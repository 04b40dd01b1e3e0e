"""What has to be done before the application starts is done once."""

from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from config import prepare


@pytest.mark.django_db
def test_migrate_with_nothing_missing_does_nothing() -> None:
    assert prepare.migrate() is False


@pytest.mark.django_db(transaction=True)
def test_migrate_applies_what_is_missing() -> None:
    """The last migration of `sessions` is forgotten with its table, then made again."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
        cursor.execute("DROP TABLE django_session")
    assert prepare.migrate() is True
    assert "django_session" in connection.introspection.table_names()


def test_collect_static_only_when_a_file_changed(settings: Settings, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "app.css").write_text("a{}")
    settings.VAR_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATICFILES_DIRS = [source]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    assert prepare.collect_static() is True
    assert prepare.collect_static() is False
    (source / "app.css").write_text("a{color:red}")
    assert prepare.collect_static() is True
    assert (tmp_path / "static" / "app.css").read_text() == "a{color:red}"
