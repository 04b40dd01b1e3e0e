"""What every bench shares: progress, the machine, a result file, one last line of JSON."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
_BEGAN = time.monotonic()
_LOAD = os.getloadavg()[0]


def say(line: str) -> None:
    """Print one line of progress with the seconds since the bench began."""
    print(f"[{time.monotonic() - _BEGAN:7.1f} s] {line}", flush=True)


def machine() -> dict[str, Any]:
    """Return what a figure depends on besides the code; the load is that before the bench."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gb": round(memory / 2**30, 1),
        "load_1m_before": round(_LOAD, 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package."""
    return {name: metadata.version(name) for name in packages}


def commit() -> str:
    """Return the commit that was measured, with a `+` where tracked files differ from it."""
    root = RESULTS.parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (
        "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    )


def finish(target: str, summary: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Write `bench/results/<target>.json` and print the summary as the last line.

    `details` holds the raw rows, and whatever else the figures were made from.
    """
    RESULTS.mkdir(exist_ok=True)
    result = {
        "target": target,
        "command": f"make {target}",
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - _BEGAN, 1),
        "commit": commit(),
        "machine": machine(),
        "summary": dict(summary),
        **details,
    }
    path = RESULTS / f"{target}.json"
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(result, indent=1, default=str) + "\n", encoding="utf-8")
    draft.replace(path)
    say(f"full result: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    sys.stdout.flush()
    print(json.dumps(dict(summary)), flush=True)
