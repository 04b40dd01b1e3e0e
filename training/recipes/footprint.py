"""How much memory a recipe has taken at its highest: of the machine, and of its accelerator."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int:
    """The most memory that this process has held at a time (resident set), in bytes.

    Linux tells it for the program alone. `getrusage` would count what the process that started it
    held at that moment too: a child begins in its parent's memory.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_device_memory_bytes() -> int | None:
    """The most that torch has reserved of this process's GPU, in bytes; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_reserved())
