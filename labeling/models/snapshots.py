"""Frozen, hashed selections of labels, and the files made from them."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.judgements import Judgement
from labeling.models.projects import Project
from labeling.models.prompts import Demonstration


class Snapshot(models.Model):
    """An immutable list of labels at a moment, known by the hash of its canonical lines."""

    class Kind(models.TextChoices):
        """What it holds."""

        PREFERENCES = "preferences", _("preferences")
        DEMONSTRATIONS = "demonstrations", _("demonstrations")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    note = models.CharField(_("note"), max_length=200, blank=True)
    selection = models.JSONField(default=dict, help_text="what was asked for: tags, kinds, origins")
    counts = models.JSONField(default=dict, help_text="labels, pairs, ties, prompts, by split")
    drops = models.JSONField(default=dict, help_text="how many labels were left out, by reason")
    sha256 = models.CharField(max_length=64)
    redacted_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Numbered from 1 in each project, newest first."""

        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="snapshot_number_unique")
        ]

    def __str__(self) -> str:
        return f"snapshot {self.number}"


class SnapshotItem(models.Model):
    """One label in a snapshot, with the split it was given at the freeze."""

    class Split(models.TextChoices):
        """Where a label may be used."""

        TRAIN = "train", _("train")
        VALIDATION = "validation", _("validation")
        TEST = "test", _("test")

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    judgement = models.ForeignKey(
        Judgement, null=True, on_delete=models.PROTECT, related_name="snapshot_items"
    )
    demonstration = models.ForeignKey(
        Demonstration, null=True, on_delete=models.PROTECT, related_name="snapshot_items"
    )
    split = models.CharField(max_length=16, choices=Split.choices)

    class Meta:
        """Exactly one label an item."""

        ordering: ClassVar = ["snapshot", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["snapshot", "position"], name="item_position_unique"),
            models.CheckConstraint(
                condition=Q(judgement__isnull=False, demonstration__isnull=True)
                | Q(judgement__isnull=True, demonstration__isnull=False),
                name="item_holds_one_label",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.snapshot_id}#{self.position}"


class SnapshotRedaction(models.Model):
    """A snapshot whose text changed because a person was erased: the old hash and the new one."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="redactions")
    old_sha256 = models.CharField(max_length=64)
    new_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Oldest first."""

        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.old_sha256[:12]} -> {self.new_sha256[:12]}"


class Export(models.Model):
    """A file made from a snapshot in the background."""

    class Format(models.TextChoices):
        """What the rows are."""

        TRL_PREFERENCE = "trl_preference", _("TRL preference (explicit prompt, conversational)")
        KWAY = "kway", _("Full K-way rankings")

    class Container(models.TextChoices):
        """How the rows are written."""

        JSONL = "jsonl", "JSON Lines"
        PARQUET = "parquet", "Parquet"

    class State(models.TextChoices):
        """How far the export is."""

        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(_("format"), max_length=24, choices=Format.choices)
    container = models.CharField(_("file type"), max_length=16, choices=Container.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    path = models.CharField(max_length=500, blank=True)
    rows = models.PositiveIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Newest first."""

        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.snapshot} as {self.format}"
