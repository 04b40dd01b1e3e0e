"""The lease of a served model: asked for, claimed once, kept, lost, given up, ended."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from labeling.models import AuditEvent
from tests.factories import make_project, owner_of
from tests.training.factories import make_model
from tests.training.playground.serving import lease
from training.playground.models import ServedModel
from training.playground.services import (
    ask_model,
    claim_served,
    due_served,
    end_served,
    give_up_child,
    keep_lease,
    mark_ready,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


def ask(model) -> ServedModel:
    return ask_model(actor=owner_of(model.project), project=model.project, model=model)


def ago(seconds: float):
    return timezone.now() - timedelta(seconds=seconds)


def test_a_lease_from_the_first_question_to_its_end(project):
    model = make_model(project)
    asked = ask(model)
    assert (asked.state, asked.token, asked.port) == ("waiting", "", None)
    held = claim_served(model_id=model.pk, worker="here:1")
    assert held.state == "loading"
    assert len(held.token) >= 32
    assert claim_served(model_id=model.pk, worker="there:2") is None
    assert keep_lease(served=held, busy=False)
    assert mark_ready(served=held, port=4000)
    again = ask(model)
    assert (again.state, again.port, again.token) == ("ready", 4000, held.token)
    end_served(served=held)
    after = ServedModel.objects.get()
    assert (after.state, after.port, after.token) == ("stopped", None, "")
    assert AuditEvent.objects.filter(verb="model.serve").count() == 1


def test_asking_extends_the_lease(project, settings):
    model = make_model(project)
    lease(model, lease_until=timezone.now() + timedelta(seconds=1))
    assert ask(model).lease_until > timezone.now() + timedelta(seconds=settings.SERVE_LEASE_S - 5)


def test_past_its_end_a_lease_goes_on_only_in_the_middle_of_a_reply(project):
    held = lease(make_model(project), lease_until=ago(1))
    assert keep_lease(served=held, busy=True)
    assert not keep_lease(served=held, busy=False)


def test_who_lost_the_lease_is_told_and_writes_nothing(project):
    model = make_model(project)
    lost = lease(model, token="an older child's")
    current = lease(model)
    assert not keep_lease(served=lost, busy=False)
    assert not mark_ready(served=lost, port=5)
    end_served(served=lost, problem="late")
    current.refresh_from_db()
    assert (current.state, current.port, current.problem) == ("ready", 1, "")


def test_a_silent_worker_is_given_up_by_who_asks(project, settings):
    model = make_model(project)
    lease(model, heartbeat_at=ago(settings.SERVE_LOST_AFTER_S + 1))
    assert ask(model).state == "waiting"


def test_a_child_that_does_not_answer_is_given_up_once(project):
    model = make_model(project)
    gone = lease(model)
    give_up_child(served=gone)
    assert ask(model).state == "waiting"
    lease(model, token="the next child's")
    give_up_child(served=gone)
    assert ServedModel.objects.get().state == "ready"


def test_a_failed_model_says_why_until_it_is_asked_again(project):
    model = make_model(project)
    end_served(served=lease(model), problem="No memory is left.")
    row = ServedModel.objects.get()
    assert (row.state, row.problem) == ("failed", "No memory is left.")
    assert ask(model).problem == ""


def test_no_more_models_than_may_be_and_the_idlest_makes_room(project, settings):
    settings.SERVE_MODELS = 2
    first, second, third = (make_model(project, name=name) for name in "abc")
    lease(first, asked_at=ago(300))
    lease(second, asked_at=ago(5))
    ask(third)
    assert claim_served(model_id=third.pk, worker="w") is None
    until = {row.model_id: row.lease_until for row in ServedModel.objects.all()}
    assert until[first.pk] <= timezone.now() < until[second.pk]
    end_served(served=ServedModel.objects.get(model=first))
    assert claim_served(model_id=third.pk, worker="w") is not None


def test_models_in_use_are_not_pushed_out(project, settings):
    settings.SERVE_MODELS = 1
    first, second = make_model(project, name="a"), make_model(project, name="b")
    lease(first, asked_at=ago(5))
    ask(second)
    assert ServedModel.objects.get(model=first).lease_until > timezone.now()


def test_beat_rings_for_who_waits_and_ends_what_nobody_keeps(project, settings):
    waiting, late, lost, kept = (make_model(project, name=name) for name in "abcd")
    ask(waiting)
    lease(late, "waiting", lease_until=ago(1))
    lease(lost, heartbeat_at=ago(settings.SERVE_LOST_AFTER_S + 1))
    lease(kept)
    assert due_served(ring_again_after_s=10) == [waiting.pk]
    assert due_served(ring_again_after_s=10) == []
    states = dict(ServedModel.objects.values_list("model__name", "state"))
    assert states == {"a": "waiting", "b": "stopped", "c": "stopped", "d": "ready"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("asks", [True, False])
def test_who_asks_and_beat_wait_for_who_claims_and_never_in_a_circle(settings, asks):
    settings.SERVE_MODELS = 1
    project = make_project()
    first, second = make_model(project, name="a"), make_model(project, name="b")
    lease(first, asked_at=ago(300))
    lease(second, "waiting")

    def other() -> None:
        try:
            ask(second) if asks else due_served(ring_again_after_s=10)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():  # a claim that has come as far as the first row
            ServedModel.objects.select_for_update().get(model=first)
            waits = pool.submit(other)
            wait_for_a_lock()
            assert claim_served(model_id=second.pk, worker="w") is None
        waits.result(timeout=10)


def wait_for_a_lock() -> None:
    """Return once another connection to this database waits for a row of ours."""
    text = (
        "select exists (select from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and wait_event_type = 'Lock')"
    )
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("select pg_stat_clear_snapshot()")
            cursor.execute(text)
            if cursor.fetchone() == (True,):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")
