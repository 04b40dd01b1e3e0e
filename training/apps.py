"""The training half: models learn."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Django's description of the app."""

    name = "training"
    verbose_name = "Training"

    def ready(self) -> None:
        """Answer what labelling asks of whoever is there, without importing it back."""
        from labeling.signals import holders_of_snapshots, snapshot_frozen
        from training.lineage.selectors import holders_of
        from training.lineage.services import note_sources

        snapshot_frozen.connect(note_sources)
        holders_of_snapshots.connect(holders_of)
