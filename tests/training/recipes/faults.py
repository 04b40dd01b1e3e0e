"""Runs that are killed with -9: between two steps, or while they write a checkpoint."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil

from tests.training.recipes.conftest import start
from training import rundir


def killed_after(folder: Path, recipe: str, step: int, **changes: object) -> None:
    """Start a run and kill all its processes once it has told of a step."""

    def kill(new: list[rundir.Metrics]) -> None:
        if new[-1].step >= step:
            for process in _processes_of(folder):
                os.kill(process.pid, signal.SIGKILL)

    outcome = start(folder, recipe, on_metrics=kill, poll_s=0.005, **changes)
    assert (outcome.status, outcome.signal) == ("failed", signal.SIGKILL), outcome.log_tail


def killed_in_a_save(folder: Path, recipe: str, step: int, **changes: object) -> Path:
    """Start a run and kill all its processes while they write a checkpoint after a step.

    Returns what is left of the checkpoint. They are held first, so that it is certain that the
    mark of a whole one was not yet written when they died.
    """
    torn: list[Path] = []
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, step, torn, ended), daemon=True)
    watcher.start()
    try:
        outcome = start(folder, recipe, poll_s=0.05, **changes)
    finally:
        ended.set()
        watcher.join()
    assert (outcome.status, outcome.signal) == ("failed", signal.SIGKILL), outcome.log_tail
    assert torn
    assert not (torn[0] / rundir.COMPLETE).exists()
    return torn[0]


def _watch(folder: Path, step: int, torn: list[Path], ended: threading.Event) -> None:
    while not torn and not ended.is_set():
        begun = _begun(folder, step)
        processes = _processes_of(folder) if begun else []
        for process in processes:
            process.suspend()
        if begun is not None and begun.exists() and not (begun / rundir.COMPLETE).exists():
            torn.append(begun)
        for process in processes:
            if torn:
                process.kill()
            else:
                process.resume()
        time.sleep(0.0005)


def _begun(folder: Path, step: int) -> Path | None:
    """The checkpoint that is being written, of a step after the one given."""
    newest = rundir.newest_checkpoint(folder)
    last = max(step, newest.step if newest else 0)
    for path in (folder / rundir.CHECKPOINTS).glob("checkpoint-*"):
        number = path.name.removeprefix("checkpoint-")
        if number.isdigit() and int(number) > last:
            return path
    return None


def _processes_of(folder: Path) -> list[psutil.Process]:
    """The processes that work in a folder, those of torchrun first."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if str(folder) in " ".join(child.cmdline())]
