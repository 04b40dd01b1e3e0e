"""What a worker writes before a recipe starts, and how it bears a database that is away."""

import json

import pytest
from django.db import OperationalError

from tests.factories import make_project
from tests.training.factories import data_rows, make_run
from training import rundir
from training.exceptions import AttemptLost
from training.models import RunAttempt, TrainingRun
from training.services import attempts
from training.services.attempts import claim_run
from training.services.runs import request_stop
from training.worker import Follower, prepare

pytestmark = pytest.mark.django_db


def claimed() -> RunAttempt:
    attempt = claim_run(run_id=make_run(make_project(), seed=5).pk, worker="w")
    assert attempt is not None
    return attempt


def test_prepare_writes_all_that_a_recipe_needs():
    attempt = claimed()
    prepare(attempt)
    run = TrainingRun.objects.get(pk=attempt.run_id)
    head = json.loads((run.folder / rundir.CONFIG).read_text())
    assert (head["recipe"], head["seed"], head["attempt"]) == ("dpo", 5, 1)
    assert head["config"] == run.config
    base = run.base_model
    assert head["inputs"] == {"model": {"path": str(base.folder), "sha256": base.sha256}}
    assert len(data_rows(run)) == 18
    assert run.data_sha256 == rundir.file_sha256(run.folder / rundir.DATA)


def test_prepare_twice_writes_the_same_rows():
    attempt = claimed()
    prepare(attempt)
    first = (attempt.run.folder / rundir.DATA).read_bytes()
    prepare(attempt)
    assert (attempt.run.folder / rundir.DATA).read_bytes() == first


def test_prepare_touches_nothing_of_a_run_that_succeeded():
    attempt = claimed()
    attempt.run.folder.mkdir(parents=True)
    (attempt.run.folder / rundir.RESULT).write_text('{"status": "succeeded"}')
    prepare(attempt)
    assert not (attempt.run.folder / rundir.CONFIG).exists()


def test_a_wish_is_remembered_while_the_database_is_away(monkeypatch):
    attempt = claimed()
    follower = Follower(attempt)
    assert follower.should_stop() is None
    request_stop(actor=None, run=attempt.run)
    assert follower.should_stop() == "stop"

    def away(*_: object, **__: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("training.worker.forget_connection", lambda _: None)
    monkeypatch.setattr(TrainingRun.objects, "filter", away)
    assert follower.should_stop() == "stop"


def test_a_worker_that_leaves_stops_its_recipe_but_a_persons_wish_goes_first():
    attempt = claimed()
    follower = Follower(attempt, leaves=lambda: True)
    assert (follower.should_stop(), follower.released) == ("stop", True)
    request_stop(actor=None, run=attempt.run)
    assert (follower.should_stop(), follower.released) == ("stop", False)


def test_heartbeat_bears_a_database_that_is_away_but_not_a_lost_attempt(monkeypatch):
    attempt = claimed()
    follower = Follower(attempt)
    forgotten: list[str] = []
    monkeypatch.setattr("training.worker.forget_connection", forgotten.append)

    def away(**_: object) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as broken:
        broken.setattr(attempts, "heartbeat", away)
        follower.heartbeat()
    assert forgotten == ["the log waits"]
    RunAttempt.objects.update(outcome="lost")
    with pytest.raises(AttemptLost):
        follower.heartbeat()


def test_a_lost_attempt_ends_its_recipe():
    follower = Follower(claimed())
    follower.lost.set()
    with pytest.raises(AttemptLost):
        follower.should_stop()
