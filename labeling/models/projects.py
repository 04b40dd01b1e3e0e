"""Projects, who works in them, and what the work is judged by."""

import secrets
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

MAX_GOLD_SHARE = 0.5
MIN_CANDIDATES, MAX_CANDIDATES = 2, 9
MAX_DEMONSTRATIONS = 50


class Role(models.TextChoices):
    """What a member may do; permissions.py holds the table."""

    ANNOTATOR = "annotator", _("annotator")
    VIEWER = "viewer", _("viewer")
    MANAGER = "manager", _("manager")
    OWNER = "owner", _("owner")


class Project(models.Model):
    """One body of prompts with its own queue, members, guidelines and models."""

    class Strength(models.IntegerChoices):
        """How finely an annotator says how much better the better one is."""

        NONE = 0, _("not asked")
        THREE = 3, _("slightly, clearly, much")
        NINE = 9, _("nine points")

    name = models.CharField(
        _("name"), max_length=120, help_text=_("What lists and headings call the project.")
    )
    slug = models.SlugField(
        _("short name"),
        max_length=60,
        unique=True,
        help_text=_("Stands in the project's addresses and never changes."),
    )
    description = models.TextField(
        _("description"),
        blank=True,
        help_text=_("What the project is about, in a sentence or two, for everybody in it."),
    )
    candidates_per_comparison = models.PositiveSmallIntegerField(
        _("candidates per comparison"),
        default=4,
        validators=[MinValueValidator(MIN_CANDIDATES), MaxValueValidator(MAX_CANDIDATES)],
        help_text=_("K: how many candidates are ranked at once, from 2 to 9."),
    )
    overlap = models.PositiveSmallIntegerField(
        _("overlap"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text=_("How many people judge each new comparison."),
    )
    lease_minutes = models.PositiveSmallIntegerField(
        _("lease in minutes"),
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 60)],
        help_text=_("After this long without a sign of life a comparison goes back to the queue."),
    )
    strength_scale = models.PositiveSmallIntegerField(
        _("strength of preference"),
        choices=Strength.choices,
        default=Strength.NONE,
        help_text=_(
            "Asks, where two candidates are compared, how much better the better one is: in three "
            "steps, or on nine points with the tie in the middle."
        ),
    )
    asks_ratings = models.BooleanField(
        _("ask for ratings and flags"),
        default=False,
        help_text=_(
            "Asks, before the ranking, for each candidate's quality from 1 to 7 and for the "
            "project's own yes/no flags."
        ),
    )
    asks_confidence = models.BooleanField(
        _("ask for confidence"),
        default=False,
        help_text=_(
            "Asks, for each comparison, how sure the annotator is: unsure, fairly sure or certain."
        ),
    )
    asks_demonstrations = models.BooleanField(
        _("let people write replies"),
        default=False,
        help_text=_(
            "Lets annotators write a reply of their own, which is ranked with the others and "
            "becomes a demonstration."
        ),
    )
    demonstrations_per_prompt = models.PositiveSmallIntegerField(
        _("replies to write for each prompt"),
        default=0,
        validators=[MaxValueValidator(MAX_DEMONSTRATIONS)],
        help_text=_("How many people write a reply of their own to each prompt. 0: nobody."),
    )
    demonstration_tag = models.CharField(
        _("write for this tag alone"),
        max_length=60,
        blank=True,
        help_text=_("Empty: replies are written for all prompts."),
    )
    validation_share = models.FloatField(
        _("validation share"),
        default=0.1,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.45)],
        help_text=_("Which part of the labels, from 0 to 0.45, a new snapshot keeps to choose by."),
    )
    test_share = models.FloatField(
        _("test share"),
        default=0.1,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.45)],
        help_text=_("Which part of the labels, from 0 to 0.45, a new snapshot keeps to test on."),
    )
    gold_share = models.FloatField(
        _("gold share"),
        default=0.0,
        db_default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(MAX_GOLD_SHARE)],
        help_text=_("This share of everybody's cards are gold items: 0.1 is one in ten."),
    )
    shows_agreement = models.BooleanField(
        _("show people their agreement"),
        default=False,
        db_default=False,
        help_text=_("Annotators see how far they agree with others and with gold."),
    )
    opens_playground = models.BooleanField(
        _("open the playground to annotators"),
        default=False,
        db_default=False,
        help_text=_("Lets annotators talk to the project's models, as managers may."),
    )
    is_archived = models.BooleanField(_("archived"), default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """K, overlap and gold share are bounded in the database too."""

        ordering: ClassVar = ["name", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    candidates_per_comparison__gte=MIN_CANDIDATES,
                    candidates_per_comparison__lte=MAX_CANDIDATES,
                ),
                name="project_k_from_2_to_9",
            ),
            models.CheckConstraint(condition=Q(overlap__gte=1), name="project_overlap_positive"),
            models.CheckConstraint(
                condition=Q(gold_share__gte=0, gold_share__lte=MAX_GOLD_SHARE),
                name="project_gold_share_bounded",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a tag that no prompt could have: a slip would leave the writing queue empty."""
        super().clean()
        known = self.pk is not None and self.tags.filter(name=self.demonstration_tag).exists()
        if self.demonstration_tag and not known:
            raise ValidationError({"demonstration_tag": _("This project has no such tag yet.")})


class Membership(models.Model):
    """An account's role in a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(_("role"), max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """One role for each account and project."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_project")
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.role}"


def new_pseudonym() -> str:
    """Return a random name that says nothing of the person behind it."""
    return f"a-{secrets.token_hex(6)}"


class Annotator(models.Model):
    """Whoever judges in one project: a person, an AI judge, a simulated one, an imported source.

    Outside the database an annotator is known by the pseudonym alone. The link to the account is
    the pseudonym's key; erasing a person removes the link and leaves the judgements.
    """

    class Kind(models.TextChoices):
        """Where the judgements come from."""

        PERSON = "person", _("person")
        AI = "ai", _("AI judge")
        SIMULATED = "simulated", _("simulated")
        IMPORTED = "imported", _("imported source")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="annotators")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="annotators"
    )
    name = models.CharField(max_length=120, blank=True)
    pseudonym = models.CharField(max_length=64, default=new_pseudonym, editable=False)
    provenance = models.JSONField(default=dict)
    guideline_read = models.PositiveIntegerField(
        default=0, db_default=0, help_text="the last version of the guidelines that was read"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """One annotator for each account and project; pseudonyms never repeat in a project."""

        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_annotator_per_account"),
            models.UniqueConstraint(fields=["project", "pseudonym"], name="pseudonym_unique"),
            models.UniqueConstraint(
                fields=["project", "kind", "name"],
                condition=~Q(kind="person"),
                name="named_source_unique",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.pseudonym

    @property
    def known_as(self) -> str:
        """Return the name by which the project's own people know it: a person's account name."""
        return self.user.username if self.user else str(self)


class Tag(models.Model):
    """A topic or slice from the project's own list."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=60)

    class Meta:
        """Names are unique in a project."""

        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "name"], name="tag_unique")
        ]

    def __str__(self) -> str:
        return self.name


class Guideline(models.Model):
    """One version of the text that annotators judge by; the next one follows, none changes."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField()
    text = models.TextField()
    html = models.TextField(editable=False)
    renderer_version = models.CharField(max_length=40, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Versions count up from 1."""

        ordering: ClassVar = ["version"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "version"], name="guideline_version_unique")
        ]

    def __str__(self) -> str:
        return f"{self.project} · v{self.version}"


class FlagSet(models.Model):
    """One version of the yes/no questions asked of each candidate: `[{"key", "label"}]`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="flag_sets")
    version = models.PositiveIntegerField()
    flags = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Versions count up from 1."""

        ordering: ClassVar = [F("version").asc()]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "version"], name="flag_set_version_unique")
        ]

    def __str__(self) -> str:
        return f"{self.project} · flags v{self.version}"
