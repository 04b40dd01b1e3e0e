"""The claim: which comparison an annotator gets next, and the lease on it.

An annotator sees the front of the queue, as a rule its very first row. Breadth first (a comparison
with more open slots comes before one that is nearly done), they meet what nobody has judged before
what they have judged themselves. Where all of the front is their own work, of which some have
hundreds of thousands of rows, the queue behind it is searched, and where that search ended is
remembered for a while: the next claim goes on from there. What comes new into the queue is not
missed: it stands in the front, or further behind, or waits for the next search from the start.

Gold items stand outside the queue. A die thrown before the claim says whether one is wanted; then
the same one statement looks for one that the annotator has not met, and at the front where there
is none. A project without a gold share asks exactly as if there were no gold.
"""

import random
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from django.core.cache import cache as store
from django.db import connection

from labeling.domain.uids import ordered_uid
from labeling.selectors.queue import CARD_COLUMNS, CARD_JOINS, Card, card_from, start_of_today

FRONT: Final = 100  # rows
SEARCH_KEPT_S: Final = 60.0
NOTHING_KEPT_S: Final = 10.0

# Asked by index for each comparison considered, mostly once: as a join the planner would read an
# annotator's whole history.
_NOT_OWN = """(SELECT 1 FROM labeling_assignment own
                WHERE own.comparison_id = c.id AND own.annotator_id = %(annotator)s
                  AND own.state IN ('leased', 'judged', 'skipped') LIMIT 1) IS NULL"""

_FRONT = f"""
    SELECT c.id, c.priority, c.open_slots
      FROM (SELECT id, priority, open_slots FROM labeling_comparison
             WHERE project_id = %(project)s AND open_slots > 0
             ORDER BY priority DESC, open_slots DESC, id LIMIT {{rows}}) AS front
      JOIN labeling_comparison c ON c.id = front.id
     WHERE c.open_slots > 0 AND {_NOT_OWN} {{unless}}
     ORDER BY front.priority DESC, front.open_slots DESC, front.id
     LIMIT 1
       FOR NO KEY UPDATE OF c SKIP LOCKED
"""  # noqa: S608 - constants

# Where nothing ordinary is left there is no gold either: whoever asks an empty queue again and
# again would get gold alone, and know it. A withdrawal of the item waits for this lease.
_PICK_MIXED = f"""
WITH gold AS (
    SELECT c.id, c.priority, c.open_slots
      FROM (SELECT comparison_id, random() AS die FROM labeling_golditem
             WHERE project_id = %(project)s AND state = 'active' ORDER BY die) AS drawn
      JOIN labeling_comparison c ON c.id = drawn.comparison_id
     WHERE c.state = 'gold' AND {_NOT_OWN}
       AND EXISTS (SELECT 1 FROM labeling_comparison waiting
                    WHERE waiting.project_id = %(project)s AND waiting.open_slots > 0)
     ORDER BY drawn.die
     LIMIT 1
       FOR SHARE OF c SKIP LOCKED
), front AS ({_FRONT.replace("{unless}", "AND NOT EXISTS (SELECT 1 FROM gold)")}), picked AS (
    SELECT *, true AS is_gold FROM gold UNION ALL SELECT *, false FROM front
)"""  # noqa: S608 - constants

_PICK_BEHIND = f"""
WITH picked AS (
    SELECT c.id, c.priority, c.open_slots FROM labeling_comparison c
     WHERE c.project_id = %(project)s AND c.open_slots > 0 AND {{behind}} AND {_NOT_OWN}
     ORDER BY c.priority DESC, c.open_slots DESC, c.id
     LIMIT 1
       FOR NO KEY UPDATE SKIP LOCKED
)"""  # noqa: S608 - constants

_TAKE_SLOT = """, taken AS (
    UPDATE labeling_comparison c SET open_slots = c.open_slots - 1
      FROM picked WHERE c.id = picked.id RETURNING c.id
)"""
_TAKE_SLOT_BUT_OF_GOLD = """, slot AS (
    UPDATE labeling_comparison c SET open_slots = c.open_slots - 1
      FROM picked WHERE c.id = picked.id AND NOT picked.is_gold
), taken AS (
    SELECT id FROM picked
)"""
_LEASE = """, leased AS (
    INSERT INTO labeling_assignment
        (uid, comparison_id, annotator_id, state, seat, skip_reason, shown_order, leased_at,
         expires_at, guideline_id, flag_set_id)
    SELECT %(uid)s, taken.id, %(annotator)s, 'leased',
           (SELECT count(*) FROM labeling_assignment o
             WHERE o.annotator_id = %(annotator)s AND o.state = 'leased' AND o.seat = 0),
           '',
           (SELECT to_jsonb(array_agg(s.slot ORDER BY random()))
              FROM labeling_comparisoncandidate s WHERE s.comparison_id = taken.id),
           now(), now() + make_interval(mins => %(minutes)s),
           (SELECT g.id FROM labeling_guideline g WHERE g.project_id = %(project)s
             ORDER BY g.version DESC LIMIT 1),
           (SELECT f.id FROM labeling_flagset f WHERE f.project_id = %(project)s
             ORDER BY f.version DESC LIMIT 1)
      FROM taken
    RETURNING *
)
"""
_PLACE = ", picked.priority, picked.open_slots, picked.id FROM leased a CROSS JOIN picked"
_LEASE_PICKED = _LEASE + CARD_COLUMNS + _PLACE + CARD_JOINS


@cache
def _in_front(rows: int, mixed: bool) -> str:
    """Return the claim among that many first rows, or among gold before them.

    The number is no parameter: not knowing it, the server would plan the claim anew each time.
    """
    if mixed:
        return _PICK_MIXED.format(rows=rows) + _TAKE_SLOT_BUT_OF_GOLD + _LEASE_PICKED
    picked = f"WITH picked AS ({_FRONT.format(rows=rows, unless='')})"
    return picked + _TAKE_SLOT + _LEASE_PICKED


def _behind(condition: str) -> str:
    return _PICK_BEHIND.format(behind=condition) + _TAKE_SLOT + _LEASE_PICKED


_FROM_THE_START = _behind("true")
# Three ranges of the queue's index, one after the other: an index can't be entered in the middle
# of an order that goes down by some columns and up by another.
_FROM_A_PLACE = (
    _behind("c.priority = %(priority)s AND c.open_slots = %(open_slots)s AND c.id >= %(id)s"),
    _behind("c.priority = %(priority)s AND c.open_slots < %(open_slots)s"),
    _behind("c.priority < %(priority)s"),
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a search ended: all before it was the annotator's own, or on another's screen."""

    priority: int
    open_slots: int
    id: int


@dataclass(frozen=True, slots=True)
class _Search:
    """What is remembered of a search from the start: where it has come to, and till when it holds.

    No place means that nothing was found.
    """

    place: _Place | None
    holds_until: float


def claim(
    *,
    annotator_id: int,
    project_id: int,
    lease_minutes: int,
    gold_share: float = 0.0,
    afresh: bool = False,
) -> Card | None:
    """Lease the next comparison to an annotator who is locked and has a seat free.

    With the probability `gold_share` it is a gold item, if there is one that they have not met.
    None when nothing is left for them. `afresh` forgets the last search.
    """
    mixed = random.random() < gold_share  # noqa: S311 - a draw, not a secret
    values = {"annotator": annotator_id, "project": project_id, "minutes": lease_minutes}
    card, _ = _claim(_in_front(FRONT, mixed), values)
    return card or _search(values, afresh)


def _search(values: dict[str, Any], afresh: bool) -> Card | None:
    """Claim behind the front, from where the last search ended if it still holds."""
    key = f"queue-search-{values['annotator']}"
    search: _Search | None = None if afresh else store.get(key)
    now = time.time()
    if search is not None and search.holds_until > now:
        if search.place is None:
            return None
        place = search.place
        marks = {"priority": place.priority, "open_slots": place.open_slots, "id": place.id}
        for statement in _FROM_A_PLACE:
            card, found = _claim(statement, values | marks)
            if card is not None:
                store.set(key, _Search(found, search.holds_until), SEARCH_KEPT_S)
                return card
    card, found = _claim(_FROM_THE_START, values)
    kept_s = SEARCH_KEPT_S if found else NOTHING_KEPT_S
    store.set(key, _Search(found, now + kept_s), kept_s)
    return card


def _claim(statement: str, values: dict[str, Any]) -> tuple[Card | None, _Place | None]:
    """Run one of the claims; return the card with the place in the queue where it stood."""
    values = values | {"uid": ordered_uid(), "today": start_of_today()}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    if row is None:
        return None, None
    *columns, priority, open_slots, comparison_id = row
    return card_from(columns), _Place(priority, open_slots, comparison_id)
