"""Which code a run was made by."""

import os
import shutil
import subprocess

from django.conf import settings


def git_commit() -> str:
    """Return the commit of this checkout, "-dirty" behind it where tracked files differ.

    PREFLOOP_GIT_COMMIT goes first; empty where there is neither it nor a git checkout.
    """
    given = os.environ.get("PREFLOOP_GIT_COMMIT")
    git = shutil.which("git")
    if given or git is None or not (settings.BASE_DIR / ".git").exists():
        return given or ""
    commit = _ask(git, "rev-parse", "HEAD")
    changed = commit and _ask(git, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if changed else commit


def _ask(git: str, *words: str) -> str:
    answer = subprocess.run(
        [git, *words], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""
