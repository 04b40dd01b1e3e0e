"""Prompts that people offer from where they try models: taken, held for a manager, withdrawn.

InstructGPT's prompts came from its Playground (2203.02155, 3.2 and A): people were told so, texts
that begin alike were taken once, at most 200 of a person, splits were made by the person, and
personal data was filtered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.content import ContentError, content_hash, parse_prompt, text_of
from labeling.domain.personal_data import personal_data
from labeling.domain.prefixes import begins_like_any, head_hash
from labeling.domain.records import Record
from labeling.domain.rendering import render_messages
from labeling.exceptions import Conflict, InvalidInput, NotFound
from labeling.language import said
from labeling.models import Comparison, OfferedPrompt, Project, Prompt, User
from labeling.models.prompts import State as TextState
from labeling.services import audit
from labeling.services.comparisons import withdraw_comparison
from labeling.services.projects import annotator_of
from labeling.services.prompts import ensure_prompts

State = OfferedPrompt.State
MOST_OF_AUTHOR: Final = 200
MAX_TEXT: Final = 20_000
SOURCE_TAG: Final = "playground"


class OfferDecided(Conflict):
    """Somebody else was first, or the author took the offer back."""

    code = "offer_decided"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What became of an offer; `row` is None where the text was there already, or enough were."""

    outcome: str  # taken, held, known or enough
    row: OfferedPrompt | None = None


@transaction.atomic
def offer_prompt(*, actor: User, project: Project, messages: Any, consent: str) -> Offer:
    """Let the project use a text of the actor's, who agreed to the sentence `consent`.

    What seems to hold personal data waits for a manager. Raises InvalidInput.
    """
    if not consent:
        text = _("Nothing is kept without your consent.")
        raise InvalidInput(text, errors={"consent": [text]})
    messages, text = _read(messages)
    # One at a time, so that neither the limit nor a double slips through.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    key = annotator_of(user=actor, project=project).pseudonym
    if _is_known(project, messages, text, key):
        return Offer(outcome="known")
    own = OfferedPrompt.objects.filter(
        project=project, author_key=key, state__in=OfferedPrompt.STANDING
    )
    if own.count() >= MOST_OF_AUTHOR:
        return Offer(outcome="enough")
    kinds = sorted({found.kind for found in personal_data(text)})
    row = OfferedPrompt.objects.create(
        project=project,
        author=actor,
        author_key=key,
        consent=consent,
        messages=messages,
        content_hash=content_hash(messages),
        head_hash=head_hash(text),
        state=State.HELD if kinds else State.TAKEN,
        personal_data=kinds,
    )
    if row.state == State.TAKEN:
        _add_to_pool(row)
    _record(row, actor, "prompt.offer", {"state": row.state, "personal_data": kinds})
    return Offer(outcome=row.state, row=row)


def _read(messages: Any) -> tuple[list[dict[str, Any]], str]:
    """Return the messages in their canonical form, and the text that is compared."""
    try:
        parsed = parse_prompt(messages)
    except ContentError as error:
        reason = said(error.reason)
        raise InvalidInput(_("This can't be a prompt."), errors={error.field: [reason]}) from None
    text = "\n\n".join(text_of(message) for message in parsed)
    if len(text) > MAX_TEXT:
        reason = _("Use at most {count} characters.").format(count=MAX_TEXT)
        raise InvalidInput(_("This can't be a prompt."), errors={"messages": [reason]})
    return parsed, text


def _is_known(project: Project, messages: Sequence[dict[str, Any]], text: str, key: str) -> bool:
    """Return whether the pool has the text, or an offer that was not withdrawn begins alike."""
    if _is_in_pool(project, content_hash(messages), key):
        return True
    alike = OfferedPrompt.objects.filter(project=project, head_hash=head_hash(text))
    others = alike.exclude(state=State.WITHDRAWN).values_list("messages", flat=True)
    return begins_like_any(
        text, ("\n\n".join(text_of(one) for one in messages) for messages in others)
    )


def _is_in_pool(project: Project, text_hash: str, key: str) -> bool:
    """Return whether the pool has the text; the author's own that was withdrawn may come back."""
    prompt = Prompt.objects.filter(project=project, content_hash=text_hash).first()
    if prompt is None:
        return False
    taken_back = prompt.offers.filter(author_key=key, state=State.WITHDRAWN).exists()
    return prompt.state == TextState.ACTIVE or not taken_back


def _add_to_pool(row: OfferedPrompt) -> None:
    """Make the offer a prompt of the project; its author is known by the pseudonym."""
    record = Record(prompt=row.messages, author=row.author_key, tags=(SOURCE_TAG,))
    prompts, _new = ensure_prompts(project=row.project, records=[record])
    row.prompt = prompts[row.content_hash]
    row.save(update_fields=["prompt"])
    Prompt.objects.filter(pk=row.prompt.pk).update(state=TextState.ACTIVE)


def _record(row: OfferedPrompt, actor: User | None, verb: str, data: dict[str, Any]) -> None:
    audit.record(actor=actor, project=row.project, verb=verb, obj=row, data=data)


def _locked(project: Project, pk: int) -> OfferedPrompt:
    row = OfferedPrompt.objects.select_for_update(of=("self",)).filter(project=project, pk=pk)
    found = row.select_related("project").first()
    if found is None:
        raise NotFound(_("There is no such text in this project."))
    return found


@transaction.atomic
def decide_offer(*, actor: User, project: Project, pk: int, take: bool) -> OfferedPrompt:
    """Take a held text into the pool, or refuse it. Raises OfferDecided if it is held no more.

    A prompt that came into the pool by another way meanwhile stays nobody's: whoever takes the
    offer back, or is erased, takes nothing out of the pool.
    """
    # Before the offer, as whoever imports locks it: the pool stays as it is found here.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    row = _locked(project, pk)
    if row.state != State.HELD:
        raise OfferDecided(_("It was decided already, or its author took it back."))
    row.state = State.TAKEN if take else State.REFUSED
    row.decided_by, row.decided_at = actor, timezone.now()
    row.save(update_fields=["state", "decided_by", "decided_at"])
    is_known = take and _is_in_pool(project, row.content_hash, row.author_key)
    if take and not is_known:
        _add_to_pool(row)
    said = {"known": True} if is_known else {}
    _record(row, actor, "offer.take" if take else "offer.refuse", said)
    return row


@transaction.atomic
def withdraw_offer(*, actor: User, project: Project, pk: int) -> OfferedPrompt:
    """Take back one of the actor's own texts. Raises NotFound for another's."""
    row = _locked(project, pk)
    if row.author_id != actor.pk:
        raise NotFound(_("There is no such text in this project."))
    if row.state != State.WITHDRAWN:
        _withdraw(row, actor)
    return row


@transaction.atomic
def withdraw_all_offers(*, actor: User, project: Project, author: User | None = None) -> int:
    """Take back all texts that the actor, or else the author, gave; returns how many."""
    rows = OfferedPrompt.objects.select_for_update(of=("self",)).select_related("project")
    rows = rows.filter(project=project, author=author or actor).exclude(state=State.WITHDRAWN)
    found = list(rows.order_by("pk"))
    for row in found:
        _withdraw(row, actor)
    return len(found)


def _withdraw(row: OfferedPrompt, actor: User) -> None:
    """Forget the text here, and take its prompt out of use: nobody is asked about it any more.

    What was judged and frozen of it before stays, as of any prompt that is withdrawn.
    """
    row.state, row.messages = State.WITHDRAWN, []
    row.save(update_fields=["state", "messages"])
    if row.prompt is not None:
        _ask_no_more(row.prompt, actor)
    _record(row, actor, "offer.withdraw", {})


def _ask_no_more(prompt: Prompt, actor: User) -> None:
    Prompt.objects.filter(pk=prompt.pk).update(state=TextState.WITHDRAWN)
    asked = Comparison.objects.filter(prompt=prompt, state=Comparison.State.OPEN)
    for comparison in asked.order_by("pk"):
        withdraw_comparison(actor=actor, comparison=comparison)


def erase_offers(*, actor: User, author: User, tombstone: str) -> None:
    """Put a tombstone in place of the texts that a person gave, in the erasure's transaction."""
    for prompt in Prompt.objects.filter(offers__author=author).distinct().order_by("pk"):
        _ask_no_more(prompt, actor)
        messages = parse_prompt(tombstone)
        Prompt.objects.filter(pk=prompt.pk).update(
            messages=messages,
            html=render_messages(messages),
            # Both were made from the text; what stands for the erased one is like no other.
            content_hash=content_hash([{"erased": prompt.pk}]),
            first_user_hash=content_hash([{"erased": prompt.pk}]),
        )
    OfferedPrompt.objects.filter(author=author).update(
        state=State.WITHDRAWN, messages=[], content_hash="", head_hash=""
    )
