"""The labelling half: people judge."""

from django.apps import AppConfig


class LabelingConfig(AppConfig):
    """Django's description of the app."""

    name = "labeling"
    verbose_name = "Labelling"
