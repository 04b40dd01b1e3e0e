"""What stands in a snapshot of models' own work, written down when it is frozen."""

from typing import ClassVar

from django.db import models

from labeling.models import Snapshot


class SnapshotSource(models.Model):
    """The edge from a snapshot back to a run in which a model replied, judged or revised.

    A snapshot never changes, so what it rests on is counted once, at the freeze: lineage is then
    read from a handful of these rows, not from all of the snapshot's labels.
    """

    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.CASCADE, related_name="sources", db_index=False
    )
    run = models.ForeignKey(
        "training.TrainingRun",
        on_delete=models.PROTECT,
        related_name="snapshot_sources",
        db_index=False,
        help_text="of the recipe sample, judge or revise",
    )
    model = models.ForeignKey(
        "training.ModelVersion", on_delete=models.PROTECT, related_name="snapshot_sources"
    )
    labels = models.PositiveIntegerField(
        help_text="judgements of the run's replies, judgements that it made, or demonstrations"
    )

    class Meta:
        """A run stands once in a snapshot."""

        ordering: ClassVar = ["snapshot", "run"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["snapshot", "run"], name="snapshot_source_once")
        ]

    def __str__(self) -> str:
        return f"{self.run_id} in {self.snapshot_id}"
