"""Reads of the queue: the card that an annotator sees, and how much is left."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from labeling.domain.content import reply_text, text_of
from labeling.models import Comparison, Project

QUEUE_SIZE_KEPT_S = 30
SMALL_QUEUE = 1000  # is counted as fast as it is looked up, and people watch it end


@dataclass(frozen=True, slots=True)
class CardMessage:
    """One message of the conversation."""

    role: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class CardCandidate:
    """A candidate as an annotator may know it: its position, and its text."""

    position: int
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the project asks of a judgement besides the order; flags are keys with their labels."""

    strength_scale: int = 0
    ratings: bool = False
    confidence: bool = False
    demonstrations: bool = False
    flags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """All that the ranking page shows of one assignment. It holds no row id and no model name."""

    assignment_uid: UUID
    messages: tuple[CardMessage, ...]
    candidates: tuple[CardCandidate, ...]
    expires_at: datetime
    guideline_version: int
    done_today: int
    asked: Asked = Asked()


# What a card is made of, from an assignment `a`: a stored one, or one that a claim has just made.
# What it joins is found by primary keys and by the slots of one comparison.
CARD_COLUMNS = """
SELECT a.uid, a.expires_at, a.shown_order, p.messages, p.html, g.version,
       (SELECT jsonb_agg(jsonb_build_array(k.html, k.messages) ORDER BY s.slot)
          FROM labeling_comparisoncandidate s JOIN labeling_candidate k ON k.id = s.candidate_id
         WHERE s.comparison_id = a.comparison_id),
       (SELECT count(*) FROM labeling_judgement j
         WHERE j.annotator_id = a.annotator_id AND j.created_at >= %(today)s
           AND j.supersedes_id IS NULL),
       o.strength_scale, o.asks_ratings, o.asks_confidence, o.asks_demonstrations, f.flags
"""
CARD_JOINS = """
  JOIN labeling_comparison c ON c.id = a.comparison_id
  JOIN labeling_prompt p ON p.id = c.prompt_id
  JOIN labeling_project o ON o.id = c.project_id
  LEFT JOIN labeling_flagset f ON f.id = a.flag_set_id
  LEFT JOIN labeling_guideline g ON g.id = a.guideline_id
"""
_CARD = CARD_COLUMNS + "FROM labeling_assignment a" + CARD_JOINS + "WHERE a.id = %(assignment)s"


def start_of_today() -> datetime:
    """Return the last midnight in the time zone of whoever the request is for."""
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def card_of(assignment_id: int) -> Card:
    """Return the card of an assignment, its candidates in the order recorded for it."""
    with connection.cursor() as cursor:
        cursor.execute(_CARD, {"today": start_of_today(), "assignment": assignment_id})
        return card_from(cursor.fetchone())


def card_from(row: Sequence[Any]) -> Card:
    """Return the card that CARD_COLUMNS were selected for."""
    uid, expires_at, order, messages, html, version, slots, done, *asked = row
    order, messages, html, slots = map(_loaded, (order, messages, html, slots))
    return Card(
        assignment_uid=uid,
        messages=tuple(
            CardMessage(m["role"], piece, text_of(m))
            for m, piece in zip(messages, html, strict=True)
        ),
        candidates=tuple(
            CardCandidate(position, slots[slot][0], reply_text(slots[slot][1]))
            for position, slot in enumerate(order)
        ),
        expires_at=expires_at,
        guideline_version=version or 0,
        done_today=done,
        asked=asked_of(*asked),
    )


def asked_of(
    strength_scale: int, ratings: bool, confidence: bool, demonstrations: bool, flags: Any
) -> Asked:
    """Return what a project asks, its flag set's flags as keys with their labels."""
    labels = tuple((flag["key"], flag["label"]) for flag in _loaded(flags) or [])
    return Asked(strength_scale, ratings, confidence, demonstrations, labels)


def _loaded(value: Any) -> Any:
    """Return a JSON column's value: Django's connection hands raw cursors the text."""
    return json.loads(value) if isinstance(value, str) else value


def queue_size(project: Project) -> int:
    """Return how many comparisons still want a judgement; many are counted twice a minute only."""
    key = f"queue-size-{project.pk}"
    size = cache.get(key)
    if size is None:
        size = Comparison.objects.filter(project=project, open_slots__gt=0).count()
        if size > SMALL_QUEUE:
            cache.set(key, size, QUEUE_SIZE_KEPT_S)
    return int(size)
