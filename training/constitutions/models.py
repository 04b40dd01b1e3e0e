"""Constitutions and their versions; runs that revise by them, and what came of those."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from labeling.models import Demonstration, Project


class Constitution(models.Model):
    """A named list of principles; its versions hold the words."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="constitutions")
    name = models.CharField(max_length=60)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """A name stands once in a project."""

        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="constitution_name_unique")
        ]

    def __str__(self) -> str:
        return self.name


class ConstitutionVersion(models.Model):
    """One version of a constitution. It never changes: the database sees to it (migration 0012)."""

    constitution = models.ForeignKey(
        Constitution, on_delete=models.CASCADE, related_name="versions"
    )
    number = models.PositiveIntegerField()
    principles = models.JSONField(help_text='[{"key", "critique", "revision", "comparison"}, ...]')
    sha256 = models.CharField(max_length=64, help_text="over all principles, in order")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Numbered from 1, newest first."""

        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["constitution", "number"], name="constitution_version_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.constitution} v{self.number}"


class RevisingRun(models.Model):
    """What is revised by a run of the recipe `revise`, by which principles, and what came of it."""

    run = models.OneToOneField(
        "training.TrainingRun", on_delete=models.CASCADE, related_name="revising", primary_key=True
    )
    model = models.ForeignKey(
        "training.ModelVersion", on_delete=models.PROTECT, related_name="revising_runs"
    )
    constitution = models.ForeignKey(
        ConstitutionVersion, on_delete=models.PROTECT, related_name="revising_runs"
    )
    selection = models.JSONField(default=dict, help_text="which prompts: tags, count, seed")
    prompt_ids = models.JSONField(default=list)
    demonstrations_made = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"revisions by {self.model}"


class RevisedDemonstration(models.Model):
    """The edge from a revising run to a demonstration, with the chain that ends in it."""

    revising_run = models.ForeignKey(RevisingRun, on_delete=models.CASCADE, related_name="revised")
    demonstration = models.OneToOneField(
        Demonstration, on_delete=models.CASCADE, related_name="revised", primary_key=True
    )
    chain = models.JSONField(
        help_text='{"reply": {...}, "rounds": [{"principle", "critique", "revision"}, ...]}'
    )

    class Meta:
        """In the order in which the recipe wrote them."""

        ordering: ClassVar = ["demonstration"]

    def __str__(self) -> str:
        return f"{self.revising_run_id} -> {self.demonstration_id}"
