"""Runs that stopped because their endpoint did not answer go on by themselves once it does."""

from contextlib import suppress
from datetime import timedelta
from itertools import groupby

from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from training.endpoints.models import Endpoint
from training.endpoints.services import knock
from training.exceptions import RunMovedOn
from training.models import TrainingRun
from training.rounds.models import Round
from training.services.runs import resume_run

FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 900.0
GIVEN_UP_AFTER = timedelta(days=30)


def waiting_runs() -> QuerySet[TrainingRun]:
    """Return the runs that wait for their endpoint, with the number of attempts each has had.

    Those of a step that was redone, or of a round that ended, wait no more.
    """
    return (
        TrainingRun.objects.filter(
            base_model__endpoint__is_active=True,
            state=TrainingRun.State.STOPPED,
            result__has_key="endpoint_problem",
            finished_at__gt=Now() - GIVEN_UP_AFTER,
        )
        .exclude(round_step__is_superseded=True)
        .exclude(round_step__round__state__in=Round.ENDED)
        .select_related("base_model__endpoint", "project")
        .annotate(tries=Count("attempts"))
        .order_by("base_model__endpoint_id", "pk")
    )


def resume_waiting() -> list[int]:
    """Ask each endpoint that a run waits for whether it is back; return the runs that go on.

    It is asked less often the longer it is away, and by one process at a time. No transaction is
    open while it is asked.
    """
    resumed: list[int] = []
    for endpoint, runs in groupby(waiting_runs(), _endpoint_of):
        due = [run for run in runs if _is_due(run)]
        if not due or not _may_ask(endpoint, due) or not _claims(endpoint):
            continue
        if not knock(endpoint=endpoint):
            continue
        for run in due:
            with suppress(RunMovedOn):
                resumed.append(resume_run(actor=None, run=run).pk)
    return resumed


def _endpoint_of(run: TrainingRun) -> Endpoint:
    model = run.base_model
    assert model is not None  # noqa: S101 - those alone are read that have an endpoint
    assert model.endpoint is not None  # noqa: S101
    return model.endpoint


def _is_due(run: TrainingRun) -> bool:
    """Return whether a run may be tried again: each failure makes the next wait twice as long."""
    tries: int = run.tries  # type: ignore[attr-defined]
    wait = min(FIRST_WAIT_S * 2 ** min(tries - 1, 10), LONGEST_WAIT_S)
    return run.finished_at is not None and timezone.now() - run.finished_at >= timedelta(
        seconds=wait
    )


def _may_ask(endpoint: Endpoint, runs: list[TrainingRun]) -> bool:
    """Return whether the last look is long enough ago, for how long the runs have waited."""
    if endpoint.checked_at is None:
        return True
    ended = [run.finished_at for run in runs if run.finished_at]
    away = (timezone.now() - min(ended)).total_seconds()
    wait = min(max(away / 4, FIRST_WAIT_S), LONGEST_WAIT_S)
    return endpoint.checked_at < min(ended) or timezone.now() - endpoint.checked_at >= timedelta(
        seconds=wait
    )


def _claims(endpoint: Endpoint) -> bool:
    """Return whether the look is ours: nobody else has looked, or begun to, since it was read."""
    unseen = Endpoint.objects.filter(pk=endpoint.pk, checked_at=endpoint.checked_at)
    return unseen.update(checked_at=timezone.now()) == 1
