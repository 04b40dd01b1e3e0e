"""Measures this machine in a child process, so that no worker loads torch."""

import logging
import socket
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from labeling.domain.sentences import sentence as _
from labeling.exceptions import PrefloopError
from training.launcher import PROJECT, environment
from training.machine import Machine, machines_in

logger = logging.getLogger(__name__)
LONGEST_S = 600


class NotMeasured(PrefloopError):
    """The measurement failed; the text says how."""


def this_machine(folder: Path) -> Machine | None:
    """Return what is known of the machine that this process runs on."""
    name = socket.gethostname()
    return next((one for one in machines_in(folder) if one.name == name), None)


def measure(*, again: bool) -> Machine:
    """Measure this machine, again if that is asked, and return what was found.

    Raises NotMeasured where the measurement fails or takes ten minutes.
    """
    folder = Path(settings.MODEL_DIR)
    known = this_machine(folder)
    if known is not None and not again:
        return known
    words = [sys.executable, "-m", "training.recipes.calibrate", str(folder)]
    try:
        done = subprocess.run(
            words, cwd=PROJECT, env=environment(), capture_output=True, text=True, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        raise NotMeasured(_("The measurement took over {n} s.", n=LONGEST_S)) from None
    found = this_machine(folder)
    if done.returncode or found is None:
        raise NotMeasured(_("The measurement failed: {tail}", tail=done.stderr[-500:].strip()))
    return found
