"""Messages that people let a project use: taken once, counted, held, decided, taken back."""

import pytest

from labeling.domain.records import Reply
from labeling.domain.splits import split_of
from labeling.exceptions import InvalidInput, NotFound
from labeling.models import (
    Annotator,
    AuditEvent,
    Comparison,
    OfferedPrompt,
    Project,
    Prompt,
    User,
)
from labeling.selectors.offers import held_offers, offers_of
from labeling.services import offers
from labeling.services.accounts import TOMBSTONE, erase_user
from labeling.services.comparisons import queue_comparisons
from labeling.services.offers import (
    Offer,
    OfferDecided,
    decide_offer,
    offer_prompt,
    withdraw_all_offers,
    withdraw_offer,
)
from labeling.services.prompts import ensure_candidates, ensure_demonstrations
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_admin, make_member, make_project, make_prompt

pytestmark = pytest.mark.django_db
SENTENCE = "What I ask may be kept."
LONG = "Summarize this article for a child of ten years, in three sentences: " + "word " * 30


@pytest.fixture
def project() -> Project:
    return make_project()


def offer(
    project: Project, actor: User, text: str = "Why is the sky blue?", consent: str = SENTENCE
) -> Offer:
    messages = [{"role": "user", "content": text}]
    return offer_prompt(actor=actor, project=project, messages=messages, consent=consent)


def test_a_text_joins_the_pool_under_its_authors_pseudonym(project):
    manager = make_member(project, "manager")
    found = offer(project, manager)
    assert found.outcome == "taken"
    prompt = Prompt.objects.get(project=project)
    assert found.row.prompt == prompt
    assert prompt.author_key == Annotator.objects.get(user=manager).pseudonym
    assert manager.username not in prompt.author_key
    assert [tag.name for tag in prompt.tags.all()] == ["playground"]
    assert "sky" in prompt.html[0]
    assert (found.row.source, found.row.consent) == ("playground", SENTENCE)
    assert AuditEvent.objects.get(verb="prompt.offer").actor == manager


def test_all_texts_of_a_person_fall_into_one_split(project):
    manager = make_member(project, "manager")
    for number in range(5):
        assert offer(project, manager, f"Question number {number}?").outcome == "taken"
    keys = set(Prompt.objects.filter(project=project).values_list("group__key", flat=True))
    assert len({split_of(key, validation_share=0.3, test_share=0.3) for key in keys}) == 1
    assert len(keys) == 1


def test_nothing_is_kept_without_consent_or_without_a_text(project):
    manager = make_member(project, "manager")
    for text, consent, field in [("Why?", "", "consent"), (" ", SENTENCE, "prompt")]:
        with pytest.raises(InvalidInput) as refused:
            offer(project, manager, text, consent)
        assert field in refused.value.errors
    with pytest.raises(InvalidInput, match="prompt"):
        offer(project, manager, "x" * (offers.MAX_TEXT + 1))
    assert not OfferedPrompt.objects.exists()


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("Why is the sky blue?", "why is  the sky BLUE?", "known"),
        (LONG + "In English.", LONG + "In French, please.", "known"),
        ("Why is the sky blue?", "Why is the sea blue?", "taken"),
    ],
)
def test_what_begins_alike_is_taken_once_of_whomever(project, first, second, outcome):
    assert offer(project, make_member(project, "manager"), first).outcome == "taken"
    assert offer(project, make_member(project, "manager"), second).outcome == outcome
    assert Prompt.objects.count() == 1 + (outcome == "taken")


def test_a_prompt_that_was_imported_is_known_and_stays_nobodys(project):
    prompt = make_prompt(project, "Why is the sky blue?")
    assert offer(project, make_member(project, "manager")).outcome == "known"
    prompt.refresh_from_db()
    assert prompt.author_key == ""


def test_other_projects_do_not_count(project):
    manager = make_member(project, "manager")
    other = make_project()
    make_member(other, "manager", manager)
    assert [offer(p, manager).outcome for p in (project, other)] == ["taken", "taken"]


def test_at_most_so_many_of_one_person(project, monkeypatch):
    monkeypatch.setattr(offers, "MOST_OF_AUTHOR", 2)
    manager, other = make_member(project, "manager"), make_member(project, "manager")
    found = [offer(project, manager, f"Number {number}?").outcome for number in range(3)]
    assert found == ["taken", "taken", "enough"]
    assert offer(project, other, "Number 2?").outcome == "taken"
    withdraw_offer(actor=manager, project=project, pk=offers_of(project, manager)[0].pk)
    assert offer(project, manager, "Number 3?").outcome == "taken"


def test_what_seems_personal_waits_for_a_manager(project):
    author, manager = make_member(project, "manager"), make_member(project, "manager")
    held = offer(project, author, "Write to anna@example.org, IBAN GB82WEST12345698765432").row
    assert (held.state, held.personal_data) == ("held", ["email", "iban"])
    assert not Prompt.objects.exists()
    assert list(held_offers(project)) == [held]
    refused = offer(project, author, "Call +49 30 901820 for me").row
    decide_offer(actor=manager, project=project, pk=held.pk, take=True)
    decide_offer(actor=manager, project=project, pk=refused.pk, take=False)
    assert Prompt.objects.get().offers.get() == held
    assert not held_offers(project).exists()
    assert {"offer.take", "offer.refuse"} <= set(AuditEvent.objects.values_list("verb", flat=True))
    with pytest.raises(OfferDecided):
        decide_offer(actor=manager, project=project, pk=held.pk, take=False)
    assert offer(project, author, "Call +49 30 901820 for me").outcome == "known"


def test_a_held_text_that_was_imported_meanwhile_takes_nothing_out_of_the_pool(project):
    author, manager = make_member(project, "manager"), make_member(project, "manager")
    held = offer(project, author, "Write to anna@example.org").row
    prompt = make_prompt(project, "Write to anna@example.org")
    row = decide_offer(actor=manager, project=project, pk=held.pk, take=True)
    assert (row.state, row.prompt) == ("taken", None)
    assert AuditEvent.objects.get(verb="offer.take").data == {"known": True}
    withdraw_offer(actor=author, project=project, pk=row.pk)
    erase_user(actor=make_admin(), user=author)
    found = Prompt.objects.get()
    assert (found.pk, found.state, found.messages) == (prompt.pk, "active", prompt.messages)


def test_a_held_text_of_ones_own_comes_back_once_it_is_taken_again(project):
    author, manager = make_member(project, "manager"), make_member(project, "manager")
    for _ in range(2):
        held = offer(project, author, "Write to anna@example.org").row
        decide_offer(actor=manager, project=project, pk=held.pk, take=True)
        assert Prompt.objects.get().state == "active"
        withdraw_offer(actor=author, project=project, pk=held.pk)
        assert Prompt.objects.get().state == "withdrawn"


def test_taken_back_it_is_asked_of_nobody_and_its_text_is_gone(project):
    author = make_member(project, "manager")
    row = offer(project, author).row
    prompt = Prompt.objects.get()

    said = [{"role": "assistant", "content": [{"type": "text", "text": str(n)}]} for n in range(4)]
    ensure_candidates(replies=[(prompt, Reply([one], ())) for one in said])
    queue_comparisons(actor=None, project=project, prompt_ids=[prompt.pk], overlap=1, size=4)
    withdraw_offer(actor=author, project=project, pk=row.pk)
    row.refresh_from_db()
    prompt.refresh_from_db()
    assert (row.state, row.messages, prompt.state) == ("withdrawn", [], "withdrawn")
    assert Comparison.objects.get(prompt=prompt).state == Comparison.State.WITHDRAWN
    assert not offers_of(project, author).exists()


def test_what_was_taken_back_may_be_given_again_by_its_author_alone(project):
    author, other = make_member(project, "manager"), make_member(project, "manager")
    row = offer(project, author).row
    assert withdraw_all_offers(actor=author, project=project) == 1
    assert withdraw_all_offers(actor=author, project=project) == 0
    assert offer(project, other).outcome == "known"
    again = offer(project, author)
    assert (again.outcome, again.row.prompt) == ("taken", row.prompt)
    assert Prompt.objects.get().state == "active"


def test_nobody_takes_back_what_is_anothers(project):
    row = offer(project, make_member(project, "manager")).row
    with pytest.raises(NotFound):
        withdraw_offer(actor=make_member(project, "owner"), project=project, pk=row.pk)
    with pytest.raises(NotFound):
        withdraw_offer(actor=row.author, project=make_project(), pk=row.pk)


def test_erasing_a_person_erases_what_they_gave_and_redacts_what_held_it(project):
    author = make_member(project, "manager")
    row, other = offer(project, author).row, offer(project, author, "Call +49 30 901820").row
    reply = [{"role": "assistant", "content": [{"type": "text", "text": "It scatters."}]}]
    ensure_demonstrations(rows=[(Prompt.objects.get(), reply)])
    snapshot = freeze_snapshot(actor=None, project=project, kind="demonstrations")
    assert erase_user(actor=make_admin(), user=author) == [snapshot.pk]
    prompt = Prompt.objects.get()
    assert prompt.state == "withdrawn"
    assert TOMBSTONE in str(prompt.messages)
    assert "sky" not in str(prompt.messages) + str(prompt.html)
    for given in (row, other):
        given.refresh_from_db()
        assert (given.state, given.messages, given.author) == ("withdrawn", [], None)
