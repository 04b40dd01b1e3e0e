"""Folders of ended runs: what only a further attempt would read is removed, nothing else."""

import os
from pathlib import Path

import pytest
from django.conf import settings

from tests.factories import make_project
from tests.training.factories import make_run
from training import rundir, tasks
from training.models import TrainingRun
from training.services.tidying import tidy_ended_runs, tidy_folder

pytestmark = pytest.mark.django_db


def left_behind(state: str) -> TrainingRun:
    """Return a run in that state whose folder holds a checkpoint, a cache, a model and a log."""
    run = make_run(make_project())
    TrainingRun.objects.filter(pk=run.pk).update(state=state)
    run.refresh_from_db()
    place = rundir.checkpoint_path(run.folder, 3)
    for folder in (place, run.folder / rundir.CACHE, run.folder / rundir.MODEL):
        folder.mkdir(parents=True)
        (folder / "weights").write_text("x")
    rundir.mark_complete(place, {"step": 3})
    (run.folder / rundir.LOG).write_text("log")
    return run


def names(run: TrainingRun) -> set[str]:
    return {path.name for path in run.folder.iterdir()}


def test_sweep_tidies_what_is_over_for_good_and_nothing_else() -> None:
    over = [left_behind("succeeded"), left_behind("cancelled")]
    going_on = [left_behind(state) for state in ("queued", "running", "stopped", "failed")]
    (Path(settings.RUN_DIR) / "notes" / rundir.CHECKPOINTS).mkdir(parents=True)
    assert tidy_ended_runs() == [run.pk for run in over]
    assert {frozenset(names(run)) for run in over} == {frozenset({rundir.LOG, rundir.LOCK})}
    for run in going_on:
        assert rundir.newest_checkpoint(run.folder) is not None
        assert {rundir.CACHE, rundir.MODEL} <= names(run)
    assert tidy_ended_runs() == []
    assert (Path(settings.RUN_DIR) / "notes" / rundir.CHECKPOINTS).is_dir()


def test_folder_in_which_a_process_still_works_waits_for_the_next_sweep() -> None:
    run = left_behind("cancelled")
    held = rundir.lock(run.folder)
    try:
        assert not tidy_folder(run)
        assert rundir.newest_checkpoint(run.folder) is not None
    finally:
        os.close(held)
    tasks.tidy()
    assert rundir.newest_checkpoint(run.folder) is None


def test_run_that_never_had_a_folder_is_nothing_to_tidy() -> None:
    run = make_run(make_project())
    TrainingRun.objects.filter(pk=run.pk).update(state="cancelled")
    run.refresh_from_db()
    assert not tidy_folder(run)
    assert not run.folder.exists()
