"""What the training half of the API reads and writes."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from labeling.api.serializers import InputSerializer
from training.configs import PRESETS, FieldSpec
from training.health import Health
from training.health_facts import Finding
from training.inputs import INPUTS
from training.models import (
    Evaluation,
    MetricPoint,
    ModelVersion,
    RunAttempt,
    SamplingRun,
    TrainingRun,
)
from training.run_health import run_health
from training.services.evaluations import SPLITS
from training.services.runs import MAX_SEED
from training.services.sampling import MAX_OVERLAP


class RecipeFieldSerializer(serializers.Serializer[FieldSpec]):
    """One option of a recipe: its type, its limits, and the sentence about it."""

    name = serializers.CharField()
    type = serializers.SerializerMethodField()
    default = serializers.JSONField()
    help = serializers.CharField()
    group = serializers.CharField()
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)

    def get_type(self, spec: FieldSpec) -> str:
        """Return bool, int, float or str."""
        return spec.type.__name__


class RecipeSerializer(serializers.Serializer[Any]):
    """A recipe: what it needs, its options, and its presets."""

    name = serializers.CharField()
    snapshot_kind = serializers.CharField(allow_null=True)
    options = RecipeFieldSerializer(many=True)
    presets = serializers.DictField(child=serializers.DictField())


class SnapshotRefSerializer(serializers.Serializer[Any]):
    """A snapshot, by number and hash."""

    number = serializers.IntegerField()
    sha256 = serializers.CharField()


class ModelRefSerializer(serializers.Serializer[Any]):
    """A model, by id, name and hash."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    sha256 = serializers.CharField()


class RunAttemptSerializer(serializers.ModelSerializer[RunAttempt]):
    """One worker's attempt at a run."""

    class Meta:
        """Who, when, and how it ended."""

        model = RunAttempt
        fields = ("number", "worker", "outcome", "exit_code", "started_at", "finished_at")


class SamplingSerializer(serializers.ModelSerializer[SamplingRun]):
    """What a sampling run samples, and what it made."""

    prompts = serializers.SerializerMethodField()

    class Meta:
        """The selection, and the counts."""

        model = SamplingRun
        fields = (
            "selection",
            "prompts",
            "queue_comparisons",
            "overlap",
            "priority",
            "candidates_made",
            "comparisons_made",
        )

    def get_prompts(self, sampling: SamplingRun) -> int:
        """Return how many prompts were chosen."""
        return len(sampling.prompt_ids)


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    """Against what an evaluation measures a policy; what it measured stands in the run's result."""

    policy = ModelRefSerializer()
    reference = ModelRefSerializer()
    baseline = ModelRefSerializer(allow_null=True)
    judge = ModelRefSerializer(allow_null=True)
    prompts = serializers.SerializerMethodField()

    class Meta:
        """The models, the selection, and the hidden score where the project has one."""

        model = Evaluation
        fields = ("policy", "reference", "baseline", "judge", "selection", "prompts", "gold")

    def get_prompts(self, evaluation: Evaluation) -> int:
        """Return how many prompts were chosen."""
        return len(evaluation.prompt_ids)


class RunSerializer(serializers.ModelSerializer[TrainingRun]):
    """A run as a list shows it."""

    snapshot = SnapshotRefSerializer(allow_null=True)
    base_model = ModelRefSerializer(allow_null=True)
    reward_model = ModelRefSerializer(allow_null=True)
    model = serializers.SerializerMethodField()
    sampling = serializers.SerializerMethodField()
    evaluation = serializers.SerializerMethodField()

    class Meta:
        """Everything but what is long."""

        model = TrainingRun
        fields: tuple[str, ...] = (
            "uid",
            "recipe",
            "name",
            "seed",
            "state",
            "request",
            "step",
            "total_steps",
            "snapshot",
            "base_model",
            "reward_model",
            "model",
            "sampling",
            "evaluation",
            "exit_code",
            "error",
            "created_at",
            "started_at",
            "finished_at",
        )

    @extend_schema_field(ModelRefSerializer(allow_null=True))
    def get_model(self, run: TrainingRun) -> dict[str, Any] | None:
        """Return the model that the run made, if it has."""
        made = run.model_version
        return dict(ModelRefSerializer(made).data) if made else None

    @extend_schema_field(SamplingSerializer(allow_null=True))
    def get_sampling(self, run: TrainingRun) -> dict[str, Any] | None:
        """Return what is sampled, if the run is one of sampling."""
        sampling = getattr(run, "sampling", None)
        return dict(SamplingSerializer(sampling).data) if sampling else None

    @extend_schema_field(EvaluationSerializer(allow_null=True))
    def get_evaluation(self, run: TrainingRun) -> dict[str, Any] | None:
        """Return against what a policy is measured, if the run is an evaluation."""
        evaluation = getattr(run, "evaluation", None)
        return dict(EvaluationSerializer(evaluation).data) if evaluation else None


class FindingSerializer(serializers.Serializer[Finding]):
    """What looks wrong with a run, and what to try."""

    rule = serializers.CharField()
    severity = serializers.ChoiceField(choices=["bad", "warn"])
    since_step = serializers.IntegerField(allow_null=True)
    title = serializers.CharField()
    sentence = serializers.CharField()
    remedy = serializers.CharField()


class HealthSerializer(serializers.Serializer[Health]):
    """The findings of a run, the worst first, and what was looked at."""

    findings = FindingSerializer(many=True)
    checked = serializers.ListField(child=serializers.CharField())


class RunDetailSerializer(RunSerializer):
    """A run with all that it is known by."""

    attempts = RunAttemptSerializer(many=True)
    health = serializers.SerializerMethodField()

    class Meta(RunSerializer.Meta):
        """And what is long."""

        fields = (
            *RunSerializer.Meta.fields,
            "config",
            "data_sha256",
            "git_commit",
            "library_versions",
            "result",
            "log_tail",
            "attempts",
            "health",
        )

    @extend_schema_field(HealthSerializer)
    def get_health(self, run: TrainingRun) -> dict[str, Any]:
        """Return what looks wrong with the run."""
        return dict(HealthSerializer(run_health(run)).data)


class RunInput(InputSerializer):
    """A training run to be started. `config` holds what differs from the preset."""

    recipe = serializers.ChoiceField(choices=list(INPUTS))
    snapshot = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="the snapshot's number in this project; for ppo demonstrations to keep likely",
    )
    base_model = serializers.IntegerField(required=False, allow_null=True, default=None)
    reward_model = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="needed by ppo, rloo and grpo, which learn from its scores; sft, dpo and kto may "
        "have one, which scores replies to validation prompts",
    )
    tags = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        default=list,
        help_text="of the prompts to reply to, all of the split train",
    )
    exclude_tags = serializers.ListField(
        child=serializers.CharField(), required=False, default=list
    )
    limit = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)
    preset = serializers.CharField(required=False, allow_blank=True, default="")
    config = serializers.DictField(required=False, default=dict)
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_SEED)
    name = serializers.CharField(required=False, allow_blank=True, default="", max_length=120)


class SamplingInput(InputSerializer):
    """A sampling run to be started. `config` holds what differs from the preset."""

    model = serializers.IntegerField()
    preset = serializers.ChoiceField(required=False, choices=list(PRESETS["sample"]))
    config = serializers.DictField(required=False, default=dict)
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_SEED)
    tags = serializers.ListField(child=serializers.CharField(), required=False, default=list)
    exclude_tags = serializers.ListField(
        child=serializers.CharField(), required=False, default=list
    )
    limit = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)
    queue = serializers.BooleanField(required=False, default=True)
    overlap = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=MAX_OVERLAP
    )
    priority = serializers.IntegerField(required=False, default=0, min_value=-1000, max_value=1000)


class EvaluationInput(InputSerializer):
    """An evaluation to be started. `config` holds what differs from the preset."""

    policy = serializers.IntegerField()
    reward_model = serializers.IntegerField()
    reference = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="what the KL is measured to; empty: the model with which the policy's learning "
        "from preferences began",
    )
    baseline = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="the policy to win against"
    )
    judge = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="a policy that says which of two replies is better, policy or baseline",
    )
    preset = serializers.ChoiceField(required=False, choices=list(PRESETS["evaluate"]))
    config = serializers.DictField(required=False, default=dict)
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MAX_SEED)
    split = serializers.ChoiceField(required=False, choices=SPLITS, default="validation")
    tags = serializers.ListField(child=serializers.CharField(), required=False, default=list)
    exclude_tags = serializers.ListField(
        child=serializers.CharField(), required=False, default=list
    )
    limit = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=2)


class MetricSerializer(serializers.ModelSerializer[MetricPoint]):
    """What was measured at one step."""

    class Meta:
        """The step and its values."""

        model = MetricPoint
        fields = ("step", "attempt_number", "values", "recorded_at")


class ModelSerializer(serializers.ModelSerializer[ModelVersion]):
    """A model of the registry; `parent` is null too where the reader may not see it."""

    project = serializers.SlugField(source="project.slug")
    parent = ModelRefSerializer(allow_null=True)
    run = serializers.UUIDField(source="run.uid", allow_null=True, default=None)

    class Meta:
        """Not the path: that is the server's own affair."""

        model = ModelVersion
        fields: tuple[str, ...] = (
            "id",
            "project",
            "name",
            "version",
            "kind",
            "is_partial",
            "sha256",
            "parent",
            "run",
            "created_at",
        )

    def to_representation(self, model: ModelVersion) -> dict[str, Any]:
        """Return the model; with `sight` in the context no parent that the reader may not see."""
        said = super().to_representation(model)
        sight = self.context.get("sight")
        if sight and model.parent and not sight.knows(model.parent):
            said["parent"] = None
        return said


class LineageSerializer(serializers.ModelSerializer[ModelVersion]):
    """One model on the way back to the first, and by what it is known."""

    class Meta:
        """Labels, config, seed, commit, libraries: they stand in the provenance."""

        model = ModelVersion
        fields = ("id", "name", "version", "kind", "sha256", "provenance", "created_at")


class ModelDetailSerializer(serializers.Serializer[Any]):
    """A model, and its lineage: itself, its parent, and so on to the first."""

    model = ModelSerializer()
    lineage = LineageSerializer(many=True)


class ModelInput(InputSerializer):
    """A model that lies in a folder of the server; only a site admin may register it."""

    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(choices=[kind.value for kind in ModelVersion.REGISTRABLE])
    folder = serializers.CharField(max_length=500)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class ShareInput(InputSerializer):
    """Another project, by its short name."""

    project = serializers.SlugField(max_length=60)
