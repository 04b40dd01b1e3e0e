"""Projects: settings checked, guidelines versioned, and never without an owner."""

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import AuditEvent, FlagSet, Guideline, Membership, Role
from labeling.services.projects import (
    Flag,
    create_project,
    publish_flag_set,
    publish_guideline,
    remove_member,
    set_member,
    update_project,
)
from tests.factories import make_member, make_project, make_user, owner_of

pytestmark = pytest.mark.django_db


def test_create_project_makes_the_actor_owner_and_names_wrong_settings() -> None:
    person = make_user()
    project = create_project(actor=person, name="One", slug="one")
    assert owner_of(project) == person
    assert project.guidelines.get().version == 1
    assert len(project.flag_sets.get().flags) == 5
    with pytest.raises(InvalidInput) as caught:
        create_project(actor=person, name="Two", slug="one", candidates_per_comparison=10)
    assert set(caught.value.errors) == {"slug", "candidates_per_comparison"}


def test_update_project_records_what_was_before_and_refuses_unknown_settings() -> None:
    project = make_project(overlap=1)
    update_project(actor=owner_of(project), project=project, overlap=3)
    event = AuditEvent.objects.get(project=project, verb="project.update")
    assert event.data == {"before": {"overlap": 1}}
    with pytest.raises(InvalidInput) as caught:
        update_project(actor=owner_of(project), project=project, slug="other")
    assert set(caught.value.errors) == {"slug"}


def test_publish_guideline_adds_a_version_and_keeps_the_old_text() -> None:
    project = make_project()
    first = Guideline.objects.get(project=project)
    second = publish_guideline(actor=owner_of(project), project=project, text="**New** <b>rule</b>")
    assert second.version == 2
    assert "<strong>New</strong>" in second.html
    assert "<b>" not in second.html
    assert Guideline.objects.get(pk=first.pk).text == first.text


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ANNOTATOR])
def test_set_member_keeps_the_last_owner(role: Role) -> None:
    project = make_project()
    owner = owner_of(project)
    with pytest.raises(InvalidInput):
        set_member(actor=owner, project=project, user=owner, role=role)
    make_member(project, Role.OWNER)
    set_member(actor=owner, project=project, user=owner, role=role)
    assert Membership.objects.get(project=project, user=owner).role == role


def test_remove_member_keeps_the_last_owner() -> None:
    project = make_project()
    owner = owner_of(project)
    membership = Membership.objects.get(project=project, user=owner)
    with pytest.raises(InvalidInput):
        remove_member(actor=owner, membership=membership)
    make_member(project, Role.OWNER)
    remove_member(actor=owner, membership=membership)
    assert not Membership.objects.filter(project=project, user=owner).exists()


def test_publish_flag_set_adds_a_version_where_something_changed() -> None:
    project = make_project()
    owner = owner_of(project)
    flags: list[Flag] = [{"key": "rude", "label": " Rude "}, {"key": "long_1", "label": "太长"}]
    second = publish_flag_set(actor=owner, project=project, flags=flags)
    assert (second.version, second.flags[0]["label"]) == (2, "Rude")
    assert publish_flag_set(actor=owner, project=project, flags=flags) == second
    assert publish_flag_set(actor=owner, project=project, flags=[]).version == 3
    assert len(FlagSet.objects.get(project=project, version=1).flags) == 5
    assert AuditEvent.objects.filter(project=project, verb="flag_set.publish").count() == 3


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([("Rude", "Rude")], "small letters"),
        ([("", "Rude")], "small letters"),
        ([("rude" * 20, "Rude")], "small letters"),
        ([("rude", " ")], "label"),
        ([("rude", "x" * 121)], "label"),
        ([("rude", "Rude"), ("rude", "Impolite")], "twice"),
        ([(f"f{n}", "Flag") for n in range(21)], "At most 20"),
    ],
)
def test_publish_flag_set_says_what_is_wrong(flags: list[tuple[str, str]], reason: str) -> None:
    project = make_project()
    made = [Flag(key=key, label=label) for key, label in flags]
    with pytest.raises(InvalidInput) as caught:
        publish_flag_set(actor=owner_of(project), project=project, flags=made)
    assert reason in caught.value.errors["flags"][0]
    assert FlagSet.objects.filter(project=project).count() == 1


def test_update_project_that_asks_for_ratings_has_flags_to_ask() -> None:
    project = make_project()
    FlagSet.objects.filter(project=project).delete()
    update_project(actor=owner_of(project), project=project, asks_confidence=True)
    assert not FlagSet.objects.filter(project=project).exists()
    update_project(actor=owner_of(project), project=project, asks_ratings=True)
    assert len(FlagSet.objects.get(project=project).flags) == 5
    publish_flag_set(actor=owner_of(project), project=project, flags=[])
    update_project(actor=owner_of(project), project=project, asks_ratings=True)
    assert FlagSet.objects.filter(project=project).count() == 2
