"""The writing queue: who gets which prompt, and what happens to a lease that runs out."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from labeling.exceptions import AssignmentEnded, InvalidInput, NotAllowed, NotFound
from labeling.models import AuditEvent, Project, Prompt, Role, User, WritingAssignment
from labeling.selectors.writing import WritingCard, writing_left
from labeling.services.projects import ensure_tags, publish_guideline, update_project
from labeling.services.writing import (
    claim_writing,
    expire_writing_leases,
    renew_writing,
    save_writing_draft,
    skip_writing,
)
from labeling.tasks import expire_leases
from tests.factories import make_member, make_project, make_prompts, make_user, owner_of

pytestmark = pytest.mark.django_db


def claimed(actor: User, project: Project) -> WritingCard:
    """Return the card of the actor's lease, a new one where none is held."""
    card = claim_writing(actor=actor, project=project)
    assert card is not None
    return card


def run_out(assignment_uid: UUID) -> None:
    """Let a lease end in the past."""
    past = timezone.now() - timedelta(seconds=1)
    WritingAssignment.objects.filter(uid=assignment_uid).update(expires_at=past)


def writer_counts(project: Project) -> list[int]:
    """Return each prompt's number of writers, oldest prompt first."""
    return list(Prompt.objects.filter(project=project).values_list("writer_count", flat=True))


def _project(prompts: int = 2, each: int = 1) -> Project:
    project = make_project(demonstrations_per_prompt=each)
    make_prompts(project, prompts, candidates=0)
    return project


def _prompt_of(card: WritingCard) -> int:
    return WritingAssignment.objects.get(uid=card.assignment_uid).prompt_id


def test_claim_shows_the_conversation_and_returns_the_same_prompt_to_a_second_tab() -> None:
    project = _project()
    person = make_member(project)
    first, second = claimed(person, project), claimed(person, project)
    assert first.assignment_uid == second.assignment_uid
    prompt = Prompt.objects.get(pk=_prompt_of(first))
    assert [m.text for m in first.messages] == [prompt.messages[0]["content"][0]["text"]]
    assert first.guideline_version == 1
    assert writer_counts(project) == [1, 0]


def test_claim_gives_what_fewest_have_written_for_and_nobody_the_same_twice() -> None:
    """Two prompts, two replies each: breadth first, and after two each person is through."""
    project = _project(prompts=2, each=2)
    first, second = make_member(project), make_member(project)
    got = {}
    for person in (first, second):
        mine = []
        for _ in range(2):
            card = claimed(person, project)
            mine.append(_prompt_of(card))
            WritingAssignment.objects.filter(uid=card.assignment_uid).update(state="written")
        assert claim_writing(actor=person, project=project) is None
        got[person] = mine
    assert got[first] == sorted(got[first])
    assert set(got[first]) == set(got[second])
    assert writer_counts(project) == [2, 2]


def test_claim_never_asks_for_more_than_is_wanted() -> None:
    project = _project(prompts=1)
    claimed(make_member(project), project)
    assert claim_writing(actor=make_member(project), project=project) is None
    update_project(actor=owner_of(project), project=project, demonstrations_per_prompt=2)
    assert claimed(make_member(project), project)


def test_claim_passes_withdrawn_prompts_and_those_of_another_tag() -> None:
    project = _project(prompts=3)
    withdrawn, untagged, tagged = Prompt.objects.filter(project=project)
    tag = ensure_tags(project=project, names=["history"])["history"]
    for prompt in (withdrawn, tagged):
        prompt.tags.add(tag)
    Prompt.objects.filter(pk=withdrawn.pk).update(state="withdrawn")
    update_project(actor=owner_of(project), project=project, demonstration_tag="history")
    assert writing_left(project) == 1
    card = claimed(make_member(project), project)
    assert _prompt_of(card) == tagged.pk
    assert (card.left, writing_left(project)) == (0, 0)
    assert claim_writing(actor=make_member(project), project=project) is None
    assert untagged.writer_count == 0


def test_tag_that_no_prompt_has_is_refused() -> None:
    project = _project()
    with pytest.raises(InvalidInput) as caught:
        update_project(actor=owner_of(project), project=project, demonstration_tag="histroy")
    assert list(caught.value.errors) == ["demonstration_tag"]
    with pytest.raises(InvalidInput):
        make_project(demonstration_tag="history")


def test_claim_asks_nobody_where_the_project_asks_for_none() -> None:
    project = make_project()
    make_prompts(project, 1, candidates=0)
    assert claim_writing(actor=make_member(project), project=project) is None
    assert writing_left(project) == 0


def test_claim_is_refused_to_who_may_not_judge_and_in_archived_projects() -> None:
    project = _project()
    with pytest.raises(NotAllowed):
        claim_writing(actor=make_member(project, Role.VIEWER), project=project)
    with pytest.raises(NotFound):
        claim_writing(actor=make_user(), project=project)
    Project.objects.filter(pk=project.pk).update(is_archived=True)
    project.refresh_from_db()
    with pytest.raises(NotAllowed):
        claim_writing(actor=make_member(project), project=project)


def test_expired_lease_goes_to_others_and_may_come_back() -> None:
    project = _project(prompts=1)
    person, other = make_member(project), make_member(project)
    card = claimed(person, project)
    run_out(card.assignment_uid)
    taken = claimed(other, project)  # the claim itself ends what is due
    assert writer_counts(project) == [1]
    run_out(taken.assignment_uid)
    expire_leases()
    assert writer_counts(project) == [0]
    assert expire_writing_leases() == 0
    assert claimed(person, project).assignment_uid != card.assignment_uid


def test_lease_that_is_due_but_not_ended_is_renewed_by_its_holder() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    run_out(card.assignment_uid)
    again = claimed(person, project)
    assert again.assignment_uid == card.assignment_uid
    assert again.expires_at > timezone.now()


def test_skip_needs_a_reason_and_gives_the_prompt_to_others() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    with pytest.raises(InvalidInput):
        skip_writing(actor=person, assignment_uid=card.assignment_uid, reason=" ")
    skip_writing(actor=person, assignment_uid=card.assignment_uid, reason=" too hard ")
    assert WritingAssignment.objects.get().skip_reason == "too hard"
    assert writer_counts(project) == [0]
    assert claim_writing(actor=person, project=project) is None
    assert claimed(make_member(project), project)
    assert AuditEvent.objects.get(verb="writing.skip").data == {"reason": "too hard"}
    with pytest.raises(AssignmentEnded):
        skip_writing(actor=person, assignment_uid=card.assignment_uid, reason="again")


def test_skip_after_the_lease_takes_no_place_away() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    run_out(card.assignment_uid)
    claimed(make_member(project), project)
    skip_writing(actor=person, assignment_uid=card.assignment_uid, reason="too hard")
    assert writer_counts(project) == [1]


def test_renew_puts_off_the_end_until_the_lease_is_lost() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    run_out(card.assignment_uid)
    assert renew_writing(actor=person, assignment_uid=card.assignment_uid) > card.expires_at
    run_out(card.assignment_uid)
    expire_writing_leases()
    with pytest.raises(AssignmentEnded):
        renew_writing(actor=person, assignment_uid=card.assignment_uid)


def test_draft_comes_back_with_its_revision_and_renews_the_lease() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    card = claimed(person, project)
    run_out(card.assignment_uid)
    for text, revision in (("Half", 1), ("Half a", 2), ("Half a", 2)):
        uid = card.assignment_uid
        assert save_writing_draft(actor=person, assignment_uid=uid, text=text) == revision
    again = claimed(person, project)
    assert (again.draft, again.draft_revision) == ("Half a", 2)
    assert WritingAssignment.objects.get().expires_at > timezone.now()


def test_draft_is_its_writers_alone_and_ends_with_the_lease() -> None:
    project = _project(prompts=1)
    person = make_member(project)
    uid = claimed(person, project).assignment_uid
    with pytest.raises(NotFound):
        save_writing_draft(actor=make_member(project), assignment_uid=uid, text="Mine")
    for text in ("a\x00", "a" * 200_001):
        with pytest.raises(InvalidInput) as caught:
            save_writing_draft(actor=person, assignment_uid=uid, text=text)
        assert list(caught.value.errors) == ["text"]
    run_out(uid)
    expire_writing_leases()
    with pytest.raises(AssignmentEnded):
        save_writing_draft(actor=person, assignment_uid=uid, text="Half")


def test_guidelines_are_those_of_the_claim() -> None:
    project = _project(prompts=2)
    publish_guideline(actor=owner_of(project), project=project, text="Be brief.")
    assert claimed(make_member(project), project).guideline_version == 2
