"""Models that are kept in memory so that people can talk to them."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class ServedModel(models.Model):
    """The lease by which a worker keeps a model loaded in a child process on this machine.

    Whoever asks the model extends the lease; past its end the worker stops the child. The token
    opens the child to the web processes alone; it is made anew with each child and never shown.
    """

    class State(models.TextChoices):
        """Where the child stands."""

        WAITING = "waiting", _("waiting for a worker")
        LOADING = "loading", _("being loaded")
        READY = "ready", _("ready")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    HELD: ClassVar = (State.LOADING, State.READY)

    model = models.OneToOneField(
        "training.ModelVersion", on_delete=models.CASCADE, related_name="served", primary_key=True
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    port = models.PositiveIntegerField(null=True, blank=True)
    token = models.CharField(max_length=64, blank=True, editable=False)
    worker = models.CharField(max_length=200, blank=True)
    problem = models.TextField(blank=True, help_text="why the child ended, for who asked")
    lease_until = models.DateTimeField()
    asked_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(
        null=True, blank=True, help_text="the worker's last sign of life, or when it was rung for"
    )

    class Meta:
        """The few that are in use are found without reading those that were."""

        indexes: ClassVar = [
            models.Index(
                fields=["state", "lease_until"],
                condition=models.Q(state__in=["waiting", "loading", "ready"]),
                name="served_live",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_id} ({self.state})"
