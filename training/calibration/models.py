"""Comparisons that people and an AI judge are both asked about, and those sent on to people."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from labeling.models import Annotator, Comparison, Project


class SharedSample(models.Model):
    """Comparisons drawn to be judged both by an AI judge and by people."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="shared_samples")
    annotator = models.ForeignKey(
        Annotator,
        on_delete=models.CASCADE,
        related_name="shared_samples",
        help_text="the AI judge that is held against people",
    )
    comparisons = models.ManyToManyField(Comparison, related_name="shared_samples")
    people = models.PositiveSmallIntegerField(help_text="people who are to judge each comparison")
    seed = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Newest first."""

        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"shared sample {self.pk}"


class RoutedComparison(models.Model):
    """A comparison that an AI judge was asked about, and that people are asked about all the same.

    What it could not judge is what it is unsure of, without a confidence.
    """

    class Reason(models.TextChoices):
        """Why people are asked."""

        UNSURE = "unsure", _("the judge is unsure")
        WEAK_TOPIC = "weak_topic", _("the judge is weak on this topic")

    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="routings", db_index=False
    )
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="routings")
    round = models.ForeignKey(
        "training.Round",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="routings",
    )
    reason = models.CharField(max_length=16, choices=Reason.choices)
    tag = models.CharField(max_length=60, blank=True, help_text="the topic, where that is why")
    confidence = models.FloatField(
        null=True,
        blank=True,
        help_text="how sure the judge was: its likelier sides' probability, over all pairs",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """A judge's comparison is sent on once."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["comparison", "annotator"], name="routed_once")
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id}: {self.reason}"
