"""One attempt at a run, as the worker lives it: prepare the folder, start the recipe, follow it.

The database may be away for a while: rows wait here, and the recipe works on. What comes back
too late finds its attempt given up for lost, and ends its recipe.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from training import launcher, rundir
from training.endpoints.selectors import asked_by
from training.exceptions import AttemptLost
from training.models import Evaluation, ModelVersion, RunAttempt, TrainingRun
from training.provenance import git_commit
from training.selectors import input_rows
from training.services import attempts

logger = logging.getLogger(__name__)
DATABASE_AWAY = (OperationalError, InterfaceError)
_WISHES: dict[str, launcher.Wish | None] = {"": None, "stop": "stop", "cancel": "cancel"}


def worker_name() -> str:
    """Return by what a person finds this process: machine and process number."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Follower:
    """What the launcher tells and asks, on its way to and from the database."""

    def __init__(self, attempt: RunAttempt, leaves: Callable[[], bool] = lambda: False) -> None:
        self.attempt = attempt
        self.lost = threading.Event()
        self.released = False
        self._leaves = leaves
        self._waiting: list[rundir.Metrics] = []
        self._first = True
        self._wish: launcher.Wish | None = None

    def on_metrics(self, rows: list[rundir.Metrics]) -> None:
        """Store new rows, together with those that could not be stored before."""
        self._waiting += rows
        self.flush()

    def flush(self) -> None:
        """Store the rows that wait. Raises AttemptLost."""
        if not self._waiting:
            return
        try:
            attempts.record_metrics(attempt=self.attempt, rows=self._waiting, first=self._first)
        except DATABASE_AWAY:
            forget_connection("metrics wait")
        else:
            self._waiting, self._first = [], False

    def heartbeat(self) -> None:
        """Show how the log ends now."""
        try:
            tail = rundir.tail_log(self.attempt.run.folder)
            attempts.heartbeat(attempt=self.attempt, log_tail=tail)
        except DATABASE_AWAY:
            forget_connection("the log waits")

    def should_stop(self) -> launcher.Wish | None:
        """Return what a person, or the worker's own end, wants of the recipe."""
        if self.lost.is_set():
            raise AttemptLost("Another worker has been given this run.")
        try:
            rows = TrainingRun.objects.filter(pk=self.attempt.run_id)
            self._wish = _WISHES[rows.values_list("request", flat=True).get()]
        except DATABASE_AWAY:
            forget_connection("a wish may wait")
        self.released = self._wish is None and self._leaves()
        return "stop" if self.released else self._wish


def forget_connection(consequence: str) -> None:
    """Let go of a connection that broke, so that the next query opens another."""
    logger.warning("The database does not answer: %s.", consequence, exc_info=True)
    connection.close()


@contextmanager
def beating(follower: Follower) -> Iterator[None]:
    """Keep the attempt's heartbeat from a thread of its own, also while files are hashed."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(follower, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(follower: Follower, ended: threading.Event) -> None:
    try:
        while not ended.wait(settings.RUN_HEARTBEAT_S):
            try:
                attempts.heartbeat(attempt=follower.attempt)
            except AttemptLost:
                follower.lost.set()
                return
            except DATABASE_AWAY:
                forget_connection("the heartbeat waits")
    finally:
        connection.close()


def prepare(attempt: RunAttempt) -> None:
    """Write what the recipe needs into the run's folder, unless it has already succeeded there."""
    run = attempt.run
    result = rundir.read_result(run.folder)
    if result is not None and result.get("status") == "succeeded":
        return
    digest = rundir.prepare(
        run.folder,
        recipe=run.recipe,
        config=run.config,
        inputs=_inputs(run),
        rows=input_rows(run),
        seed=run.seed,
        run_id=str(run.uid),
        attempt=attempt.number,
        git_commit=git_commit() or None,
    )
    versions = rundir.read_json(run.folder / rundir.VERSIONS)
    attempts.record_inputs(attempt=attempt, data_sha256=digest, versions=versions)


def _inputs(run: TrainingRun) -> dict[str, dict[str, str]]:
    models: dict[str, ModelVersion | None] = {"model": run.base_model, "reward": run.reward_model}
    for evaluation in Evaluation.objects.filter(run=run):
        models["reference"] = evaluation.reference
        models |= {"baseline": evaluation.baseline, "judge": evaluation.judge}
    return {
        name: {"path": str(model.folder), "sha256": model.sha256}
        for name, model in models.items()
        if model and model.endpoint_id is None
    }


def _endpoint(run: TrainingRun) -> dict[str, str]:
    """Tell the folder which server an outside model is asked at; return the recipe's environment.

    The key is in the environment alone. Raises InvalidInput where the model can't be asked now.
    """
    if run.base_model is None or run.base_model.endpoint_id is None:
        return {}
    told, key = asked_by(run.base_model)
    rundir.write_json_atomic(run.folder / rundir.ENDPOINT, told)
    return {rundir.ENDPOINT_KEY: key} if key else {}


def follow(follower: Follower) -> launcher.Outcome:
    """Run the recipe to its end and return how it ended. Raises AttemptLost, RunFolderError."""
    run = follower.attempt.run
    prepare(follower.attempt)
    secret = _endpoint(run)
    outcome = launcher.launch(
        run.folder,
        run.recipe,
        on_metrics=follower.on_metrics,
        should_stop=follower.should_stop,
        heartbeat=follower.heartbeat,
        stop_grace_s=settings.RUN_STOP_GRACE_S,
        heartbeat_s=settings.RUN_HEARTBEAT_S,
        env=secret,
    )
    follower.flush()
    return outcome
