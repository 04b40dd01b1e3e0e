"""Child processes that end with their parent, also when the parent is killed outright."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Set one attribute of the calling process; a no-op where the system is not Linux."""
    if sys.platform == "linux":
        _LIBC.prctl(option, value, 0, 0, 0)


# Loaded before any fork: between fork and exec a child must not load a library.
_LIBC = ctypes.CDLL(None, use_errno=True)


def death_signal(number: signal.Signals) -> Callable[[], None]:
    """Return a `preexec_fn` by which the child gets this signal when its parent dies.

    The kernel watches the thread that started the child: start children from the main thread.
    It runs after Popen has changed the user, which would otherwise clear the wish again.
    """
    parent = os.getpid()

    def ask_kernel() -> None:
        _prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before the wish was heard
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_kernel


def adopt_orphans() -> None:
    """Let grandchildren whose parent dies become children of this process (Linux only)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """End this process within a second of its parent's death, whatever it is doing.

    For processes that a library forks: unlike a death signal it doesn't depend on which of the
    parent's threads made the fork.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
