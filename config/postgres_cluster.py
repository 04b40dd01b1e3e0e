"""Where a cluster lives: its private folders, and the account that owns them."""

import hashlib
import os
import pwd
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from config.postgres_binaries import ROOT_HOME, PostgresError, make_root_home

PORT = 5432
# A socket's path must fit in sockaddr_un: 108 bytes on Linux, 104 on macOS, ending zero included.
_SOCKET_PATH_LIMIT = 103


@dataclass(frozen=True)
class Cluster:
    """Where one cluster lives; `var_dir` is the folder of the checkout it belongs to."""

    var_dir: Path

    @classmethod
    def of(cls, var_dir: Path) -> "Cluster":
        """Return the cluster of a folder, however its path is written."""
        return cls(var_dir.resolve())

    @cached_property
    def home(self) -> Path:
        """The private folder of the cluster; as root, one outside any home."""
        if os.geteuid() == 0:
            return ROOT_HOME / _short_hash(self.var_dir)
        return self.var_dir / "postgres"

    @cached_property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "data"

    @cached_property
    def socket_dir(self) -> Path:
        """The private folder of the socket: in the cluster's home unless its path is too long."""
        beside = self.home / "socket"
        if len(os.fsencode(_socket_path(beside))) <= _SOCKET_PATH_LIMIT:
            return beside
        # TMPDIR may be long too, and may differ between two shells of the same person.
        return Path("/tmp") / f"prefloop-{os.geteuid()}-{_short_hash(self.var_dir)}"  # noqa: S108

    @property
    def socket_path(self) -> str:
        """The socket itself."""
        return _socket_path(self.socket_dir)

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.var_dir / "log" / "postgres.log"

    @property
    def account(self) -> pwd.struct_passwd | None:
        """The account the server runs under when we are root, else None (our own).

        An existing cluster keeps its owner. A new one gets the account `prefloop` where the
        machine has one, else `nobody`.
        """
        if os.geteuid() != 0:
            return None
        if self.home.exists():
            return pwd.getpwuid(self.home.stat().st_uid)
        try:
            return pwd.getpwnam("prefloop")
        except KeyError:
            return pwd.getpwnam("nobody")


def _short_hash(var_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(var_dir)).hexdigest()[:12]


def _socket_path(folder: Path) -> str:
    return str(folder / f".s.PGSQL.{PORT}")


def make_folders(cluster: Cluster) -> None:
    """Make the cluster's private folders, and refuse ones that another person could enter."""
    account = cluster.account
    cluster.log.parent.mkdir(parents=True, exist_ok=True)
    if account:
        make_root_home()
    for folder in (cluster.home, cluster.socket_dir):
        if not folder.exists():
            folder.mkdir(mode=0o700)
            if account:
                os.chown(folder, account.pw_uid, account.pw_gid)
        _refuse_shared(folder, account.pw_uid if account else os.geteuid())


def _refuse_shared(folder: Path, owner: int) -> None:
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != owner or found.st_mode & 0o077:
        raise PostgresError(
            f"{folder} must be a folder that user number {owner} owns and nobody else may enter "
            "(mode 0700): whoever enters it is let into the database. Remove it or set it right."
        )
