"""Projects: settings checked, guidelines versioned, and never without an owner."""

import pytest

from labeling.exceptions import InvalidInput
from labeling.models import AuditEvent, Guideline, Membership, Role
from labeling.services.projects import (
    create_project,
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
