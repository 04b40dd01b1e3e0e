"""Writes of lineage: what a snapshot rests on, written down when it is frozen."""

from typing import Any, Final

from django.db import connection

from labeling.models import Snapshot

# Replies that a model sampled and that were judged: a judgement counts once for each run whose
# reply was among its candidates.
_REPLIES: Final = """
    SELECT sampling.run_id, sampling.model_id, item.id
      FROM labeling_snapshotitem item
      JOIN labeling_judgement judgement ON judgement.id = item.judgement_id
      JOIN labeling_comparisoncandidate slot ON slot.comparison_id = judgement.comparison_id
      JOIN labeling_candidatesource source ON source.candidate_id = slot.candidate_id
      JOIN training_sampledcandidate sampled ON sampled.source_id = source.id
      JOIN training_samplingrun sampling ON sampling.run_id = sampled.sampling_run_id
     WHERE item.snapshot_id = %(snapshot)s
"""
# Judgements that a model made. One that a score in a table made has no model behind it.
_JUDGED: Final = """
    SELECT judging.run_id, judge.model_id, item.id
      FROM labeling_snapshotitem item
      JOIN training_judgementmade made ON made.judgement_id = item.judgement_id
      JOIN training_judging judging ON judging.run_id = made.judging_id
      JOIN training_judge judge ON judge.id = judging.judge_id
     WHERE item.snapshot_id = %(snapshot)s AND judge.model_id IS NOT NULL
"""
_REVISED: Final = """
    SELECT revising.run_id, revising.model_id, item.id
      FROM labeling_snapshotitem item
      JOIN training_reviseddemonstration revised
        ON revised.demonstration_id = item.demonstration_id
      JOIN training_revisingrun revising ON revising.run_id = revised.revising_run_id
     WHERE item.snapshot_id = %(snapshot)s
"""
_NOTE: Final = f"""
INSERT INTO training_snapshotsource (snapshot_id, run_id, model_id, labels)
SELECT %(snapshot)s, found.run_id, found.model_id, count(DISTINCT found.item)
  FROM ({_REPLIES} UNION ALL {_JUDGED} UNION ALL {_REVISED}) AS found (run_id, model_id, item)
 GROUP BY found.run_id, found.model_id
    ON CONFLICT (snapshot_id, run_id) DO NOTHING
"""  # noqa: S608 - constants


def note_sources(sender: type[Snapshot], *, snapshot: Snapshot, **_said: Any) -> None:
    """Write down in which runs models made what stands in a snapshot; done twice it is the same.

    A receiver of `snapshot_frozen`, in the transaction of the freeze.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, {"snapshot": snapshot.pk})
