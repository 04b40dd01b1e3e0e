"""What every test may lean on: a throw-away database server, no network, a browser, real data."""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded_postgres

REPOSITORY = Path(__file__).resolve().parent.parent
# Of a developer's environment only these reach the tests; the rest would change what they test.
_KEPT = {"PREFLOOP_SHARED_DATA", "PREFLOOP_CHROMIUM", "PREFLOOP_REQUIRE_BROWSER"}

if "config.settings" in sys.modules:
    pytest.exit("Unset DJANGO_SETTINGS_MODULE: the tests choose their own folder and database.", 4)
for _name in [name for name in os.environ if name.startswith("PREFLOOP_")]:
    if _name not in _KEPT:
        del os.environ[_name]
os.environ.pop("CELERY_BROKER_URL", None)
# Short, because sockets lie in it. The settings read it when they are imported, just below.
VAR_DIR = Path(tempfile.mkdtemp(prefix="prefloop-test-"))
atexit.register(shutil.rmtree, VAR_DIR, ignore_errors=True)
os.environ["PREFLOOP_VAR"] = str(VAR_DIR)
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

import django  # noqa: E402
from django.conf import settings as django_settings  # noqa: E402

django.setup()
django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast logins
# No test has to collect the static files first; the real storage is met in tests/e2e.
django_settings.STORAGES["staticfiles"]["BACKEND"] = (
    "django.contrib.staticfiles.storage.StaticFilesStorage"
)
django_settings.STATIC_ROOT.mkdir()

pytest_plugins = ["tests.browser", "tests.stack"]


def pytest_configure(config: pytest.Config) -> None:
    """Let each worker of `-n` make a folder and a server of its own: it inherits none of ours."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        for name in ("PREFLOOP_VAR", "DJANGO_SETTINGS_MODULE"):
            os.environ.pop(name, None)


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[None]:
    """Run the throw-away PostgreSQL of this session, or nothing where DATABASE_URL names one."""
    if os.environ.get("DATABASE_URL"):
        yield
        return
    with embedded_postgres.running(VAR_DIR, fsync=False):
        yield
    embedded_postgres.remove(VAR_DIR)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(embedded_server: None) -> None:
    """Have the server up before pytest-django makes the test database."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real inputs that lies outside the repository, or skip."""
    given = os.environ.get("PREFLOOP_SHARED_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real inputs are absent: {folder} (PREFLOOP_SHARED_DATA names another)")
    return folder
