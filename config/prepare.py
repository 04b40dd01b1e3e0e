"""Bring the database and the static files up to date; lean where nothing changed.

Run by the supervisor before it starts anything else: `python -m config.prepare`.
"""

import hashlib
import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor


def migrate() -> bool:
    """Apply missing migrations and say whether there were any."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return False
    call_command("migrate", interactive=False)
    return True


def collect_static() -> bool:
    """Collect the static files when one of them, or a version, changed; say whether it did."""
    key = _static_key()
    stamp = Path(settings.VAR_DIR) / "static.key"
    if Path(settings.STATIC_ROOT).exists() and stamp.exists() and stamp.read_text() == key:
        return False
    call_command("collectstatic", interactive=False, clear=True, verbosity=1)
    stamp.write_text(key)
    return True


def _static_key() -> str:
    """Return a hash over every static file's name, size and time of change."""
    digest = hashlib.sha256(repr((django.VERSION, settings.STORAGES)).encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            found = Path(storage.path(name)).stat()
            digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def main() -> None:
    """Prepare everything that the processes of the application expect to find."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    try:
        migrate()
    except OperationalError as error:
        sys.exit(f"The database does not answer (DATABASE_URL says where it is): {error}")
    collect_static()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
