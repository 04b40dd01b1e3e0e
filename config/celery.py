"""The Celery application: two queues, `default` for short work and `gpu` for training.

A message is only a bell: every piece of work is a row in the database, claimed there by
compare-and-swap, and beat rings again for whatever the database says is due.
"""

import os

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from config.processes import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("prefloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_django_logging(**_: object) -> None:
    """Let settings.LOGGING rule in the workers too."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)


@worker_process_init.connect
def _end_with_worker(**_: object) -> None:
    """Let no pool process go on, nor the recipe it follows, when its worker was killed."""
    end_with_parent()
