"""Writes of the worker that has a run in hand. Every change of state is a compare-and-swap.

The run's row is the lock: whoever changes a run or its attempt holds it first. An attempt that
was given up for lost can't write any more; it gets AttemptLost.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce, Now

from labeling.domain.sentences import parts_of, sentence
from labeling.services import audit
from training.exceptions import AttemptLost
from training.models import MetricPoint, RunAttempt, TrainingRun
from training.rundir import Metrics

State = TrainingRun.State
Outcome = RunAttempt.Outcome
# A run that takes its worker down this often in a row takes down every worker.
MAX_LOST = 5
MAX_ERROR = 4000


@transaction.atomic
def claim_run(*, run_id: int, worker: str) -> RunAttempt | None:
    """Take a queued run in hand; None where it is not queued or another worker was first."""
    won = TrainingRun.objects.filter(pk=run_id, state=State.QUEUED).update(
        state=State.RUNNING,
        started_at=Coalesce("started_at", Now()),
        heartbeat_at=Now(),
        finished_at=None,
    )
    if not won:
        return None
    attempt = RunAttempt.objects.create(
        run_id=run_id,
        number=RunAttempt.objects.filter(run_id=run_id).count() + 1,
        worker=worker[:200],
        started_at=datetime.now(UTC),
    )
    _record(attempt.run, "run.start", {"attempt": attempt.number, "worker": attempt.worker})
    return attempt


def _record(run: TrainingRun, verb: str, data: dict[str, Any]) -> None:
    audit.record(actor=None, project=run.project, verb=verb, obj=run, data=data)


def hold(attempt: RunAttempt) -> TrainingRun:
    """Lock and return the attempt's run. Raises AttemptLost if the attempt is over."""
    run = TrainingRun.objects.select_for_update(of=("self",)).get(pk=attempt.run_id)
    attempt.refresh_from_db(fields=["outcome"])
    if attempt.outcome != Outcome.RUNNING:
        raise AttemptLost(f"Attempt {attempt.number} of run {run.pk} is over: {attempt.outcome}.")
    return run


def heartbeat(*, attempt: RunAttempt, log_tail: str | None = None) -> None:
    """Say that the attempt lives, and how its log ends now. Raises AttemptLost."""
    alive = TrainingRun.objects.filter(
        pk=attempt.run_id,
        state=State.RUNNING,
        attempts__pk=attempt.pk,
        attempts__outcome=Outcome.RUNNING,
    )
    changes: dict[str, Any] = {"heartbeat_at": Now()}
    if log_tail is not None:
        changes["log_tail"] = storable(log_tail)
    if not alive.update(**changes):
        raise AttemptLost(f"Attempt {attempt.number} of run {attempt.run_id} is over.")


def storable(text: str) -> str:
    """Return a text that the database can keep: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


@transaction.atomic
def record_inputs(
    *, attempt: RunAttempt, data_sha256: str, versions: dict[str, Any]
) -> TrainingRun:
    """Note by what the run is known: the hash of its rows, the commit, the libraries."""
    run = hold(attempt)
    run.data_sha256 = data_sha256
    run.git_commit = versions.get("git_commit") or ""
    run.library_versions = versions
    run.save(update_fields=["data_sha256", "git_commit", "library_versions"])
    return run


@transaction.atomic
def record_metrics(*, attempt: RunAttempt, rows: Sequence[Metrics], first: bool) -> None:
    """Store what was measured. The first rows of an attempt are all that its folder still holds,
    up to the checkpoint from which it goes on: they replace what earlier attempts wrote.
    """
    run = hold(attempt)
    if first:
        MetricPoint.objects.filter(run=run).delete()
    MetricPoint.objects.bulk_create(
        [
            MetricPoint(
                run=run,
                attempt_number=attempt.number,
                step=row.step,
                values=dict(row.values),
                recorded_at=datetime.fromtimestamp(row.time, UTC),
            )
            for row in rows
        ],
        batch_size=1000,
    )
    run.step, run.total_steps = rows[-1].step, rows[-1].total
    run.save(update_fields=["step", "total_steps"])


@transaction.atomic
def end_attempt(
    *,
    attempt: RunAttempt,
    state: TrainingRun.State,
    reason: str = "",
    exit_code: int | None = None,
    log_tail: str = "",
    result: dict[str, Any] | None = None,
) -> TrainingRun:
    """End a run with its attempt, in one of the four final states. Raises AttemptLost."""
    run = hold(attempt)
    close_attempt(run=run, attempt=attempt, outcome=Outcome(state.value), exit_code=exit_code)
    run.state = state
    run.exit_code = exit_code
    run.log_tail = storable(log_tail)
    _note(run, "" if state == State.SUCCEEDED else reason)
    run.result = dict(result or {})
    if run.request:  # whoever asked it to stop does not want it to go on by itself
        run.result.pop("endpoint_problem", None)
    if state == State.SUCCEEDED:
        run.step = run.total_steps = int(run.result.get("steps", run.step))
    _finish(run)
    _record(run, f"run.{state.value}", {"attempt": attempt.number, "exit_code": exit_code})
    return run


def _note(run: TrainingRun, reason: str) -> None:
    """Put down why a run ended, and the parts by which that is said in another language."""
    run.error, run.error_parts = storable(reason)[:MAX_ERROR], parts_of(reason)


def _finish(run: TrainingRun) -> None:
    run.request = TrainingRun.Request.NONE
    run.finished_at = datetime.now(UTC)
    run.save()


def close_attempt(
    *,
    run: TrainingRun,
    attempt: RunAttempt,
    outcome: RunAttempt.Outcome,
    exit_code: int | None = None,
) -> None:
    """Write how the attempt ended; the caller holds the run."""
    attempt.outcome = outcome
    attempt.exit_code = exit_code
    attempt.finished_at = datetime.now(UTC)
    attempt.save(update_fields=["outcome", "exit_code", "finished_at"])


@transaction.atomic
def release_run(*, attempt: RunAttempt, log_tail: str = "") -> None:
    """Put a run back into the queue because its worker shuts down. Raises AttemptLost."""
    run = hold(attempt)
    close_attempt(run=run, attempt=attempt, outcome=Outcome.STOPPED)
    run.log_tail = storable(log_tail)
    _requeue(run)
    _record(run, "run.release", {"attempt": attempt.number})


def _requeue(run: TrainingRun) -> None:
    run.state = State.QUEUED
    run.heartbeat_at = None
    run.save(update_fields=["state", "heartbeat_at", "log_tail"])


@transaction.atomic
def requeue_lost_runs() -> list[int]:
    """Queue again every run whose worker gave no sign of life for RUN_LOST_AFTER_S seconds.

    Returns the ids of the runs that were given up for lost. A run that a person wanted to end is
    ended; one that took MAX_LOST workers down fails.
    """
    patience = timedelta(seconds=settings.RUN_LOST_AFTER_S)
    lost = list(
        TrainingRun.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(state=State.RUNNING, heartbeat_at__lt=Now() - patience)
        .select_related("project")
    )
    for run in lost:
        attempts = run.attempts.filter(outcome=Outcome.RUNNING)
        attempts.update(outcome=Outcome.LOST, finished_at=Now())
        _after_loss(run)
    return [run.pk for run in lost]


def _after_loss(run: TrainingRun) -> None:
    losses = run.attempts.filter(outcome=Outcome.LOST).count()
    if run.request:
        cancelled = run.request == TrainingRun.Request.CANCEL
        run.state = State.CANCELLED if cancelled else State.STOPPED
        _note(run, sentence("Its worker was lost while it was being ended."))
        _finish(run)
    elif losses % MAX_LOST == 0:  # a person may resume it, for as many attempts again
        run.state = State.FAILED
        _note(
            run,
            sentence(
                "{count} workers were lost with this run. Look at memory, then resume it.",
                count=losses,
            ),
        )
        _finish(run)
    else:
        _requeue(run)
    _record(run, "run.lost", {"state": run.state, "losses": losses})


def due_runs(*, ring_again_after_s: float) -> list[int]:
    """Return the queued runs, oldest first, for which nobody rang lately, and note the ring."""
    patience = timedelta(seconds=ring_again_after_s)
    waiting = TrainingRun.objects.filter(state=State.QUEUED)
    due = waiting.filter(heartbeat_at=None) | waiting.filter(heartbeat_at__lt=Now() - patience)
    ids = list(due.order_by("pk").values_list("pk", flat=True))
    TrainingRun.objects.filter(pk__in=ids, state=State.QUEUED).update(heartbeat_at=Now())
    return ids
