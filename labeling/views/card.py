"""The card of the ranking page as HTML.

It is the answer to every step. All cards of K replies have one frame, in which only their own
values differ; rendering it took more time than writing the judgement. So the template is rendered
once for each kind of card, with marks where the values go, and every card fills them in.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from labeling.domain.uids import ordered_uid
from labeling.exceptions import PrefloopError
from labeling.selectors.queue import Asked, Card, CardCandidate, CardMessage
from labeling.templatetags.prefloop import letter
from labeling.views.line import points

_TEMPLATE = "labeling/_compare_card.html"
_DIGITS = "0123456789"
_DATA_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&"}
_MARK = "\0"  # no text that PostgreSQL kept can hold it


@dataclass(frozen=True)
class Revision:
    """A judgement on the card, to be said anew: its uid, and its fields as the form names them."""

    judgement_uid: UUID
    fields: list[tuple[str, str]]
    made_at: datetime


@dataclass(frozen=True)
class CardContext:
    """What the card's template needs and nothing that costs a query."""

    card: Card | None
    slug: str
    error: PrefloopError | None = None
    revision: Revision | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the template's variables; each rendering carries an idempotency key of its own."""
        context: dict[str, Any] = {"card": self.card, "slug": self.slug, "error": self.error}
        if self.card is not None:
            context |= _card_variables(self.card) | {"texts": _texts(self.card)}
        if self.revision is not None:
            context |= {"revision": self.revision, "fields": _as_data(self.revision.fields)}
        return context

    def as_html(self, csrf_token: str) -> str:
        """Return the card as HTML."""
        if self.card is None or self.error is not None or self.revision is not None:
            return render_to_string(_TEMPLATE, self.as_dict() | {"csrf_token": csrf_token})
        roles = tuple(message.role for message in self.card.messages)
        count = len(self.card.candidates)
        frame = _frame(get_language(), self.slug, roles, count, self.card.asked)
        values = _values(self.card) | {"csrf_token": csrf_token}
        return "".join(values[part] if n % 2 else part for n, part in enumerate(frame))


def _card_variables(card: Card) -> dict[str, Any]:
    """Return what depends on the card. Numbers go as texts: localizing each of them is dear."""
    label = _("Reply {name}")
    return {
        "key": ordered_uid().hex,
        "lease_s": _lease_s(card),
        "count": str(len(card.candidates)),
        "ranks": _DIGITS[1 : len(card.candidates) + 1],
        "asked": card.asked,
        "line": points(card.asked.strength_scale) if len(card.candidates) == 2 else [],
        "replies": [
            {
                "position": _DIGITS[candidate.position],
                "name": letter(candidate.position),
                "label": label.format(name=letter(candidate.position)),
                "html": candidate.html,
            }
            for candidate in card.candidates
        ],
    }


def _as_data(value: Any) -> str:
    """Return JSON that can stand inside a script element of type application/json."""
    return json.dumps(value, ensure_ascii=False).translate(_DATA_ESCAPES)


def _texts(card: Card) -> str:
    """Return the texts as they came, for the raw view: replies by position, then messages."""
    replies = [candidate.text for candidate in card.candidates]
    return _as_data({"replies": replies, "messages": [message.text for message in card.messages]})


def _lease_s(card: Card) -> str:
    return str(int((card.expires_at - timezone.now()).total_seconds()))


def _values(card: Card) -> dict[str, str]:
    """Return what one card puts into its frame; texts were sanitized when they came in."""
    values = {
        "uid": str(card.assignment_uid),
        "done_today": str(card.done_today),
        "key": ordered_uid().hex,
        "lease_s": _lease_s(card),
        "texts": _texts(card),
    }
    values |= {f"message {n}": message.html for n, message in enumerate(card.messages)}
    return values | {f"reply {reply.position}": reply.html for reply in card.candidates}


@lru_cache(maxsize=512)
def _frame(
    language: str | None, slug: str, roles: tuple[str, ...], count: int, asked: Asked
) -> list[str]:
    """Return the card's HTML cut at its values: pieces of HTML and names of values in turn."""

    def mark(name: str) -> Any:
        return f"{_MARK}{name}{_MARK}"

    card = Card(
        assignment_uid=mark("uid"),
        messages=tuple(CardMessage(r, mark(f"message {n}"), "") for n, r in enumerate(roles)),
        candidates=tuple(CardCandidate(n, mark(f"reply {n}"), "") for n in range(count)),
        expires_at=timezone.now(),
        guideline_version=0,
        done_today=mark("done_today"),
        asked=asked,
    )
    marks = {name: mark(name) for name in ("key", "lease_s", "csrf_token", "texts")}
    return render_to_string(_TEMPLATE, CardContext(card, slug).as_dict() | marks).split(_MARK)
