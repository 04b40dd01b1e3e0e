"""Reads of what people wrote and annotators may be shown."""

from collections.abc import Collection
from typing import Final

from labeling.models import Candidate, CandidateSource, Demonstration

HUMAN: Final = "human reference"
"""The source of a candidate that is a demonstration; its sampling names which."""


def candidates_written_by(annotators: Collection[int]) -> set[int]:
    """Return the candidates whose texts these people wrote, while ranking or as demonstrations.

    Some of the texts may be others' too. Read it before the texts are erased; three reads.
    """
    own = Candidate.objects.filter(written_by__in=annotators)
    found = set(own.values_list("pk", flat=True))
    demonstrations = Demonstration.objects.filter(annotator__in=annotators)
    ids = set(demonstrations.values_list("pk", flat=True))
    shown = CandidateSource.objects.filter(
        model_name=HUMAN, candidate__prompt__in=demonstrations.values("prompt")
    )
    rows = shown.values_list("candidate_id", "sampling__demonstration")
    return found | {candidate for candidate, demonstration in rows if demonstration in ids}
