"""What a round does before it samples: revise replies by a constitution, fine-tune the policy.

Two deeds of the state sampling. They are done as those in training/rounds/steps.py are: what is
found made is not made again.
"""

from typing import Final

from django.db.models import Q, QuerySet

from labeling.exceptions import NothingToFreeze
from labeling.models import Annotator, Demonstration, Snapshot
from labeling.services.snapshots import freeze_snapshot
from training.constitutions.services import ensure_constitution, start_revising, withdraw_revisions
from training.models import TrainingRun
from training.rounds import steps
from training.rounds.config import LoopConfig
from training.rounds.models import Round, RoundStep
from training.rounds.selectors import begins_from, loop_of, standing_steps, wants_fine_tuning
from training.services.runs import create_run

Kind = RoundStep.Kind
_Of = Annotator.Kind

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "all": (),
    "people": (_Of.PERSON, _Of.SIMULATED, _Of.IMPORTED),
    "ai": (_Of.AI,),
}
"""Whose demonstrations each choice of `sft_from` takes; none named is everybody."""


def demonstrations_for(
    config: LoopConfig, rows: QuerySet[Demonstration]
) -> QuerySet[Demonstration]:
    """Return those demonstrations that the loop would fine-tune on, as a snapshot takes them."""
    kinds = KINDS[config.sft_from]
    if not kinds:
        return rows
    chosen = Q(annotator__kind__in=kinds)
    if _Of.IMPORTED in kinds:
        chosen |= Q(annotator=None)
    return rows.filter(chosen)


def begin(round: Round) -> bool:
    """Fine-tune where the loop asks for it, then let the policies reply."""
    return supervise(round) and steps.sample(round)


def supervise(round: Round) -> bool:
    """Have replies revised and the policy fine-tuned on demonstrations; return whether it is done.

    What a round has begun it ends, even where by now the policy would count as fine-tuned.
    """
    begun = standing_steps(round, Kind.REVISE) or standing_steps(round, Kind.SFT)
    if not begun and not wants_fine_tuning(round):
        return True
    revises = bool(loop_of(round).config.constitution)
    if revises and not steps.trained(round, Kind.REVISE, _start_revising):
        return False
    return steps.trained(round, Kind.SFT, _start_fine_tuning)


def _start_revising(round: Round) -> TrainingRun:
    loop = loop_of(round)
    version = ensure_constitution(
        actor=round.created_by, project=round.project, name=loop.config.constitution
    )
    return start_revising(
        actor=round.created_by,
        project=round.project,
        model=round.policy,
        constitution=version,
        config=loop.recipe_config("revise"),
        seed=round.seed,
        tags=loop.config.tag_names,
        exclude_tags=loop.config.excluded_tag_names,
        limit=loop.config.revised_prompts or None,
    )


def _start_fine_tuning(round: Round) -> TrainingRun:
    """Start SFT on what is written by now; revisions that were made anew count once."""
    loop = loop_of(round)
    redone = RoundStep.objects.filter(round=round, kind=Kind.REVISE, is_superseded=True)
    for step in redone.select_related("run"):
        if step.run:
            withdraw_revisions(actor=round.created_by, run=step.run)
    try:
        snapshot = freeze_snapshot(
            actor=round.created_by,
            project=round.project,
            kind=Snapshot.Kind.DEMONSTRATIONS,
            note=f"round {round.number}",
            annotator_kinds=KINDS[loop.config.sft_from],
        )
    except NothingToFreeze as error:
        raise steps.Stuck(error.args[0]) from None
    return create_run(
        actor=round.created_by,
        project=round.project,
        recipe="sft",
        snapshot=snapshot,
        base_model=begins_from(round),
        config=loop.recipe_config("sft"),
        seed=round.seed,
        name=round.policy.name,
    )
