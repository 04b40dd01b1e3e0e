"""What the API reads and writes. No row id of a candidate and no model name is among it."""

from typing import Any

from rest_framework import serializers

from labeling.api.quality_serializers import OwnAgreementSerializer
from labeling.domain.content import plain_messages
from labeling.models import (
    Annotator,
    Export,
    Guideline,
    ImportBatch,
    Judgement,
    Membership,
    Project,
    Prompt,
    Role,
    Snapshot,
    User,
)
from labeling.models.projects import MAX_CANDIDATES
from labeling.models.prompts import State
from labeling.selectors.queue import Asked
from labeling.selectors.strength import JUDGES
from labeling.services.projects import SETTINGS


class InputSerializer(serializers.Serializer[Any]):
    """A body of which every field is known: a misspelt one is refused, not passed over."""

    def to_internal_value(self, data: Any) -> Any:
        """Raise ValidationError that names each unknown field."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({str(name): ["No such field."] for name in unknown})
        return super().to_internal_value(data)


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error: a code for programs, a sentence for people, and what is wrong by field."""

    code = serializers.CharField()
    message = serializers.CharField()
    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))  # type: ignore[assignment]


# --- accounts and projects -----------------------------------------------------------------------


class TokenSerializer(serializers.Serializer[Any]):
    """The token, to be sent as `Authorization: Token <token>`."""

    token = serializers.CharField()


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project's settings."""

    class Meta:
        """The short name is its address."""

        model = Project
        fields = ("slug", *SETTINGS, "is_archived", "created_at")


class SettingsInput(InputSerializer, serializers.ModelSerializer[Project]):
    """What a project's managers may change; what is left out stays."""

    class Meta:
        """The model gives types and limits."""

        model = Project
        fields: tuple[str, ...] = SETTINGS


class ProjectInput(SettingsInput):
    """A new project."""

    class Meta(SettingsInput.Meta):
        """The short name stands in its addresses and never changes."""

        fields = ("slug", *SETTINGS)


class OwnProjectSerializer(serializers.Serializer[Any]):
    """A project with the role of whoever asks; empty for a site admin who is no member."""

    project = ProjectSerializer()
    role = serializers.CharField()


class AccountSerializer(serializers.ModelSerializer[User]):
    """Whoever asks."""

    is_site_admin = serializers.BooleanField(read_only=True)

    class Meta:
        """What a person may see of their own account."""

        model = User
        fields = ("username", "email", "time_zone", "language", "is_site_admin")


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """An account and its role in a project."""

    username = serializers.CharField(source="user.username")

    class Meta:
        """Since when, too."""

        model = Membership
        fields = ("username", "role", "created_at")


class MemberInput(InputSerializer):
    """A role for an account."""

    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)


class GuidelineSerializer(serializers.ModelSerializer[Guideline]):
    """One version of the guidelines, as Markdown and as safe HTML."""

    class Meta:
        """Versions count up from 1."""

        model = Guideline
        fields = ("version", "text", "html", "created_at")


class GuidelineInput(InputSerializer):
    """The text of the next version, in Markdown."""

    text = serializers.CharField(max_length=100_000)


class OwnProgressSerializer(serializers.Serializer[Any]):
    """How much whoever asks has judged, and at what pace.

    `median_s` is the median active time of this hour's comparisons in seconds; `agreement` is null
    where the project does not show it.
    """

    done_today = serializers.IntegerField(source="pace.done_today")
    done_total = serializers.IntegerField(source="pace.done_total")
    done_this_hour = serializers.IntegerField(source="pace.done_this_hour")
    median_s = serializers.FloatField(source="pace.median_s", allow_null=True)
    days_in_a_row = serializers.IntegerField(source="pace.days_in_a_row")
    minutes_since_break = serializers.IntegerField(source="note.minutes_since_break")
    left_open = serializers.IntegerField(source="note.left_open")
    agreement = OwnAgreementSerializer(allow_null=True)


class ProjectProgressSerializer(serializers.Serializer[Any]):
    """How much there is in a project, and how much of it is judged."""

    prompts = serializers.IntegerField()
    candidates = serializers.IntegerField()
    comparisons = serializers.IntegerField()
    open = serializers.IntegerField()
    closed = serializers.IntegerField()
    judgements = serializers.IntegerField()
    pairs = serializers.IntegerField()
    annotators = serializers.IntegerField()


class ProgressSerializer(serializers.Serializer[Any]):
    """The project's counts are null to those who may not read its quality."""

    own = OwnProgressSerializer()
    project = ProjectProgressSerializer(allow_null=True)


# --- prompts and imports --------------------------------------------------------------------------


class PlainMessageSerializer(serializers.Serializer[Any]):
    """A chat message with plain text."""

    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField()


class PromptSerializer(serializers.ModelSerializer[Prompt]):
    """A prompt as managers and viewers see it."""

    messages = serializers.SerializerMethodField()
    author = serializers.CharField(source="author_key")
    tags = serializers.SlugRelatedField(slug_field="name", many=True, read_only=True)  # type: ignore[var-annotated]
    candidates = serializers.IntegerField(source="candidate_count")
    flagged = serializers.IntegerField(
        source="flagged_count", help_text="candidates that seem to name their maker"
    )

    class Meta:
        """Candidates are counted, not listed."""

        model = Prompt
        fields = (
            "id",
            "external_id",
            "author",
            "tags",
            "messages",
            "candidates",
            "flagged",
            "state",
            "created_at",
        )

    def get_messages(self, prompt: Prompt) -> list[dict[str, str]]:
        """Return the conversation as plain texts."""
        return plain_messages(prompt.messages)


class PromptFilter(InputSerializer):
    """How a list of prompts may be narrowed."""

    tag = serializers.CharField(required=False, default="", max_length=60)
    state = serializers.ChoiceField(required=False, default="", choices=State.choices)
    flagged = serializers.BooleanField(required=False, default=False)
    page = serializers.CharField(required=False)
    page_size = serializers.CharField(required=False)


class JudgesFilter(InputSerializer):
    """Whose judgements count."""

    judges = serializers.ChoiceField(required=False, default="people", choices=tuple(JUDGES))


class RowsInput(InputSerializer):
    """Lines of an import, as JSON objects."""

    rows = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=1000)


class FileInput(InputSerializer):
    """A file of JSON Lines."""

    file = serializers.FileField()


class ImportOptions(InputSerializer):
    """What goes into the address of an import."""

    source_name = serializers.CharField(required=False, default="", max_length=120)


class RefusedLineSerializer(serializers.Serializer[Any]):
    """Why a line was not taken. Line 0 is the file itself."""

    line = serializers.IntegerField()
    field = serializers.CharField()
    reason = serializers.CharField()


class ReportSerializer(serializers.Serializer[Any]):
    """What became of a file's lines; empty until the import has ended."""

    taken = serializers.IntegerField(required=False)
    duplicates = serializers.IntegerField(required=False)
    refused = RefusedLineSerializer(many=True, required=False)
    refused_total = serializers.IntegerField(required=False)
    prompts = serializers.IntegerField(required=False)
    candidates = serializers.IntegerField(required=False)
    flagged = serializers.IntegerField(
        required=False, help_text="candidates that seem to name their maker, kept from annotators"
    )
    sources = serializers.IntegerField(required=False)
    comparisons = serializers.IntegerField(required=False)
    judgements = serializers.IntegerField(required=False)
    demonstrations = serializers.IntegerField(required=False)


class ImportSerializer(serializers.ModelSerializer[ImportBatch]):
    """An import: how far it is, and its report."""

    report = ReportSerializer()

    class Meta:
        """The stored file's path is nobody's business."""

        model = ImportBatch
        fields = (
            "uid",
            "file_name",
            "source_name",
            "state",
            "lines_done",
            "lines_total",
            "report",
            "created_at",
            "finished_at",
        )


# --- judging --------------------------------------------------------------------------------------


class CardMessageSerializer(serializers.Serializer[Any]):
    """A message of the conversation, as text and as safe HTML."""

    role = serializers.CharField()
    text = serializers.CharField()
    html = serializers.CharField()


class CardCandidateSerializer(serializers.Serializer[Any]):
    """A candidate, known by its position in this assignment alone."""

    position = serializers.IntegerField()
    text = serializers.CharField()
    html = serializers.CharField()


class AskedSerializer(serializers.Serializer[Any]):
    """What the project asks of a judgement beside the order."""

    strength_scale = serializers.IntegerField(
        help_text="of two candidates: 0 not asked, 3 from 1 to 3, 9 from 1 to 4 (the tie is the "
        "fifth of nine points)"
    )
    ratings = serializers.BooleanField()
    confidence = serializers.BooleanField(help_text="1 unsure, 2 fairly sure, 3 certain")
    demonstrations = serializers.BooleanField(help_text="whether `own_text` is taken")
    flags = serializers.SerializerMethodField()

    def get_flags(self, asked: Asked) -> list[dict[str, str]]:
        """Return the flags of this card's version."""
        return [{"key": key, "label": label} for key, label in asked.flags]


class CardSerializer(serializers.Serializer[Any]):
    """What is to be judged, leased until `expires_at`."""

    assignment = serializers.UUIDField(source="assignment_uid")
    messages = CardMessageSerializer(many=True)
    candidates = CardCandidateSerializer(many=True)
    expires_at = serializers.DateTimeField()
    guideline_version = serializers.IntegerField()
    done_today = serializers.IntegerField()
    asked = AskedSerializer()


class RatingInput(InputSerializer):
    """What is said of one candidate beside its place."""

    quality = serializers.IntegerField(required=False, min_value=1, max_value=7)
    flags = serializers.ListField(
        required=False, child=serializers.CharField(max_length=60), max_length=50
    )


class SaidInput(InputSerializer):
    """What is said of a card. Tiers hold positions, best first; equal ones share a tier."""

    verdict = serializers.ChoiceField(
        choices=Judgement.Verdict.choices, default=Judgement.Verdict.RANKED
    )
    tiers = serializers.ListField(
        child=serializers.ListField(
            child=serializers.IntegerField(min_value=0), max_length=MAX_CANDIDATES + 1
        ),
        max_length=MAX_CANDIDATES + 1,
        default=list,
        help_text="position K, one behind the last, is the reply in `own_text`",
    )
    strength = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=4
    )
    confidence = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=3
    )
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=20_000)
    ratings = serializers.DictField(
        child=RatingInput(), default=dict, help_text="by position, written as a text"
    )
    unrankable_reason = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=500
    )
    own_text = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=100_000,
        trim_whitespace=False,
        help_text="a reply that the annotator would rather give",
    )
    active_ms = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=2**31 - 1
    )


class JudgementInput(SaidInput):
    """A judgement of a card that is leased."""

    next = serializers.BooleanField(
        default=False, help_text="lease the next card in the same answer"
    )


class JudgementSerializer(serializers.ModelSerializer[Judgement]):
    """The acknowledgement of a judgement."""

    class Meta:
        """The ranking is not repeated: its slots are not the positions that were shown."""

        model = Judgement
        fields = ("uid", "verdict", "surplus", "created_at")


class JudgedSerializer(serializers.Serializer[Any]):
    """The acknowledgement, and the next card where it was asked for and there is one."""

    judgement = JudgementSerializer()
    next = CardSerializer(allow_null=True)


class SkipInput(InputSerializer):
    """Why a comparison is given back."""

    reason = serializers.CharField(max_length=500)


class LeaseSerializer(serializers.Serializer[Any]):
    """When a lease ends now."""

    expires_at = serializers.DateTimeField()


# --- snapshots and exports ------------------------------------------------------------------------


class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    """A frozen selection of labels."""

    class Meta:
        """Counts, drops and the hash."""

        model = Snapshot
        fields = (
            "id",
            "number",
            "kind",
            "note",
            "selection",
            "counts",
            "drops",
            "sha256",
            "redacted_at",
            "created_at",
        )


class FreezeInput(InputSerializer):
    """What to freeze: all labels of a kind, or those of some tags or kinds of annotators."""

    kind = serializers.ChoiceField(choices=Snapshot.Kind.choices, default=Snapshot.Kind.PREFERENCES)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    tags = serializers.ListField(child=serializers.CharField(max_length=60), default=list)
    annotator_kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=Annotator.Kind.choices), default=list
    )
    include_gold = serializers.BooleanField(default=False)
    weights = serializers.DictField(
        child=serializers.FloatField(),
        default=dict,
        help_text="by kind of annotator, how much a judgement counts; 1 where nothing is said",
    )


class ExportInput(InputSerializer):
    """Which file to make of a snapshot."""

    format = serializers.ChoiceField(choices=Export.Format.choices)
    container = serializers.ChoiceField(
        choices=Export.Container.choices, default=Export.Container.JSONL
    )


class ExportSerializer(serializers.ModelSerializer[Export]):
    """How far an export is."""

    class Meta:
        """The stored file's path is nobody's business."""

        model = Export
        fields = (
            "uid",
            "snapshot",
            "format",
            "container",
            "state",
            "rows",
            "sha256",
            "error",
            "created_at",
            "finished_at",
        )
