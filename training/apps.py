"""The training half: models learn."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Django's description of the app."""

    name = "training"
    verbose_name = "Training"
