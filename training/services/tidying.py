"""Run folders after the end: what no attempt will read again is removed.

A stopped or a failed run may go on, so its checkpoints stay. One that succeeded keeps its weights
under MODEL_DIR; one that was cancelled is over for good.
"""

import uuid
from pathlib import Path

from django.conf import settings

from training import rundir
from training.models import TrainingRun

OVER = (TrainingRun.State.SUCCEEDED, TrainingRun.State.CANCELLED)


def tidy_folder(run: TrainingRun) -> bool:
    """Remove checkpoints and caches of a run that is over for good; return whether it was done.

    Rows, config, versions, metrics, samples and logs stay. A folder in which a process still works
    is left alone.
    """
    return run.state in OVER and run.folder.is_dir() and rundir.tidy(run.folder)


def tidy_ended_runs() -> list[int]:
    """Tidy what was left: by a worker that died at its run's end, or where none was at hand.

    Returns the ids of the runs whose folders were tidied.
    """
    left: set[uuid.UUID] = set()
    for name in (rundir.CHECKPOINTS, rundir.CACHE):
        left |= {uid for path in Path(settings.RUN_DIR).glob(f"*/{name}") if (uid := _uid(path))}
    rows = TrainingRun.objects.filter(uid__in=left, state__in=OVER).order_by("pk")
    return [run.pk for run in rows if tidy_folder(run)]


def _uid(path: Path) -> uuid.UUID | None:
    """Return the run in whose folder a path lies, None for a folder of another kind."""
    try:
        return uuid.UUID(path.parent.name)
    except ValueError:
        return None
