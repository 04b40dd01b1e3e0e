"""Rounds, what each of their steps made, and which policy is the project's current one."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Comparison, Project, Snapshot


class ProjectLoop(models.Model):
    """How a project's loop turns, and how many rounds it still starts by itself."""

    project = models.OneToOneField(
        Project, on_delete=models.CASCADE, related_name="loop", primary_key=True
    )
    config = models.JSONField(default=dict)
    rounds_ahead = models.PositiveIntegerField(
        default=0, help_text="rounds to start, one after the other, without being asked again"
    )
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"loop of {self.project_id}"


class Round(models.Model):
    """One turn of the loop. Its state is where it stands; its steps are what it made there."""

    class State(models.TextChoices):
        """Where the round stands, in the order in which it goes on."""

        SAMPLING = "sampling", _("sampling")
        LABELLING = "labelling", _("labelling")
        FROZEN = "frozen", _("frozen")
        TRAINING_REWARD = "training_reward", _("training the reward model")
        TRAINING_POLICY = "training_policy", _("training the policy")
        EVALUATING = "evaluating", _("evaluating")
        DECIDING = "deciding", _("deciding")
        DONE = "done", _("done")
        CANCELLED = "cancelled", _("cancelled")

    ENDED: ClassVar = (State.DONE, State.CANCELLED)

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=24, choices=State.choices, default=State.SAMPLING)
    is_paused = models.BooleanField(default=False)
    problem = models.TextField(blank=True, help_text="why the round can't go on by itself")
    problem_parts = models.JSONField(
        default=dict, blank=True, help_text="what `problem` is made of, to be said in any language"
    )
    config = models.JSONField(help_text="the loop as it was when the round started")
    seed = models.PositiveIntegerField(default=0)
    policy = models.ForeignKey(
        "training.ModelVersion",
        on_delete=models.PROTECT,
        related_name="rounds",
        help_text="the current policy when the round started",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    labelling_since = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Numbered from 1; one round of a project is under way at a time."""

        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_unique"),
            models.UniqueConstraint(
                fields=["project"],
                condition=~Q(state__in=["done", "cancelled"]),
                name="one_round_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.number}"

    @property
    def is_open(self) -> bool:
        """Whether the round still goes on."""
        return self.state not in self.ENDED


class RoundStep(models.Model):
    """What a round made at one step: a run, or a snapshot. A redone step is superseded.

    Several models are sampled and several AI judges asked; every other step is made once.
    """

    class Kind(models.TextChoices):
        """What the step does."""

        REVISE = "revise", _("critique and revise")
        SFT = "sft", _("fine-tune")
        SAMPLE = "sample", _("sample")
        SCORE = "score", _("score")
        JUDGE = "judge", _("judge by AI")
        FREEZE = "freeze", _("freeze")
        REWARD = "reward", _("train the reward model")
        POLICY = "policy", _("train the policy")
        EVALUATE = "evaluate", _("evaluate")

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="steps")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    run = models.OneToOneField(
        "training.TrainingRun",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="round_step",
    )
    snapshot = models.ForeignKey(
        Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="round_steps"
    )
    is_superseded = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """In the order in which they were made; each made exactly one thing."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(run__isnull=False, snapshot__isnull=True)
                | Q(run__isnull=True, snapshot__isnull=False),
                name="step_made_one_thing",
            ),
            models.UniqueConstraint(
                fields=["round", "kind"],
                condition=Q(is_superseded=False) & ~Q(kind__in=["sample", "judge"]),
                name="one_standing_step_of_a_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.round_id}/{self.kind}"


class RoundComparison(models.Model):
    """The edge from a round to a comparison that it asked about, and by which arm it was chosen."""

    class Arm(models.TextChoices):
        """What chose the comparison; what chance chose is the control of the others."""

        RANDOM = "random", _("random")
        MARGIN = "margin", _("margin")
        DISAGREEMENT = "disagreement", _("disagreement")
        THOMPSON = "thompson", _("double Thompson")

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="asked")
    comparison = models.OneToOneField(
        Comparison, on_delete=models.CASCADE, related_name="asked_by_round", primary_key=True
    )
    arm = models.CharField(
        max_length=16,
        choices=Arm.choices,
        default=Arm.RANDOM,
        help_text="what chose it: a strategy, or chance, which is the control",
    )

    def __str__(self) -> str:
        return f"{self.round_id} -> {self.comparison_id}"


class Promotion(models.Model):
    """A policy became the project's current one; the newest row says which it is."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="promotions")
    model = models.ForeignKey(
        "training.ModelVersion", on_delete=models.PROTECT, related_name="promotions"
    )
    round = models.ForeignKey(
        Round, null=True, blank=True, on_delete=models.SET_NULL, related_name="promotions"
    )
    is_rollback = models.BooleanField(default=False)
    note = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Newest first."""

        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["project", "-id"], name="promotion_project")]

    def __str__(self) -> str:
        return f"{self.project_id}: {self.model_id}"
