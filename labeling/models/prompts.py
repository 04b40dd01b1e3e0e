"""What is asked and what was answered: prompts, candidates, demonstrations, imports.

Prompts and candidates are never changed and never deleted: they are withdrawn by state.
"""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.models.projects import Annotator, Guideline, Project, Tag


class State(models.TextChoices):
    """Whether a text is in use."""

    ACTIVE = "active", _("active")
    WITHDRAWN = "withdrawn", _("withdrawn")


class PromptGroup(models.Model):
    """Prompts that must never be in two splits: they share an author or a first user message.

    Groups are kept as union-find leaves them: when a new prompt links two groups, the older one
    takes the members of the younger. The key decides the split and never changes.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompt_groups")
    key = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """The key is unique in a project."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "key"], name="prompt_group_key_unique")
        ]

    def __str__(self) -> str:
        return self.key


class Prompt(models.Model):
    """A conversation that waits for its next turn: a list of chat messages with content parts."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    group = models.ForeignKey(PromptGroup, on_delete=models.PROTECT, related_name="prompts")
    messages = models.JSONField(
        help_text='[{"role": "user", "content": [{"type": "text", "text": "..."}]}, ...]'
    )
    content_hash = models.CharField(max_length=64, help_text="sha256 of the canonical messages")
    first_user_hash = models.CharField(max_length=64)
    author_key = models.CharField(max_length=200, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    tags = models.ManyToManyField(Tag, related_name="prompts", blank=True)
    html = models.JSONField(default=list, help_text="one sanitized piece of HTML a message")
    renderer_version = models.CharField(max_length=40)
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    writer_count = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="people who wrote a reply that counts, or hold the prompt to write one",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """The same conversation stands once in a project."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "content_hash"], name="prompt_content_unique"
            ),
            models.UniqueConstraint(
                fields=["project", "external_id"],
                condition=~Q(external_id=""),
                name="prompt_external_id_unique",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["project", "first_user_hash"], name="prompt_first_user"),
            models.Index(
                fields=["project", "author_key"], condition=~Q(author_key=""), name="prompt_author"
            ),
            # The writing queue itself, in the order in which it is served.
            models.Index(
                fields=["project", "writer_count", "id"],
                condition=Q(state="active"),
                name="prompt_writing",
            ),
        ]

    def __str__(self) -> str:
        return f"prompt {self.pk}"


class Candidate(models.Model):
    """One possible reply to a prompt. The same text from two models is one candidate."""

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="candidates")
    messages = models.JSONField(help_text="the assistant's turn, as messages with content parts")
    content_hash = models.CharField(max_length=64)
    html = models.TextField(blank=True)
    renderer_version = models.CharField(max_length=40)
    names_its_maker = models.BooleanField(
        default=False, help_text="the text says who made it, which would break blindness"
    )
    written_by = models.ForeignKey(
        Annotator,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="written_candidates",
        db_index=False,
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """A text stands once under its prompt."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["prompt", "content_hash"], name="candidate_content_unique"
            )
        ]

    def __str__(self) -> str:
        return f"candidate {self.pk}"


class CandidateSource(models.Model):
    """How a candidate came to be, once for each time some model (or person) produced it."""

    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="sources")
    model_name = models.CharField(max_length=200, blank=True)
    model_sha256 = models.CharField(
        max_length=64, blank=True, help_text="hash of the weights that wrote it, where known"
    )
    finish_reason = models.CharField(max_length=32, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    temperature = models.FloatField(null=True, blank=True)
    top_p = models.FloatField(null=True, blank=True)
    max_new_tokens = models.PositiveIntegerField(null=True, blank=True)
    logprob = models.FloatField(
        null=True, blank=True, help_text="the sampler's log-probability of the reply, in nats"
    )
    sampling = models.JSONField(default=dict, help_text="the sampling settings as they came")
    import_batch = models.ForeignKey(
        "labeling.ImportBatch", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Oldest first."""

        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.model_name or "unknown source"


class Demonstration(models.Model):
    """A reply that was written, or approved, as an example to learn from.

    Its text never changes (the database sees to it, see migration 0005): a correction is a new
    demonstration that supersedes the old one, and what is not wanted is withdrawn by state.
    """

    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="demonstrations")
    annotator = models.ForeignKey(
        Annotator, null=True, on_delete=models.PROTECT, related_name="demonstrations"
    )
    assignment = models.ForeignKey(
        "labeling.WritingAssignment",
        null=True,
        on_delete=models.PROTECT,
        related_name="demonstrations",
        help_text="the lease under which it was written; none where it came in otherwise",
    )
    messages = models.JSONField(help_text="the assistant's turn, as messages with content parts")
    content_hash = models.CharField(max_length=64)
    origin = models.CharField(max_length=16, default="import")
    state = models.CharField(max_length=16, choices=State.choices, default=State.ACTIVE)
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    guideline = models.ForeignKey(
        Guideline, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    surplus = models.BooleanField(
        default=False,
        db_default=False,
        help_text="came when enough were written; kept, not counted",
    )
    idempotency_key = models.CharField(max_length=80, blank=True, default="", db_default="")
    request_hash = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="sha256 of the submitted body",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """An import brings a reply once; two people may write the same one."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["prompt", "content_hash"],
                condition=Q(annotator=None),
                name="demonstration_unique",
            ),
            models.UniqueConstraint(
                fields=["annotator", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="demonstration_key_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"demonstration {self.pk}"


class ImportBatch(models.Model):
    """One uploaded file: taken whole, or refused whole with a report."""

    class State(models.TextChoices):
        """How far the import is."""

        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        REFUSED = "refused", _("refused")
        FAILED = "failed", _("failed")

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    file_name = models.CharField(max_length=255)
    path = models.CharField(max_length=500)
    source_name = models.CharField(
        max_length=120, blank=True, help_text="names the annotator of imported rankings"
    )
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    lines_done = models.PositiveIntegerField(default=0)
    lines_total = models.PositiveIntegerField(default=0)
    report = models.JSONField(default=dict)
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
        return self.file_name
