"""Whose labels a round learns from, where AI judges are among those who label."""

from training.rounds.models import Round, RoundStep
from training.rounds.selectors import loop_of


def ai_annotators_of(round: Round) -> set[int]:
    """Return the annotators of the AI judges that the round learns from, by their ids.

    Those that standing steps asked: of this round, and of the earlier ones too where the loop
    learns from all labels. A judge that was only tried, or that a redone step asked no more,
    teaches nothing.
    """
    rows = RoundStep.objects.filter(
        round__project=round.project_id,
        round__number__lte=round.number,
        kind=RoundStep.Kind.JUDGE,
        is_superseded=False,
    )
    if loop_of(round).config.labels == "round":
        rows = rows.filter(round=round)
    return set(rows.values_list("run__judging__judge__annotator", flat=True))
