"""Loads the Celery app with Django, so that whoever sends a message sends it to our broker."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
