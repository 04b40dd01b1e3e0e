"""The end of an attempt: what the recipe left in its folder becomes rows, once.

The folder's result.json decides, not the process that wrote it: a worker that dies here leaves a
folder from which the next attempt ends the run in the same way.
"""

from typing import Any

from django.db import transaction

from labeling.exceptions import InvalidInput
from training.launcher import Outcome
from training.models import RunAttempt, TrainingRun
from training.services.attempts import end_attempt, hold
from training.services.models import register_result, take_weights
from training.services.sampling import take_samples

State = TrainingRun.State


def finish_run(*, attempt: RunAttempt, outcome: Outcome) -> TrainingRun:
    """End the run as its recipe ended. Raises AttemptLost if another attempt took over."""
    ended: dict[str, Any] = {
        "state": State(outcome.status),
        "reason": outcome.reason,
        "exit_code": -outcome.signal if outcome.signal else outcome.exit_code,
        "log_tail": outcome.log_tail,
        "result": dict(outcome.result or {}),
    }
    if outcome.status != "succeeded":
        return end_attempt(attempt=attempt, **ended)
    run = attempt.run
    if run.recipe == "sample":
        return _finish_sampling(attempt, ended)
    return _finish_training(attempt, ended)


def _finish_training(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    model = ended["result"].get("model")
    if not model:
        raise InvalidInput("The recipe's result names no model.")
    # Files first: their move can be repeated, the registration can't.
    path = take_weights(run=attempt.run, sha256=model["sha256"])
    with transaction.atomic():
        run = hold(attempt)
        register_result(run=run, result=ended["result"], path=path)
        return end_attempt(attempt=attempt, **ended)


@transaction.atomic
def _finish_sampling(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    take_samples(run=hold(attempt))
    return end_attempt(attempt=attempt, **ended)


def fail_run(*, attempt: RunAttempt, reason: str, log_tail: str = "") -> TrainingRun:
    """End the run as failed for a reason that lies outside its recipe. Raises AttemptLost."""
    return end_attempt(attempt=attempt, state=State.FAILED, reason=reason, log_tail=log_tail)
