"""AI judges, what they were asked, and which judgements came of it."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import Annotator, Judgement, Project


class Judge(models.Model):
    """An annotator of kind AI: who answers, what is asked, and how. It never changes.

    Other criteria or settings are the next version under the same name, an annotator of its own:
    nobody's judgements change their meaning afterwards.
    """

    class Source(models.TextChoices):
        """Who answers."""

        MODEL = "model", _("a policy of this project")
        GOLD = "gold", _("the demo world's hidden score")

    class Style(models.TextChoices):
        """What is asked."""

        PAIRWISE = "pairwise", _("pairs")
        ASPECTS = "aspects", _("four aspects")

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judges")
    annotator = models.OneToOneField(Annotator, on_delete=models.PROTECT, related_name="judge")
    name = models.CharField(_("name"), max_length=100)
    version = models.PositiveIntegerField()
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.MODEL)
    style = models.CharField(max_length=16, choices=Style.choices, default=Style.PAIRWISE)
    model = models.ForeignKey(
        "training.ModelVersion",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="judges",
        help_text="the policy that answers, where one does",
    )
    criteria = models.TextField(blank=True, help_text="by what the replies are to be judged")
    config = models.JSONField(default=dict, help_text="every setting of the recipe `judge`")
    provenance = models.JSONField(default=dict, help_text="versions of what is asked and by whom")
    is_archived = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Versions count up under a name; a policy is named where, and only where, one answers."""

        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="judge_version_unique"
            ),
            models.CheckConstraint(
                condition=Q(source="model", model__isnull=False)
                | (~Q(source="model") & Q(model__isnull=True)),
                name="judge_model_where_one_answers",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Judging(models.Model):
    """What a run of the recipe `judge` is asked, and what became of it."""

    run = models.OneToOneField(
        "training.TrainingRun", on_delete=models.CASCADE, related_name="judging", primary_key=True
    )
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="judgings")
    comparison_ids = models.JSONField(default=list)
    principles = models.JSONField(
        default=dict, blank=True, help_text="by comparison, the principle to judge it by"
    )
    judgements_made = models.PositiveIntegerField(default=0)
    surplus_made = models.PositiveIntegerField(
        default=0, help_text="of these, those on comparisons that do not wait for an AI judge"
    )
    left_out = models.JSONField(
        default=dict, help_text="comparisons that the judge gave no judgement on, by reason"
    )
    leans = models.JSONField(
        default=list,
        help_text="pairs by how much likelier a reply wins by standing first, in 20 equal bins "
        "from -1 to 1",
    )
    lean_sum = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return f"judgements of {self.judge}"


class JudgementMade(models.Model):
    """The edge from a judging run to a judgement that it made."""

    judging = models.ForeignKey(Judging, on_delete=models.CASCADE, related_name="made")
    judgement = models.OneToOneField(
        Judgement, on_delete=models.CASCADE, related_name="made_by_judge", primary_key=True
    )

    def __str__(self) -> str:
        return f"{self.judging_id} -> {self.judgement_id}"
