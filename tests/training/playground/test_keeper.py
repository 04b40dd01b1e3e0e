"""The worker's side with a real child: loaded, asked, killed, started again, ended."""

import os
import signal
import threading
import time
from datetime import timedelta

import psutil
import pytest
from django.db import connection
from django.utils import timezone

from tests.factories import make_project, owner_of
from tests.training.factories import make_model
from tests.training.playground.serving import make_tiny_policy
from training.endpoints.client import Client, Server
from training.endpoints.protocol import Ask
from training.models import ModelVersion
from training.playground import tasks
from training.playground.models import ServedModel
from training.playground.services import ask_model
from training.services.models import register_model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.recipe]


@pytest.fixture
def model(tmp_path) -> ModelVersion:
    """A policy with random weights, which talks nonsense."""
    make_tiny_policy(tmp_path / "policy")
    project = make_project()
    return register_model(
        actor=owner_of(project),
        project=project,
        name="tiny",
        folder=tmp_path / "policy",
        kind="policy",
    )


@pytest.fixture(autouse=True)
def _quick(settings, tmp_path):
    settings.SERVE_HEARTBEAT_S = 0.2
    settings.SERVE_LOG_DIR = tmp_path / "log"
    settings.SERVE_THREADS = 1


def ask(model) -> ServedModel:
    return ask_model(actor=owner_of(model.project), project=model.project, model=model)


def served(model, state: str, limit_s: float = 90.0) -> ServedModel:
    """Wait until the row says so."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        row = ServedModel.objects.get(model=model)
        if row.state == state:
            return row
        time.sleep(0.05)
    raise AssertionError(f"{row.state}: {row.problem}")


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "training.recipes.serve" in child.cmdline()
    ]


def keepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("serve-")]


def said(row: ServedModel) -> str:
    server = Server(
        base_url=f"http://127.0.0.1:{row.port}/v1",
        model="tiny v1",
        api_key=row.token,
        allows_private=True,
        retries=0,
    )
    with Client(server) as client:
        ask = Ask(messages=[{"role": "user", "content": "cat"}], max_new_tokens=8)
        return client.reply(ask).text


@pytest.mark.slow
def test_a_model_is_served_as_long_as_somebody_asks(model):
    """One child after the other: asked, killed with -9 and replaced, ended with its lease."""
    ask(model)
    tasks.serve_model(model.pk)
    tasks.serve_model(model.pk)
    first = served(model, "ready")
    assert isinstance(said(first), str)
    assert len(children()) == 1
    os.kill(children()[0].pid, signal.SIGKILL)
    assert "memory ran out" in served(model, "failed").problem
    ask(model)
    tasks.serve_model(model.pk)
    second = served(model, "ready")
    assert second.token != first.token
    assert said(second) is not None
    ServedModel.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    served(model, "stopped")
    for thread in keepers():
        thread.join(10)
    assert children() == []


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_says_why():
    project = make_project()
    broken = make_model(project)
    ask(broken)
    tasks.serve_model(broken.pk)
    row = served(broken, "failed")
    assert row.problem.splitlines()[-1].startswith("KeyError")
    assert row.token == ""


def test_the_thread_ends_its_child_when_another_took_the_lease(model, monkeypatch):
    """A worker that was taken for lost finds another token in the row."""
    ask(model)
    tasks.serve_model(model.pk)
    deadline = time.monotonic() + 20
    while not children() and time.monotonic() < deadline:
        time.sleep(0.05)
    ServedModel.objects.update(token="another child's", worker="elsewhere:1")
    for thread in keepers():
        thread.join(30)
    assert children() == []
    assert ServedModel.objects.get().token == "another child's"


def test_beat_rings_for_who_waits(model, monkeypatch):
    rung: list[int] = []
    monkeypatch.setattr(tasks.serve_model, "apply_async", lambda args, expires: rung.extend(args))
    ask(model)
    tasks.ring_due()
    tasks.ring_due()
    assert rung == [model.pk]


def test_a_database_that_is_away_is_borne_for_a_while(model, settings, monkeypatch):
    from django.db import OperationalError

    settings.SERVE_LOST_AFTER_S = 2

    def away(**_: object) -> bool:
        raise OperationalError("away")

    ask(model)
    monkeypatch.setattr("training.playground.services.keep_lease", away)
    began = time.monotonic()
    tasks.serve_model(model.pk)
    for thread in keepers():
        thread.join(60)
    assert children() == []
    assert time.monotonic() - began >= 2
    connection.close()
