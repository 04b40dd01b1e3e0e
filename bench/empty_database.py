"""An empty database for a bench: a server of its own, migrated, and gone afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config import embedded_postgres


@contextmanager
def empty_database() -> Iterator[Path]:
    """Set up Django on a throw-away server with every table, and yield the folder of its files.

    Once in a process: Django reads its settings once. `flush` empties the tables in between.
    """
    with embedded_postgres.throw_away() as var_dir:
        os.environ |= {"PREFLOOP_VAR": str(var_dir), "PREFLOOP_LOG_LEVEL": "WARNING"}
        os.environ.pop("DATABASE_URL", None)
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        yield var_dir
        # Threads of the pool would outlive the server, and complain.
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
