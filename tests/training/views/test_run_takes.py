"""The run's page says how long it still takes, and what memory it held."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import make_project, owner_of
from tests.training.factories import make_run
from tests.training.views.asking import client_of, page
from training.models import MetricPoint, RunAttempt, TrainingRun

pytestmark = pytest.mark.django_db


def shown(run: TrainingRun, **changes: object) -> str:
    TrainingRun.objects.filter(pk=run.pk).update(**changes)
    response = client_of(owner_of(run.project)).get(page("run_detail", run.project, run.uid))
    return response.content.decode()


def test_a_working_run_says_how_long_it_still_takes():
    run = make_run(make_project())
    now = timezone.now()
    RunAttempt.objects.create(run=run, number=1, started_at=now - timedelta(seconds=99))
    for step, ago in ((10, 20), (20, 0)):
        MetricPoint.objects.create(
            run=run,
            attempt_number=1,
            step=step,
            values={"loss": 1.0},
            recorded_at=now - timedelta(seconds=ago),
        )
    text = shown(run, state="running", step=20, total_steps=320)
    assert "about 10 min left" in text or "about 9.9 min left" in text
    assert "left</span>" not in shown(run, state="stopped")


def test_an_ended_run_says_what_memory_it_held():
    run = make_run(make_project())
    peaks = {"peak_memory_bytes": 3 * 1024**3, "peak_device_memory_bytes": None}
    text = shown(run, state="succeeded", result=peaks)
    assert "Most memory held" in text
    assert "3.0\xa0GB" in text
    assert "of its GPU" not in text
    text = shown(run, result=peaks | {"peak_device_memory_bytes": 1024**3})
    assert "of its GPU 1.0\xa0GB" in text
