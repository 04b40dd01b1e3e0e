"""Gold items: comparisons with a known answer, by which annotators are checked."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.models.judgements import Comparison, Judgement
from labeling.models.projects import Project
from labeling.models.prompts import State


class GoldItem(models.Model):
    """The known answer to a comparison.

    While it is active its comparison stands outside the queue, in the state "gold", and is mixed
    into everybody's cards at the project's `gold_share`. An item is withdrawn by state; the audit
    log keeps the answers it had before.
    """

    comparison = models.OneToOneField(Comparison, on_delete=models.CASCADE, related_name="gold")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="gold_items", db_index=False
    )
    tiers = models.JSONField(help_text="slots, best tier first, as in a judgement")
    source = models.ForeignKey(
        Judgement,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="the judgement it was taken from: its annotator is not measured by it",
    )
    note = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """The claim draws from the project's active items."""

        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["project"], condition=Q(state="active"), name="gold_active")
        ]

    def __str__(self) -> str:
        return f"gold of comparison {self.comparison_id}"
