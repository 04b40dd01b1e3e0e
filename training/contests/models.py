"""Contests between two policies, and which reply in a comparison is whose."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Comparison, Project, Prompt


class Contest(models.Model):
    """A policy against a baseline, judged by people who can't tell whose reply is whose.

    The replies are those of one evaluation run, one of each policy to each of its prompts. A
    contest ends as soon as its interval decides it; `result` keeps what was known at that moment.
    """

    class State(models.TextChoices):
        """Whether people are still asked, or how it ended."""

        OPEN = "open", _("open")
        DECIDED = "decided", _("decided")
        USED_UP = "used_up", _("used up")
        WITHDRAWN = "withdrawn", _("withdrawn")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="contests")
    number = models.PositiveIntegerField()
    policy = models.ForeignKey(
        "training.ModelVersion", on_delete=models.PROTECT, related_name="contests"
    )
    baseline = models.ForeignKey(
        "training.ModelVersion", on_delete=models.PROTECT, related_name="contests_against"
    )
    run = models.ForeignKey(
        "training.TrainingRun",
        on_delete=models.PROTECT,
        related_name="contests",
        help_text="the evaluation whose replies are compared",
    )
    most = models.PositiveIntegerField(help_text="pairs of replies at most, ties known before too")
    indifference = models.FloatField(
        default=0.0, help_text="win rates this near to one half count as no difference"
    )
    overlap = models.PositiveSmallIntegerField(default=1)
    priority = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    left_out = models.JSONField(default=dict, help_text="prompts that are not asked, by reason")
    result = models.JSONField(default=dict, blank=True, help_text="the figures when it ended")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Numbered from 1 in a project; an evaluation's replies are contested once."""

        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="contest_number_unique"),
            models.UniqueConstraint(
                fields=["run"], condition=~Q(state="withdrawn"), name="one_contest_per_evaluation"
            ),
        ]

    def __str__(self) -> str:
        return f"contest {self.number}"

    @property
    def is_open(self) -> bool:
        """Whether people are still asked."""
        return self.state == self.State.OPEN


class ContestComparison(models.Model):
    """One pair of a contest, by its drawn place: the comparison, and in which slot the policy is.

    Replies that are the same are a tie that nobody is asked about: they have no comparison.
    Lengths are in characters of what people read.
    """

    contest = models.ForeignKey(Contest, on_delete=models.CASCADE, related_name="pairs")
    place = models.PositiveIntegerField()
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    comparison = models.OneToOneField(
        Comparison, null=True, blank=True, on_delete=models.CASCADE, related_name="contested"
    )
    policy_slot = models.PositiveSmallIntegerField(null=True, blank=True)
    policy_length = models.PositiveIntegerField()
    baseline_length = models.PositiveIntegerField()

    class Meta:
        """A prompt is asked about once, so that each pair is a draw of its own."""

        ordering: ClassVar = ["contest", "place"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["contest", "place"], name="contest_place_unique"),
            models.UniqueConstraint(fields=["contest", "prompt"], name="contest_prompt_unique"),
            models.CheckConstraint(
                condition=Q(comparison__isnull=True, policy_slot__isnull=True)
                | Q(comparison__isnull=False, policy_slot__in=[0, 1]),
                name="asked_pair_has_a_slot",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.contest_id}[{self.place}]"
