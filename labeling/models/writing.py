"""The writing queue: prompts leased to people who write a reply to them."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.domain.uids import ordered_uid
from labeling.models.projects import Annotator, Guideline
from labeling.models.prompts import Prompt


class WritingAssignment(models.Model):
    """A prompt leased to one annotator, who is to write a reply to it."""

    class State(models.TextChoices):
        """How the lease stands, or how it ended."""

        LEASED = "leased", _("leased")
        WRITTEN = "written", _("written")
        SKIPPED = "skipped", _("skipped")
        EXPIRED = "expired", _("expired")

    uid = models.UUIDField(default=ordered_uid, unique=True, editable=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="writing_assignments")
    annotator = models.ForeignKey(
        Annotator, on_delete=models.CASCADE, related_name="writing_assignments", db_index=False
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.LEASED)
    guideline = models.ForeignKey(
        Guideline, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    skip_reason = models.CharField(max_length=500, blank=True)
    draft = models.TextField(blank=True)
    draft_revision = models.PositiveIntegerField(
        default=0,
        help_text="counts the saves: a browser tells by it whether its own copy is the newer one",
    )
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Nobody gets a prompt twice; nobody holds two leases; an expired one may come back."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["prompt", "annotator"],
                condition=Q(state__in=["leased", "written", "skipped"]),
                name="one_writing_per_annotator",
            ),
            models.UniqueConstraint(
                fields=["annotator"], condition=Q(state="leased"), name="one_writing_lease"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], condition=Q(state="leased"), name="writing_due"),
        ]

    def __str__(self) -> str:
        return f"writing {self.uid}"
