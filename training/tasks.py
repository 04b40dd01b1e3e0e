"""The edge to Celery. A message is only a bell; what is due stands in the database."""

import logging
from contextlib import suppress
from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from kombu.exceptions import OperationalError as BrokerAway

from labeling.exceptions import PrefloopError
from training import rundir
from training.contests.selectors import open_contests
from training.contests.services import settle_contest
from training.endpoints import waiting
from training.exceptions import AttemptLost
from training.measuring import measure
from training.playground import tasks as playground_tasks  # noqa: F401 - found by this module
from training.rounds.selectors import made_for_a_round, open_rounds
from training.rounds.services import turn_round
from training.services import attempts
from training.services.finishing import fail_run, finish_run
from training.services.tidying import tidy_ended_runs
from training.worker import DATABASE_AWAY, Follower, beating, follow, worker_name

logger = logging.getLogger(__name__)
RING_AGAIN_AFTER_S = 60


class Shutdown:
    """Whether this worker is asked to end: set in its main process, read in the forked child.

    Shared memory without a lock, since a killed child must not leave one held.
    """

    def __init__(self) -> None:
        self._flag = RawValue("b", 0)

    def set(self) -> None:
        """Note that the worker is asked to end."""
        self._flag.value = 1

    def is_set(self) -> bool:
        """Return whether the worker is asked to end."""
        return bool(self._flag.value)


shutting_down = Shutdown()


@worker_shutting_down.connect
def _note_shutdown(**_: Any) -> None:
    shutting_down.set()


@shared_task(name="training.tasks.train")
def train(run_id: int) -> None:
    """Claim a run and bring it to its end; does nothing where another worker was first."""
    attempt = attempts.claim_run(run_id=run_id, worker=worker_name())
    if attempt is None:
        return
    follower = Follower(attempt, leaves=shutting_down.is_set)
    try:
        with beating(follower):
            outcome = follow(follower)
            if follower.released and outcome.status == "stopped":
                attempts.release_run(attempt=attempt, log_tail=outcome.log_tail)
            else:
                finish_run(attempt=attempt, outcome=outcome)
    except AttemptLost:
        logger.warning("Attempt %s was given up for lost; its recipe was ended.", attempt)
    except DATABASE_AWAY:
        raise  # nothing can be written now: the run is found lost, and its folder finishes it
    except Exception as error:
        logger.exception("%s failed", attempt.run)
        with suppress(AttemptLost):
            tail = rundir.tail_log(attempt.run.folder)
            fail_run(attempt=attempt, reason=_sentence(error), log_tail=tail)
    if made_for_a_round(run_id):
        ring_rounds()


@shared_task(name="training.tasks.ring_due")
def ring_due() -> None:
    """Queue lost runs again, and ring for every queued run whose bell may have been lost."""
    attempts.requeue_lost_runs()
    for run_id in attempts.due_runs(ring_again_after_s=RING_AGAIN_AFTER_S):
        ring(run_id)


@shared_task(name="training.tasks.resume_waiting")
def resume_waiting() -> None:
    """Let the runs go on whose endpoint answers again."""
    for run_id in waiting.resume_waiting():
        ring(run_id)


@shared_task(name="training.tasks.turn_rounds")
def turn_rounds() -> None:
    """Move every open round on as far as it goes, and ring for the runs that it started."""
    for round_id in open_rounds():
        try:
            started = turn_round(round_id=round_id)
        except Exception:
            logger.exception("Round %s could not be turned; the others go on.", round_id)
            continue
        for run_id in started:
            ring(run_id)


@shared_task(name="training.tasks.settle_contests")
def settle_contests() -> None:
    """End every contest that what people said has decided."""
    for contest_id in open_contests():
        try:
            settle_contest(contest_id=contest_id)
        except Exception:
            logger.exception("Contest %s could not be settled; the others go on.", contest_id)


@shared_task(name="training.tasks.tidy")
def tidy() -> None:
    """Remove checkpoints and caches that ended runs have left."""
    tidy_ended_runs()


@shared_task(name="training.tasks.measure_machine")
def measure_machine() -> None:
    """Measure how fast this machine trains, unless that is known."""
    measure(again=False)


def ask_for_measurement() -> None:
    """Let a worker that trains measure its machine; without a broker nothing is lost."""
    try:
        measure_machine.apply_async(expires=RING_AGAIN_AFTER_S)
    except BrokerAway:
        logger.warning("The broker does not answer: no machine is measured.", exc_info=True)


def ring(run_id: int) -> None:
    """Tell a worker that a run is due. Without a broker beat tells it again later."""
    try:
        train.apply_async(args=(run_id,), expires=RING_AGAIN_AFTER_S)
    except BrokerAway:
        logger.warning("The broker does not answer: run %s waits for beat.", run_id, exc_info=True)


def ring_rounds() -> None:
    """Let the rounds go on now. Without a broker beat does it within seconds."""
    try:
        turn_rounds.apply_async(expires=RING_AGAIN_AFTER_S)
    except BrokerAway:
        logger.warning("The broker does not answer: rounds wait for beat.", exc_info=True)


def _sentence(error: Exception) -> str:
    if isinstance(error, PrefloopError | rundir.RunFolderError):
        details = [text for texts in getattr(error, "errors", {}).values() for text in texts]
        return " ".join([str(error), *details]) if details else str(error.args[0])
    return f"{type(error).__name__}: {error}"
