"""What a round does before it samples: revise replies by a constitution, fine-tune the policy.

Two deeds of the state sampling. They are done as those in training/rounds/steps.py are: what is
found made is not made again.
"""

from collections.abc import Collection
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from labeling.exceptions import NothingToFreeze
from labeling.models import Annotator, Demonstration, Project, Snapshot
from labeling.models.prompts import State as PromptState
from labeling.services.snapshots import freeze_snapshot
from training.constitutions.selectors import (
    SHIPPED_NAME,
    drawn_for_comparisons,
    latest_version,
)
from training.constitutions.services import ensure_constitution, start_revising, withdraw_revisions
from training.models import TrainingRun
from training.rounds import steps
from training.rounds.loops import Loop, mixes_texts
from training.rounds.models import Round, RoundStep
from training.rounds.selectors import (
    begins_from,
    current_policy,
    fine_tuned_by_rounds,
    first_policy,
    has_learned_to_reply,
    loop_of,
    standing_steps,
    wants_fine_tuning,
)
from training.services.runs import create_run

Kind = RoundStep.Kind
_Of = Annotator.Kind

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "all": (_Of.PERSON, _Of.SIMULATED, _Of.IMPORTED, _Of.AI),
    "people": (_Of.PERSON, _Of.SIMULATED, _Of.IMPORTED),
    "ai": (_Of.AI,),
}
"""Whose demonstrations each choice of `sft_from` takes."""


def nothing_to_learn_from(project: Project, loop: Loop) -> str:
    """Return which demonstrations a round of the loop would lack; empty where it lacks none.

    A loop that revises makes its own.
    """
    name = loop.config.constitution
    if name and name != SHIPPED_NAME and latest_version(project, name) is None:
        said = gettext("This project has no constitution {name}: write it, or name another.")
        return said.format(name=name)
    rows = Demonstration.objects.filter(prompt__project=project, superseded_by=None)
    texts = rows.filter(state=PromptState.ACTIVE, prompt__state=PromptState.ACTIVE)
    start = first_policy(project) if loop.config.start == "base" else current_policy(project)
    start = start or current_policy(project)
    new = start is not None and not (
        has_learned_to_reply(start) or fine_tuned_by_rounds(project, start)
    )
    fine_tunes = loop.config.sft == "each" or (loop.config.sft == "once" and new)
    lacks = not loop.config.revises and not _of_kind(loop.config.sft_from, texts).exists()
    if fine_tunes and lacks:
        return gettext(
            "The loop fine-tunes on demonstrations, and there are none of that kind: import or "
            "write some, name a constitution, or set sft to none."
        )
    mixes = mixes_texts(loop.recipe_config(loop.config.policy_recipe))
    if mixes and not _of_kind("people", texts).exists():
        return gettext(
            "PPO-ptx keeps demonstrations likely: import some, or set ptx_coefficient to 0."
        )
    return ""


def _of_kind(choice: str, rows: QuerySet[Demonstration]) -> QuerySet[Demonstration]:
    """Return the demonstrations that a snapshot for this `sft_from` would take."""
    kinds = KINDS[choice]
    named = Q(annotator__kind__in=kinds)
    return rows.filter(named | Q(annotator=None) if _Of.IMPORTED in kinds else named)


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
    if loop_of(round).config.revises and not steps.trained(round, Kind.REVISE, _start_revising):
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


def principles_for(round: Round, comparison_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return the principle by which an AI judge compares each of these, drawn by the round's seed.

    None where the loop names no constitution.
    """
    name = loop_of(round).config.constitution
    if not name:
        return {}
    version = ensure_constitution(actor=round.created_by, project=round.project, name=name)
    return drawn_for_comparisons(version, comparison_ids, seed=round.seed)


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
            exclude_tags=loop.config.excluded_tag_names,
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
