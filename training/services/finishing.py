"""The end of an attempt: what the recipe left in its folder becomes rows, once.

The folder's result.json decides, not the process that wrote it: a worker that dies here leaves a
folder from which the next attempt ends the run in the same way.
"""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.domain.sentences import said_again
from labeling.exceptions import InvalidInput
from training.acquisition.services import take_scores
from training.constitutions.services import take_revisions
from training.judges.services import take_judgements
from training.launcher import Outcome
from training.models import RunAttempt, TrainingRun
from training.run_health import run_health
from training.services.attempts import end_attempt, hold
from training.services.evaluations import note_gold
from training.services.models import register_result, take_weights
from training.services.sampling import take_samples
from training.services.tidying import tidy_folder

State = TrainingRun.State


def finish_run(*, attempt: RunAttempt, outcome: Outcome) -> TrainingRun:
    """End the run as its recipe ended. Raises AttemptLost if another attempt took over."""
    ended: dict[str, Any] = {
        "state": State(outcome.status),
        "reason": _reason(outcome),
        "exit_code": -outcome.signal if outcome.signal else outcome.exit_code,
        "log_tail": outcome.log_tail,
        "result": dict(outcome.result or {}),
    }
    run = _finish(attempt, ended)
    tidy_folder(run)
    note_health(run=run)
    return run


def _reason(outcome: Outcome) -> str:
    """Return why a run ended: in the words of the recipe where its endpoint gave no answer."""
    problem = (outcome.result or {}).get("endpoint_problem")
    if not problem:
        return outcome.reason
    return said_again(str(problem["sentence"]), problem.get("parts"))


def note_health(*, run: TrainingRun) -> None:
    """Write beside an ended run's result what its health rules found, for the list of runs.

    The run's own page asks the rules again: evaluations come later.
    """
    health = run_health(run)
    if not health.checked:
        return
    found = [finding.rule for finding in health.findings]
    worst = health.findings[0].severity if health.findings else ""
    result = {**run.result, "health": {"worst": worst, "found": found}}
    # One who resumed the run meanwhile has begun a new attempt, which will end with its own.
    if TrainingRun.objects.filter(pk=run.pk, state=run.state).update(result=result):
        run.result = result


def _finish(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    state, recipe = ended["state"], attempt.run.recipe
    if state == State.SUCCEEDED:
        finish = {
            "sample": _finish_sampling,
            "evaluate": _finish_evaluation,
            "judge": _finish_judging,
            "revise": _finish_revising,
            "score": _finish_scoring,
        }
        return finish.get(recipe, _finish_training)(attempt, ended)
    if state == State.STOPPED and ended["result"].get("model"):
        return _finish_training(attempt, ended)
    return end_attempt(attempt=attempt, **ended)


def _finish_training(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    """Register the model, marked as partial where the run was stopped, and end the run."""
    model = ended["result"].get("model")
    if not model:
        raise InvalidInput(_("The recipe's result names no model."))
    partial = ended["state"] == State.STOPPED
    # Files first: their move can be repeated, the registration can't.
    path = take_weights(run=attempt.run, sha256=model["sha256"], partial=partial)
    with transaction.atomic():
        run = hold(attempt)
        register_result(run=run, result=ended["result"], path=path, partial=partial)
        return end_attempt(attempt=attempt, **ended)


@transaction.atomic
def _finish_sampling(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    take_samples(run=hold(attempt))
    return end_attempt(attempt=attempt, **ended)


@transaction.atomic
def _finish_revising(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    take_revisions(run=hold(attempt))
    return end_attempt(attempt=attempt, **ended)


@transaction.atomic
def _finish_evaluation(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    note_gold(run=hold(attempt))
    return end_attempt(attempt=attempt, **ended)


@transaction.atomic
def _finish_judging(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    take_judgements(run=hold(attempt))
    return end_attempt(attempt=attempt, **ended)


@transaction.atomic
def _finish_scoring(attempt: RunAttempt, ended: dict[str, Any]) -> TrainingRun:
    take_scores(run=hold(attempt))
    return end_attempt(attempt=attempt, **ended)


def fail_run(*, attempt: RunAttempt, reason: str, log_tail: str = "") -> TrainingRun:
    """End the run as failed for a reason that lies outside its recipe. Raises AttemptLost."""
    return end_attempt(attempt=attempt, state=State.FAILED, reason=reason, log_tail=log_tail)
