"""Runs, what they measured, and the models they made."""

import uuid
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models import CandidateSource, Comparison, Project, Snapshot


class ModelVersion(models.Model):
    """A policy or reward model: what a run made, or one brought from outside."""

    class Kind(models.TextChoices):
        """What the weights do."""

        POLICY = "policy", _("policy")
        REWARD = "reward", _("reward model")
        OUTSIDE = "outside", _("outside model")

    REGISTRABLE: ClassVar = (Kind.POLICY, Kind.REWARD)

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_versions")
    shared_with = models.ManyToManyField(Project, related_name="shared_models", blank=True)
    name = models.CharField(_("name"), max_length=120)
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    run = models.ForeignKey(
        "training.TrainingRun",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="made_models",
    )
    path = models.CharField(
        max_length=500,
        blank=True,
        help_text="under MODEL_DIR, or absolute for a model brought from outside; empty for one "
        "that answers elsewhere",
    )
    endpoint = models.ForeignKey(
        "training.Endpoint",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="model_versions",
        help_text="where an outside model answers",
    )
    sha256 = models.CharField(max_length=64)
    is_partial = models.BooleanField(
        default=False, help_text="made by a run that was stopped before its end"
    )
    provenance = models.JSONField(
        default=dict,
        help_text="snapshot hash, config, seed, git commit, library versions; or where it is from",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Versions count up under a name."""

        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="model_version_unique"
            ),
            models.UniqueConstraint(
                fields=["run"], condition=Q(is_partial=False), name="one_finished_model_per_run"
            ),
            models.CheckConstraint(
                condition=Q(kind="outside", path="", endpoint__isnull=False)
                | (~Q(kind="outside") & Q(endpoint__isnull=True)),
                name="outside_models_have_endpoints",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    @property
    def folder(self) -> Path:
        """Where the weights lie: under MODEL_DIR, or at the absolute path of an outside model."""
        return Path(settings.MODEL_DIR) / self.path


class TrainingRun(models.Model):
    """One recipe run: queued here, claimed by compare-and-swap, run as a child process.

    The recipe `sample` travels the same way; what it samples stands in its SamplingRun.
    """

    class State(models.TextChoices):
        """Where the run stands."""

        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        STOPPED = "stopped", _("stopped")
        CANCELLED = "cancelled", _("cancelled")

    class Request(models.TextChoices):
        """What a person asked of a live run."""

        NONE = "", _("nothing")
        STOP = "stop", _("stop")
        CANCEL = "cancel", _("cancel")

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="training_runs")
    recipe = models.CharField(max_length=32)
    name = models.CharField(max_length=120, blank=True, help_text="name of the model to be made")
    config = models.JSONField(default=dict)
    seed = models.PositiveIntegerField(default=0)
    snapshot = models.ForeignKey(
        Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="training_runs"
    )
    base_model = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="runs_from"
    )
    reward_model = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="runs_judged",
        help_text="what scores the replies of a run that learns from its own",
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    request = models.CharField(
        max_length=16, choices=Request.choices, default=Request.NONE, blank=True
    )
    step = models.PositiveIntegerField(default=0)
    total_steps = models.PositiveIntegerField(default=0)
    git_commit = models.CharField(max_length=64, blank=True)
    library_versions = models.JSONField(default=dict)
    data_sha256 = models.CharField(max_length=64, blank=True)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    error_parts = models.JSONField(
        default=dict, blank=True, help_text="what `error` is made of, to be said in any language"
    )
    exit_code = models.IntegerField(null=True, blank=True)
    log_tail = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Newest first; live runs are found without a scan."""

        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(
                fields=["state", "heartbeat_at"],
                condition=Q(state__in=["queued", "running"]),
                name="run_live",
            ),
            models.Index(fields=["project", "-id"], name="run_project"),
        ]

    def __str__(self) -> str:
        return f"{self.recipe} run {self.pk}"

    @property
    def is_live(self) -> bool:
        """Whether the run still waits or works."""
        return self.state in {self.State.QUEUED, self.State.RUNNING}

    @property
    def is_resumable(self) -> bool:
        """Whether the run ended in a way from which it can go on."""
        return self.state in {self.State.STOPPED, self.State.FAILED}

    @property
    def waits_for_endpoint(self) -> bool:
        """Whether the run stopped as its endpoint did not answer: it goes on once that does."""
        return self.state == self.State.STOPPED and "endpoint_problem" in self.result

    @property
    def model_version(self) -> ModelVersion | None:
        """What the run made: its finished model, else what its latest stop left."""
        made = sorted(self.made_models.all(), key=lambda model: (model.is_partial, -model.pk))
        return made[0] if made else None

    @property
    def folder(self) -> Path:
        """The run's folder; training/rundir.py knows what lies in it."""
        return Path(settings.RUN_DIR) / str(self.uid)


class RunAttempt(models.Model):
    """One claim of a run by one worker. A lost worker leaves an attempt marked lost."""

    class Outcome(models.TextChoices):
        """How the attempt ended."""

        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        STOPPED = "stopped", _("stopped")
        CANCELLED = "cancelled", _("cancelled")
        LOST = "lost", _("worker lost")

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.RUNNING)
    exit_code = models.IntegerField(null=True, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Numbered from 1; at most one attempt of a run is under way."""

        ordering: ClassVar = ["run", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "number"], name="attempt_number_unique"),
            models.UniqueConstraint(
                fields=["run"], condition=Q(outcome="running"), name="one_live_attempt_per_run"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.number}"


class MetricPoint(models.Model):
    """What a run measured at one step: `{"loss": 0.61, ...}`."""

    run = models.ForeignKey(
        TrainingRun, on_delete=models.CASCADE, related_name="metrics", db_index=False
    )
    attempt_number = models.PositiveIntegerField()
    step = models.PositiveIntegerField()
    values = models.JSONField()
    recorded_at = models.DateTimeField()

    class Meta:
        """In the order of steps; a step may carry several points (training and evaluation)."""

        ordering: ClassVar = ["run", "step", "id"]
        indexes: ClassVar = [models.Index(fields=["run", "step"], name="metric_run_step")]

    def __str__(self) -> str:
        return f"{self.run_id}@{self.step}"


class RunPrompts(models.Model):
    """The prompts to which a run replies while it learns, chosen when the run was made."""

    run = models.OneToOneField(
        TrainingRun, on_delete=models.CASCADE, related_name="prompts", primary_key=True
    )
    selection = models.JSONField(default=dict, help_text="which prompts: tags, count, split")
    prompt_ids = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"prompts of {self.run_id}"


class SamplingRun(models.Model):
    """What is sampled by a run of the recipe `sample`, and what became of the samples."""

    run = models.OneToOneField(
        TrainingRun, on_delete=models.CASCADE, related_name="sampling", primary_key=True
    )
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="sampling_runs")
    selection = models.JSONField(default=dict, help_text="which prompts: tags, count, split")
    prompt_ids = models.JSONField(default=list)
    queue_comparisons = models.BooleanField(default=True)
    overlap = models.PositiveSmallIntegerField(default=1)
    priority = models.SmallIntegerField(default=0)
    candidates_made = models.PositiveIntegerField(default=0)
    comparisons_made = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"samples of {self.model}"


class Evaluation(models.Model):
    """What a run of the recipe `evaluate` measures; the reward model stands in its run.

    Gold, where the project has a hidden score, is read after the run: no recipe sees it.
    """

    run = models.OneToOneField(
        TrainingRun, on_delete=models.CASCADE, related_name="evaluation", primary_key=True
    )
    policy = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evaluations")
    reference = models.ForeignKey(
        ModelVersion,
        on_delete=models.PROTECT,
        related_name="evaluations_from",
        help_text="what the KL is measured to",
    )
    baseline = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="evaluations_against",
        help_text="the policy to win against",
    )
    judge = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="evaluations_judged",
        help_text="a policy that says which of two replies is the better one",
    )
    selection = models.JSONField(default=dict, help_text="which prompts: tags, count, split")
    prompt_ids = models.JSONField(default=list)
    gold = models.JSONField(
        default=dict, blank=True, help_text="the hidden score, by whose replies"
    )

    def __str__(self) -> str:
        return f"evaluation of {self.policy}"


class SampledCandidate(models.Model):
    """The edge from a sampling run to a candidate's source: lineage from a model to its texts."""

    sampling_run = models.ForeignKey(SamplingRun, on_delete=models.CASCADE, related_name="samples")
    source = models.OneToOneField(
        CandidateSource, on_delete=models.CASCADE, related_name="sampled", primary_key=True
    )

    def __str__(self) -> str:
        return f"{self.sampling_run_id} -> {self.source_id}"


class SampledComparison(models.Model):
    """The edge from a sampling run to a comparison that it queued."""

    sampling_run = models.ForeignKey(
        SamplingRun, on_delete=models.CASCADE, related_name="sampled_comparisons"
    )
    comparison = models.OneToOneField(
        Comparison, on_delete=models.CASCADE, related_name="sampled", primary_key=True
    )

    def __str__(self) -> str:
        return f"{self.sampling_run_id} -> {self.comparison_id}"


# Django finds an app's models by this module; those of its rooms point to the ones above by name.
import training.acquisition.models  # noqa: E402
import training.calibration.models  # noqa: E402
import training.constitutions.models  # noqa: E402
import training.contests.models  # noqa: E402
import training.endpoints.models  # noqa: E402
import training.judges.models  # noqa: E402
import training.lineage.models  # noqa: E402
import training.playground.models  # noqa: E402
import training.rounds.models  # noqa: E402, F401
