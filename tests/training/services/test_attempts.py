"""Claims, heartbeats, metrics and the reaper: every change of state has one winner."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.factories import make_project, owner_of
from tests.training.factories import make_run
from training.exceptions import AttemptLost
from training.models import MetricPoint, RunAttempt, TrainingRun
from training.rundir import Metrics
from training.services import attempts
from training.services.runs import request_cancel, request_stop, resume_run

pytestmark = pytest.mark.django_db


def claimed(run: TrainingRun, worker: str = "w") -> RunAttempt:
    attempt = attempts.claim_run(run_id=run.pk, worker=worker)
    assert attempt is not None
    return attempt


def lose(run: TrainingRun) -> None:
    """Let the run's heartbeat have stopped an hour ago."""
    long_ago = timezone.now() - timedelta(hours=1)
    TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=long_ago)


def rows(*steps: int) -> list[Metrics]:
    return [Metrics(step=n, total=9, time=1.0, values={"loss": 1 / n}) for n in steps]


@pytest.mark.django_db(transaction=True)
def test_claim_by_eight_threads_gives_one_attempt():
    runs = [make_run(make_project()) for _ in range(3)]

    def claim(run: TrainingRun) -> bool:
        try:
            return attempts.claim_run(run_id=run.pk, worker="w") is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, [run for run in runs for _ in range(8)]))
    assert sum(won) == 3
    assert list(RunAttempt.objects.values_list("run_id", "number").order_by("run_id")) == [
        (run.pk, 1) for run in runs
    ]


def test_heartbeat_moves_the_clock_and_shows_the_log():
    run = make_run(make_project())
    attempt = claimed(run)
    lose(run)
    attempts.heartbeat(attempt=attempt, log_tail="step 3\x00")
    run.refresh_from_db()
    assert timezone.now() - run.heartbeat_at < timedelta(minutes=1)
    assert run.log_tail == "step 3\ufffd"
    assert attempts.requeue_lost_runs() == []


def test_metrics_of_a_new_attempt_replace_what_lies_after_the_checkpoint():
    """Steps 1 to 4 were seen, the checkpoint is at 2: the folder hands on 1, 2, then 3 anew."""
    run = make_run(make_project())
    first = claimed(run)
    attempts.record_metrics(attempt=first, rows=rows(1, 2), first=True)
    attempts.record_metrics(attempt=first, rows=rows(3, 4), first=False)
    lose(run)
    attempts.requeue_lost_runs()
    second = claimed(run)
    attempts.record_metrics(attempt=second, rows=rows(1, 2), first=True)
    attempts.record_metrics(attempt=second, rows=rows(3), first=False)
    found = MetricPoint.objects.filter(run=run).values_list("step", "attempt_number")
    assert list(found) == [(1, 2), (2, 2), (3, 2)]
    run.refresh_from_db()
    assert (run.step, run.total_steps) == (3, 9)


def test_a_lost_attempt_can_write_nothing_any_more():
    run = make_run(make_project())
    old = claimed(run)
    lose(run)
    assert attempts.requeue_lost_runs() == [run.pk]
    new = claimed(run)
    for write in (
        lambda: attempts.heartbeat(attempt=old),
        lambda: attempts.record_metrics(attempt=old, rows=rows(1), first=True),
        lambda: attempts.record_inputs(attempt=old, data_sha256="a", versions={}),
        lambda: attempts.end_attempt(attempt=old, state=TrainingRun.State.SUCCEEDED),
        lambda: attempts.release_run(attempt=old),
    ):
        with pytest.raises(AttemptLost):
            write()
    attempts.heartbeat(attempt=new)
    outcomes = run.attempts.values_list("number", "outcome")
    assert list(outcomes) == [(1, "lost"), (2, "running")]


def test_a_run_with_a_heartbeat_is_not_lost():
    claimed(make_run(make_project()))
    assert attempts.requeue_lost_runs() == []


@pytest.mark.parametrize(
    ("ask", "state"), [(request_stop, "stopped"), (request_cancel, "cancelled")]
)
def test_a_lost_run_that_was_to_end_is_ended_not_requeued(ask, state):
    run = make_run(make_project())
    claimed(run)
    ask(actor=owner_of(run.project), run=run)
    lose(run)
    attempts.requeue_lost_runs()
    run.refresh_from_db()
    assert (run.state, run.request) == (state, "")


def test_a_run_that_takes_five_workers_down_fails_and_can_be_resumed():
    run = make_run(make_project())
    for _ in range(attempts.MAX_LOST):
        claimed(run)
        lose(run)
        attempts.requeue_lost_runs()
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.error.startswith("5 workers were lost with this run.")
    resume_run(actor=owner_of(run.project), run=run)
    assert claimed(run).number == 6


def test_release_puts_the_run_back_without_counting_a_loss():
    run = make_run(make_project())
    attempts.release_run(attempt=claimed(run), log_tail="saved")
    run.refresh_from_db()
    assert (run.state, run.log_tail) == ("queued", "saved")
    assert not run.attempts.filter(outcome="lost").exists()


def test_due_runs_are_rung_for_once_until_the_bell_grows_old():
    first, second = make_run(make_project()), make_run(make_project())
    claimed(make_run(make_project()))
    assert attempts.due_runs(ring_again_after_s=60) == [first.pk, second.pk]
    assert attempts.due_runs(ring_again_after_s=60) == []
    lose(second)
    assert attempts.due_runs(ring_again_after_s=60) == [second.pk]
