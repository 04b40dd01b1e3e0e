"""Writes about projects: their settings, members, guidelines, flags and annotators."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypedDict

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext as _

from labeling.domain.rendering import RENDERER_VERSION, render_text
from labeling.exceptions import InvalidInput
from labeling.models import (
    Annotator,
    FlagSet,
    Guideline,
    Membership,
    Project,
    Role,
    Tag,
    User,
)
from labeling.services import audit

SETTINGS = (
    "name",
    "description",
    "candidates_per_comparison",
    "overlap",
    "lease_minutes",
    "strength_scale",
    "asks_ratings",
    "asks_confidence",
    "asks_demonstrations",
    "demonstrations_per_prompt",
    "demonstration_tag",
    "validation_share",
    "test_share",
    "gold_share",
    "shows_agreement",
    "opens_playground",
)
MAX_FLAGS, MAX_FLAG_LABEL = 20, 120
FLAG_KEY: Final = re.compile(r"[a-z0-9_]{1,60}")


class Flag(TypedDict):
    """A yes/no question asked of each candidate: a key that stays, and what people read."""

    key: str
    label: str


# InstructGPT's metadata, the part that any project needs (Table 3 of the paper). The labels are
# stored in English, and shown in the reader's language as long as nobody changes them.
DEFAULT_FLAGS: Final[list[Flag]] = [
    {"key": "instruction", "label": gettext_noop("Fails to follow the instruction")},
    {"key": "hallucination", "label": gettext_noop("Hallucination")},
    {"key": "inappropriate", "label": gettext_noop("Inappropriate")},
    {"key": "harmful_advice", "label": gettext_noop("Harmful advice")},
    {"key": "constraint", "label": gettext_noop("Violates a stated constraint")},
]


def _checked(project: Project) -> Project:
    try:
        project.full_clean()
    except ValidationError as error:
        raise InvalidInput(_("Some settings can't be taken."), errors=error.message_dict) from None
    return project


@transaction.atomic
def create_project(*, actor: User, name: str, slug: str, **settings: Any) -> Project:
    """Make a project with its first guideline and flag set; the actor becomes its owner."""
    project = _checked(Project(name=name, slug=slug, created_by=actor, **settings))
    project.save()
    Membership.objects.create(project=project, user=actor, role=Role.OWNER)
    publish_flag_set(actor=actor, project=project, flags=DEFAULT_FLAGS)
    publish_guideline(
        actor=actor,
        project=project,
        text=_("Rank the replies from best to worst. Equally good replies share a rank."),
    )
    audit.record(actor=actor, project=project, verb="project.create", obj=project)
    return project


@transaction.atomic
def update_project(*, actor: User, project: Project, **settings: Any) -> Project:
    """Change settings of a project; those of running comparisons stay as they were made."""
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise InvalidInput(
            _("There is no such setting."), errors={k: [_("Unknown.")] for k in unknown}
        )
    before = {key: getattr(project, key) for key in settings}
    for key, value in settings.items():
        setattr(project, key, value)
    _checked(project).save()
    if project.asks_ratings and not FlagSet.objects.filter(project=project).exists():
        publish_flag_set(actor=actor, project=project, flags=DEFAULT_FLAGS)
    audit.record(
        actor=actor, project=project, verb="project.update", obj=project, data={"before": before}
    )
    return project


@transaction.atomic
def set_member(*, actor: User, project: Project, user: User, role: Role) -> Membership:
    """Give an account a role in the project, in place of the one it had.

    Raises InvalidInput where that would take the last owner away.
    """
    if role != Role.OWNER:
        _keep_an_owner(project, without=user)
    membership, _ = Membership.objects.update_or_create(
        project=project, user=user, defaults={"role": role}
    )
    audit.record(
        actor=actor,
        project=project,
        verb="member.set",
        obj=membership,
        data={"user": user.pk, "role": role},
    )
    return membership


@transaction.atomic
def remove_member(*, actor: User, membership: Membership) -> None:
    """Take an account out of a project; its judgements stay. The last owner can't be removed."""
    project = membership.project
    _keep_an_owner(project, without=membership.user)
    audit.record(
        actor=actor,
        project=project,
        verb="member.remove",
        obj=membership,
        data={"user": membership.user_id, "role": membership.role},
    )
    membership.delete()


def _keep_an_owner(project: Project, *, without: User) -> None:
    """Raise InvalidInput where the project would be left without an owner."""
    owners = Membership.objects.select_for_update().filter(project=project, role=Role.OWNER)
    if [owner.user_id for owner in owners] == [without.pk]:
        raise InvalidInput(
            _("A project keeps at least one owner. Make someone else owner first."),
            errors={"role": [_("This is the last owner.")]},
        )


@transaction.atomic
def publish_guideline(*, actor: User, project: Project, text: str) -> Guideline:
    """Add the next version of the guidelines; every later judgement refers to it."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    latest = Guideline.objects.filter(project=project).aggregate(Max("version"))["version__max"]
    guideline = Guideline.objects.create(
        project=project,
        version=(latest or 0) + 1,
        text=text,
        html=render_text(text),
        renderer_version=RENDERER_VERSION,
        created_by=actor,
    )
    audit.record(actor=actor, project=project, verb="guideline.publish", obj=guideline)
    return guideline


@transaction.atomic
def mark_guideline_read(*, actor: User, project: Project, version: int) -> None:
    """Remember the newest version of the guidelines that the actor has read in the project."""
    if not Guideline.objects.filter(project=project, version=version).exists():
        sentence = gettext("There is no such version of the guidelines.")
        raise InvalidInput(sentence, errors={"version": [sentence]})
    annotator = annotator_of(user=actor, project=project)
    rows = Annotator.objects.filter(pk=annotator.pk, guideline_read__lt=version)
    if rows.update(guideline_read=version):
        audit.record(
            actor=actor,
            project=project,
            verb="guideline.read",
            obj=annotator,
            data={"version": version},
        )


@transaction.atomic
def publish_flag_set(*, actor: User, project: Project, flags: Sequence[Flag]) -> FlagSet:
    """Add the next version of the flags, or return the latest where it is the same.

    A card keeps the version that it was leased with. Raises InvalidInput for keys that are no
    plain names or stand twice, and for labels that say nothing.
    """
    checked = [Flag(key=flag["key"], label=flag["label"].strip()) for flag in flags]
    _check_flags(checked)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    latest = FlagSet.objects.filter(project=project).order_by("-version").first()
    if latest is not None and latest.flags == checked:
        return latest
    version = latest.version + 1 if latest else 1
    flag_set = FlagSet.objects.create(project=project, version=version, flags=checked)
    audit.record(actor=actor, project=project, verb="flag_set.publish", obj=flag_set)
    return flag_set


def _check_flags(flags: Sequence[Flag]) -> None:
    reasons = []
    if len(flags) > MAX_FLAGS:
        reasons.append(gettext("At most {limit} flags.").format(limit=MAX_FLAGS))
    keys = Counter(flag["key"] for flag in flags)
    for flag in flags:
        if not FLAG_KEY.fullmatch(flag["key"]):
            reasons.append(
                gettext("{key}: a key is made of small letters, digits and underscores.").format(
                    key=repr(flag["key"][:60])
                )
            )
        if not 1 <= len(flag["label"]) <= MAX_FLAG_LABEL:
            reasons.append(
                gettext("{key}: needs a label of 1 to {limit} characters.").format(
                    key=repr(flag["key"][:60]), limit=MAX_FLAG_LABEL
                )
            )
    for key in (key for key, count in keys.items() if count > 1):
        reasons.append(gettext("{key}: stands twice.").format(key=repr(key[:60])))
    if reasons:
        raise InvalidInput(gettext("The flags can't be taken."), errors={"flags": reasons})


def annotator_of(*, user: User, project: Project) -> Annotator:
    """Return the annotator that an account is in a project, made at its first need."""
    annotator, _ = Annotator.objects.get_or_create(
        project=project, user=user, defaults={"kind": Annotator.Kind.PERSON}
    )
    return annotator


def named_annotator(*, project: Project, kind: str, name: str) -> Annotator:
    """Return the AI judge, simulated annotator or imported source of that name."""
    annotator, _ = Annotator.objects.get_or_create(project=project, kind=kind, name=name)
    return annotator


def ensure_tags(*, project: Project, names: Iterable[str]) -> dict[str, Tag]:
    """Return the project's tags of these names, adding those that are new to its list."""
    wanted = set(names)
    if not wanted:
        return {}
    Tag.objects.bulk_create(
        [Tag(project=project, name=name) for name in sorted(wanted)], ignore_conflicts=True
    )
    return {tag.name: tag for tag in Tag.objects.filter(project=project, name__in=wanted)}
