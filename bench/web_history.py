"""What an annotator's own history costs when it stands in front of them in the queue.

The world of a million is turned round: of the open comparisons nothing is left, and what one
veteran judged is wanted once more, so that a third of a million comparisons that they may not have
stand in the queue's front. First others' work stands behind it, then nothing at all.
"""

import time
from typing import Any

import psycopg

from bench.reporting import say

# Triggers and foreign keys are not asked: one person's view of the queue is what is made here.
_OWN_WORK_IN_FRONT = """
SET session_replication_role = replica;
UPDATE labeling_comparison SET open_slots = 0, state = 'closed' WHERE open_slots > 0;
UPDATE labeling_assignment SET state = 'expired' WHERE state = 'leased';
UPDATE labeling_comparison SET open_slots = 1, overlap = 2, state = 'open'
 WHERE id IN (SELECT a.comparison_id
                FROM labeling_assignment a JOIN labeling_annotator n ON n.id = a.annotator_id
                JOIN labeling_user u ON u.id = n.user_id
               WHERE u.username = %(veteran)s AND a.state = 'judged');
"""
_OTHERS_WORK_BEHIND = """
UPDATE labeling_comparison SET open_slots = 1, overlap = 2, state = 'open'
 WHERE state = 'closed' AND id > %(judged)s * 8 / 10 AND id <= %(judged)s
"""
_NOTHING_BEHIND = """
UPDATE labeling_assignment SET state = 'expired' WHERE state = 'leased';
UPDATE labeling_comparison c SET open_slots = 0, state = 'closed'
 WHERE open_slots > 0 AND id NOT IN (
       SELECT a.comparison_id
         FROM labeling_assignment a JOIN labeling_annotator n ON n.id = a.annotator_id
         JOIN labeling_user u ON u.id = n.user_id
        WHERE u.username = %(veteran)s AND a.state = 'judged')
"""


def put_own_work_in_front(dsn: str, veteran: str, judged: int) -> None:
    """Leave open what the veteran judged, and a fifth of what others judged behind it."""
    values: dict[str, Any] = {"veteran": veteran, "judged": judged}
    _run(dsn, [_OWN_WORK_IN_FRONT, _OTHERS_WORK_BEHIND], values)


def leave_nothing_else(dsn: str, veteran: str) -> None:
    """Leave open what the veteran judged, and nothing else."""
    _run(dsn, [_NOTHING_BEHIND], {"veteran": veteran})


def _run(dsn: str, statements: list[str], values: dict[str, Any]) -> None:
    began = time.monotonic()
    with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as connection:
        for statement in statements:
            connection.execute(statement, values)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) labeling_comparison, labeling_assignment")
        row = connection.execute("SELECT count(*) FROM labeling_comparison WHERE open_slots > 0")
        count = (row.fetchone() or (0,))[0]
    say(f"turned the queue round: {count:,} open comparisons, {time.monotonic() - began:.0f} s")
