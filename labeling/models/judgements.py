"""The queue and what comes out of it: comparisons, assignments, judgements, preference pairs."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from labeling.domain.uids import ordered_uid
from labeling.models.projects import Annotator, FlagSet, Guideline, Project
from labeling.models.prompts import Candidate, ImportBatch, Prompt


class Comparison(models.Model):
    """K candidates of one prompt to be ranked: the unit in the queue.

    `open_slots` is how many more people may be given it: overlap, less judgements that count,
    less live leases. Claim, submit, skip and expiry keep it under the row's lock, so that the
    queue reads one partial index whatever the size of the table.
    """

    class State(models.TextChoices):
        """Whether judgements are still wanted; gold is always given, and counts for no overlap."""

        OPEN = "open", _("open")
        CLOSED = "closed", _("closed")
        WITHDRAWN = "withdrawn", _("withdrawn")
        GOLD = "gold", _("gold")

    uid = models.UUIDField(default=ordered_uid, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="comparisons")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="comparisons")
    candidates = models.ManyToManyField(
        Candidate, through="labeling.ComparisonCandidate", related_name="comparisons"
    )
    overlap = models.PositiveSmallIntegerField()
    judgement_count = models.PositiveSmallIntegerField(default=0)
    open_slots = models.SmallIntegerField()
    priority = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    origin = models.CharField(max_length=16, default="import")
    for_ai = models.BooleanField(
        default=False,
        db_default=False,
        help_text="waits for AI judges alone: people are not given it, and its overlap counts "
        "what AI judges say; on any other comparison that is surplus",
    )
    for_evaluation = models.BooleanField(
        default=False,
        db_default=False,
        help_text="measures models: nothing learns from what is judged here, so no snapshot "
        "takes it",
    )
    import_batch = models.ForeignKey(
        ImportBatch, null=True, on_delete=models.SET_NULL, related_name="comparisons"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """The partial index is the queue itself, in the order in which it is served."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "uid"], name="comparison_uid_unique"),
            models.CheckConstraint(condition=Q(open_slots__gte=0), name="open_slots_not_negative"),
            models.CheckConstraint(
                condition=Q(state="open") | Q(open_slots=0), name="closed_has_no_open_slots"
            ),
            models.CheckConstraint(
                condition=Q(for_ai=False) | Q(open_slots=0), name="for_ai_has_no_open_slots"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                "project",
                models.F("priority").desc(),
                models.F("open_slots").desc(),
                "id",
                condition=Q(open_slots__gt=0),
                name="comparison_queue",
            ),
            models.Index(fields=["project", "state"], name="comparison_state"),
        ]

    def __str__(self) -> str:
        return f"comparison {self.pk}"


class ComparisonCandidate(models.Model):
    """A candidate's slot in a comparison; slots count from 0 and are what tiers name."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="slots")
    slot = models.PositiveSmallIntegerField()
    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="slots")

    class Meta:
        """Each slot holds one candidate; no candidate stands twice."""

        ordering: ClassVar = ["comparison", "slot"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["comparison", "slot"], name="slot_unique"),
            models.UniqueConstraint(
                fields=["candidate", "comparison"], name="candidate_once_per_comparison"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.comparison_id}[{self.slot}]"


class Assignment(models.Model):
    """A comparison leased to one annotator, with the order in which it is shown to them.

    `shown_order[position] = slot`: the browser and the API speak of positions alone.
    """

    class State(models.TextChoices):
        """How the lease stands, or how it ended."""

        LEASED = "leased", _("leased")
        JUDGED = "judged", _("judged")
        SKIPPED = "skipped", _("skipped")
        EXPIRED = "expired", _("expired")

    uid = models.UUIDField(default=ordered_uid, unique=True, editable=False)
    comparison = models.ForeignKey(
        Comparison, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    annotator = models.ForeignKey(
        Annotator, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.LEASED)
    seat = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="0 or 1: a lease holds one of its annotator's two seats, on the screen and ahead",
    )
    shown_order = models.JSONField()
    guideline = models.ForeignKey(
        Guideline, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    flag_set = models.ForeignKey(
        FlagSet, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    skip_reason = models.CharField(max_length=500, blank=True)
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Nobody gets a comparison twice; an expired one may come back.

        Nobody holds more than two leases: the older is on the screen, the younger waits behind it,
        so that the next card is there before its answer.
        """

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["comparison", "annotator"],
                condition=Q(state__in=["leased", "judged", "skipped"]),
                name="one_assignment_per_annotator",
            ),
            models.UniqueConstraint(
                fields=["annotator", "seat"],
                condition=Q(state="leased"),
                name="one_lease_per_seat",
            ),
            models.CheckConstraint(condition=Q(seat__lte=1), name="two_seats"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], condition=Q(state="leased"), name="assignment_due"),
            models.Index(fields=["comparison", "state"], name="assignment_comparison"),
            models.Index(
                fields=["annotator", "ended_at"],
                condition=Q(state="skipped"),
                name="assignment_skips",
            ),
        ]

    def __str__(self) -> str:
        return f"assignment {self.uid}"


class Judgement(models.Model):
    """One annotator's word on one comparison. Append-only: a correction supersedes.

    The database refuses updates and deletes (see migration 0002), but for the tombstone that
    erasing a person puts in place of free text.
    """

    class Verdict(models.TextChoices):
        """What the annotator said. "Both bad" is not a tie."""

        RANKED = "ranked", _("ranked")
        TIE = "tie", _("tie")
        BOTH_BAD = "both_bad", _("all bad")
        UNRANKABLE = "unrankable", _("can't be ranked")

    class Origin(models.TextChoices):
        """By which door the judgement came in."""

        BROWSER = "browser", _("browser")
        API = "api", _("API")
        IMPORT = "import", _("import")
        SIMULATED = "simulated", _("simulated")
        AI = "ai", _("AI judge")

    uid = models.UUIDField(default=ordered_uid, editable=False)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="judgements", db_index=False
    )
    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="judgements")
    annotator = models.ForeignKey(
        Annotator, on_delete=models.PROTECT, related_name="judgements", db_index=False
    )
    assignment = models.ForeignKey(
        Assignment, null=True, on_delete=models.PROTECT, related_name="judgements"
    )
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    tiers = models.JSONField(default=list, help_text="slots, best tier first: [[2], [0, 1], [3]]")
    unrankable_reason = models.CharField(max_length=500, blank=True)
    strength = models.PositiveSmallIntegerField(null=True, blank=True)
    confidence = models.PositiveSmallIntegerField(null=True, blank=True)
    comment = models.TextField(blank=True)
    ratings = models.JSONField(
        default=dict, help_text='by slot: {"0": {"quality": 5, "flags": ["hallucination"]}}'
    )
    flag_set = models.ForeignKey(
        FlagSet, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    written_candidate = models.ForeignKey(
        Candidate,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="a reply written while ranking; in tiers it is slot K",
    )
    shown_order = models.JSONField(default=list)
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    events = models.JSONField(default=list, help_text="compact log: [[ms, code, position], ...]")
    guideline = models.ForeignKey(
        Guideline, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    origin = models.CharField(max_length=16, choices=Origin.choices)
    surplus = models.BooleanField(
        default=False, help_text="came when the overlap was already met; kept, not counted"
    )
    provenance = models.JSONField(
        default=dict, help_text="an AI judge's model and principle; what an import said beside"
    )
    idempotency_key = models.CharField(max_length=80)
    request_hash = models.CharField(max_length=64, help_text="sha256 of the submitted body")
    import_batch = models.ForeignKey(
        ImportBatch, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        """One judgement a key; a judgement is superseded at most once (one-to-one)."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "uid"], name="judgement_uid_unique"),
            models.UniqueConstraint(
                fields=["annotator", "idempotency_key"], name="judgement_key_unique"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["annotator", "created_at"], name="judgement_annotator_day")
        ]

    def __str__(self) -> str:
        return f"judgement {self.uid}"


class PreferencePair(models.Model):
    """One pair that a judgement implies. A tie is kept as a tie, with gap 0."""

    judgement = models.ForeignKey(
        Judgement, on_delete=models.CASCADE, related_name="pairs", db_index=False
    )
    chosen = models.ForeignKey(
        Candidate, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    rejected = models.ForeignKey(
        Candidate, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    rank_gap = models.PositiveSmallIntegerField(help_text="tiers between the two: the margin")
    is_tie = models.BooleanField(default=False)

    class Meta:
        """A pair stands once in a judgement; a tie, and only a tie, has gap 0."""

        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["judgement", "chosen", "rejected"], name="pair_once_per_judgement"
            ),
            models.CheckConstraint(
                condition=Q(is_tie=True, rank_gap=0) | Q(is_tie=False, rank_gap__gt=0),
                name="tie_has_no_gap",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chosen_id} {'=' if self.is_tie else '>'} {self.rejected_id}"
