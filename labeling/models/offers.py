"""Prompts that people offer from where they try models, and what they agreed to when they did."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Project
from labeling.models.prompts import Prompt


class OfferedPrompt(models.Model):
    """A text that its author let the project use. Taken, it is a prompt of the pool.

    The author is known to the pool by the pseudonym alone. What is withdrawn, or erased with its
    author, loses its text here.
    """

    class State(models.TextChoices):
        """What became of the offer."""

        TAKEN = "taken", _("taken")
        HELD = "held", _("held for a manager")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")

    STANDING: ClassVar = (State.TAKEN, State.HELD)

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="offered_prompts")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="offered_prompts",
    )
    author_key = models.CharField(
        max_length=200, help_text="the author's pseudonym: splits go by it"
    )
    source = models.CharField(max_length=32, default="playground")
    consent = models.TextField(help_text="the sentence that the author agreed to, in English")
    messages = models.JSONField(default=list, help_text="as a prompt's; empty once withdrawn")
    content_hash = models.CharField(max_length=64)
    head_hash = models.CharField(max_length=64, help_text="see labeling/domain/prefixes.py")
    state = models.CharField(max_length=16, choices=State.choices)
    personal_data = models.JSONField(
        default=list, help_text='kinds of personal data found: ["email", ...]'
    )
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.PROTECT, related_name="offers")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Newest first; the same text stands once in a project."""

        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "content_hash"],
                condition=Q(state__in=["taken", "held"]),
                name="offer_stands_once",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "head_hash"], name="offer_head"),
            models.Index(fields=["project", "author_key", "-id"], name="offer_author"),
            models.Index(fields=["project", "state", "-id"], name="offer_state"),
        ]

    def __str__(self) -> str:
        return f"offer {self.pk} ({self.state})"
