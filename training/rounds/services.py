"""Writes of the loop: configure it, start a round, move it on, pause it, redo a step, promote."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.domain.sentences import parts_of
from labeling.exceptions import InvalidInput, PrefloopError
from labeling.models import Project, User
from labeling.selectors.prompts import select_prompts
from labeling.services import audit
from training.contests.selectors import figures_now
from training.contests.services import withdraw_contests_of
from training.exceptions import RoundMovedOn, RunMovedOn
from training.models import ModelVersion, TrainingRun
from training.rounds import judging, steps, supervising
from training.rounds.config import LoopConfig
from training.rounds.loops import parse_loop
from training.rounds.models import ProjectLoop, Promotion, Round, RoundStep
from training.rounds.selectors import (
    MADE_IN,
    current_policy,
    loop_of,
    made_by,
    measured_by,
    policy_before,
    round_contest,
    standing_steps,
)
from training.rounds.sources import missing_source
from training.selectors import is_usable
from training.services.evaluations import LEAST_PROMPTS
from training.services.runs import MAX_SEED, config_errors, request_cancel

State = Round.State
Kind = RoundStep.Kind

_DEEDS: Final[dict[str, Callable[[Round], bool]]] = {
    State.SAMPLING: supervising.begin,
    State.LABELLING: judging.label,
    State.FROZEN: steps.freeze,
    State.TRAINING_REWARD: steps.train_reward,
    State.TRAINING_POLICY: steps.train_policy,
    State.EVALUATING: steps.evaluate,
}
_ORDER: Final = list(MADE_IN)
MOST_AHEAD: Final = 100


@transaction.atomic
def configure_loop(
    *,
    actor: User | None,
    project: Project,
    config: Mapping[str, Any],
    rounds_ahead: int | None = None,
) -> ProjectLoop:
    """Say how the project's loop turns from its next round on. Raises InvalidInput by field.

    `rounds_ahead` rounds then start by themselves; None leaves their number as it is.
    """
    with config_errors():
        loop = parse_loop(config)
    changed: dict[str, Any] = {"config": loop.to_json(), "changed_by": actor}
    if rounds_ahead is not None:
        if not 0 <= rounds_ahead <= MOST_AHEAD:
            text = _("Use a whole number from {least} to {most}.")
            text = text.format(least=0, most=MOST_AHEAD)
            raise InvalidInput(_("Some settings can't be taken."), errors={"rounds_ahead": [text]})
        changed["rounds_ahead"] = rounds_ahead
    row, _created = ProjectLoop.objects.update_or_create(project=project, defaults=changed)
    said = {**loop.to_json(), "rounds_ahead": row.rounds_ahead}
    audit.record(actor=actor, project=project, verb="loop.configure", obj=project, data=said)
    return row


@transaction.atomic
def start_round(*, actor: User | None, project: Project, seed: int | None = None) -> Round:
    """Start the project's next round; `tasks.turn_round` moves it on after the commit.

    Its seed, where none is given, is its number. Raises InvalidInput where no loop is configured,
    no policy is current, a round is under way, or the loop would come to a step that it can't do.
    """
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    loop = ProjectLoop.objects.filter(project=project).first()
    policy = current_policy(project)
    latest = Round.objects.filter(project=project).aggregate(Max("number"))["number__max"] or 0
    chosen = latest + 1 if seed is None else seed
    problem = ""
    if loop is None:
        problem = _("Say first how the loop turns.")
    elif policy is None:
        problem = _("Name first the policy that the loop begins with: promote one.")
    elif Round.objects.filter(project=project).exclude(state__in=Round.ENDED).exists():
        problem = _("A round is under way: a project has one at a time.")
    elif not 0 <= chosen <= MAX_SEED:
        problem = _("Use a whole number from {least} to {most}.").format(least=0, most=MAX_SEED)
    else:
        problem = _foreseen(project, loop, chosen)
    if problem or loop is None or policy is None:
        raise InvalidInput(_("No round can be started."), errors={"round": [problem]})
    round = Round.objects.create(
        project=project,
        number=latest + 1,
        config=loop.config,
        seed=chosen,
        policy=policy,
        created_by=actor,
    )
    _record(round, actor, "round.start", {"policy": str(policy)})
    return round


def _foreseen(project: Project, row: ProjectLoop, seed: int) -> str:
    """Return at which step a round of the loop would get stuck, before anything is paid for."""
    with config_errors():
        loop = parse_loop(row.config)
    wanted = project.candidates_per_comparison
    if loop.config.replies_per_prompt < wanted:
        return _(
            "A comparison of this project needs {count} replies: set replies_per_prompt to as many "
            "or more."
        ).format(count=wanted)
    if loop.config.trains_reward:
        held_out = select_prompts(
            project,
            split="validation",
            tags=loop.config.tag_names,
            exclude_tags=loop.config.excluded_tag_names,
            limit=LEAST_PROMPTS,
        )
        if len(held_out) < LEAST_PROMPTS:
            return _(
                "Fewer than {count} prompts are held out to evaluate on: import more, widen the "
                "tags, or train no reward model."
            ).format(count=LEAST_PROMPTS)
    nobody = judging.nobody_to_judge(project, loop)
    lacks = nobody or supervising.nothing_to_learn_from(project, loop)
    return lacks or missing_source(project, loop, seed=seed)


@transaction.atomic
def turn_round(*, round_id: int) -> list[int]:
    """Move a round on as far as it goes by itself; return the runs that it has started.

    Does nothing where another process moves it, or a person paused it. A round that can't go on
    keeps the sentence that says why, until it can.
    """
    rows = Round.objects.select_for_update(of=("self",), skip_locked=True)
    round = rows.select_related("project", "policy", "created_by").filter(pk=round_id).first()
    if round is None or round.is_paused or not round.is_open:
        return []
    before = set(_waiting(round))
    problem = _turn(round)
    if problem != round.problem:
        round.problem, round.problem_parts = problem, parts_of(problem)
        round.save(update_fields=["problem", "problem_parts"])
    return [pk for pk in _waiting(round) if pk not in before]


def _waiting(round: Round) -> list[int]:
    """Return the round's runs that wait for a worker; beat rings for those that wait long."""
    rows = RoundStep.objects.filter(round=round, run__state=TrainingRun.State.QUEUED)
    return [pk for pk in rows.values_list("run_id", flat=True) if pk is not None]


def _decide_by_rule(round: Round) -> bool:
    """Promote where the win rate's interval lies above what the loop asks for, else keep."""
    config = loop_of(round).config
    if config.promotion != "rule":
        return False
    settle(round, actor=None, promote=_wins(round, config))
    return True


def _wins(round: Round, config: LoopConfig) -> bool:
    """Return whether the win rate that the rule reads surely reaches what the loop asks for."""
    if config.promotion_by == "people":
        contest = round_contest(round)
        # The end of people's interval is itself excluded: a contest ends where it comes to 0.5.
        return contest is not None and figures_now(contest).rate.low >= config.least_win_rate
    measured = measured_by(round)
    rate = measured.win_rate if measured else None
    return rate is not None and rate.low > config.least_win_rate


def _turn(round: Round) -> str:
    """Do the deeds of a locked round, one after the other; return why it got stuck, if it did."""
    while deed := _DEEDS.get(round.state, _decide_by_rule if round.is_open else None):
        try:
            with transaction.atomic():
                if not deed(round):
                    break
        except (steps.Stuck, PrefloopError) as error:
            round.refresh_from_db(fields=["state", "labelling_since", "ended_at"])
            return _whole_sentence(error)
    return ""


def _whole_sentence(error: Exception) -> str:
    """Return what an error says, with its fields' sentences, if it has any."""
    details = [text for texts in getattr(error, "errors", {}).values() for text in texts]
    return " ".join([str(error), *details]) if details else error.args[0]


@transaction.atomic
def pause_round(*, actor: User | None, round: Round, paused: bool = True) -> Round:
    """Let a round rest where it stands, or go on; runs under way work on to their end.

    Raises RoundMovedOn if it has ended.
    """
    round = _held(round)
    round.is_paused = paused
    round.save(update_fields=["is_paused"])
    _record(round, actor, "round.pause" if paused else "round.go_on")
    return round


@transaction.atomic
def cancel_round(*, actor: User | None, round: Round) -> Round:
    """End a round for good; its live runs are cancelled, what it made stays.

    Raises RoundMovedOn if it has ended.
    """
    round = _held(round)
    _cancel_runs(actor, standing_steps(round))
    _end(round, State.CANCELLED)
    _record(round, actor, "round.cancel")
    return round


@transaction.atomic
def redo_step(*, actor: User | None, round: Round, kind: str) -> Round:
    """Go back to a step and make it anew; what it and later steps made is superseded, and stays.

    A step is made anew in the state that makes it.

    Replies that were already asked about are not sampled anew: that is another round. Raises
    RoundMovedOn if the round has ended, InvalidInput where the step can't be redone.
    """
    round = _held(round)
    if kind not in MADE_IN or not standing_steps(round, kind):
        raise InvalidInput(_("This round has no such step to redo."))
    if MADE_IN[kind] == State.SAMPLING != round.state:
        raise InvalidInput(_("People have been asked about these replies: start another round."))
    made = standing_steps(round)
    later = [step for step in made if _ORDER.index(step.kind) >= _ORDER.index(kind)]
    _cancel_runs(actor, later)
    RoundStep.objects.filter(pk__in=[step.pk for step in later]).update(is_superseded=True)
    round.state, round.problem, round.problem_parts = MADE_IN[kind], "", {}
    round.save(update_fields=["state", "problem", "problem_parts"])
    _record(round, actor, "round.redo", {"step": kind})
    return round


def _cancel_runs(actor: User | None, made: Sequence[RoundStep]) -> None:
    """Cancel the live runs of steps; one that ends in this moment has ended, and that will do.

    What people are asked about an evaluation's replies ends with it.
    """
    for step in made:
        if step.run and step.run.is_live:
            with suppress(RunMovedOn), transaction.atomic():
                request_cancel(actor=actor, run=step.run)
        if step.run and step.kind == Kind.EVALUATE:
            withdraw_contests_of(actor=actor, run=step.run)


@transaction.atomic
def decide_round(*, actor: User | None, round: Round, promote: bool, note: str = "") -> Round:
    """End a round whose policy is measured: make its policy the current one, or keep the old.

    Raises RoundMovedOn where nothing is to be decided.
    """
    round = _held(round)
    if round.state != State.DECIDING:
        raise RoundMovedOn(_("There is nothing to decide in this round now."))
    settle(round, actor=actor, promote=promote, note=note)
    return round


def settle(round: Round, *, actor: User | None, promote: bool, note: str = "") -> None:
    """End a locked round, and start the next one where the loop has rounds ahead."""
    # The project first, as whoever queues comparisons locks it, or two could wait in a circle.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=round.project_id)
    policy = made_by(round, Kind.POLICY)
    # Somebody may have promoted it by hand already.
    if promote and policy not in (None, current_policy(round.project)):
        promote_model(actor=actor, project=round.project, model=policy, round=round, note=note)
    _end(round, State.DONE)
    _record(round, actor, "round.end", {"promoted": promote and policy is not None})
    loop = ProjectLoop.objects.select_for_update().filter(project=round.project).first()
    if loop and loop.rounds_ahead:
        try:
            with transaction.atomic():
                start_round(actor=actor or round.created_by, project=round.project)
        except InvalidInput:
            return  # the rounds ahead rest until somebody starts one and is told why
        loop.rounds_ahead -= 1
        loop.save(update_fields=["rounds_ahead"])


@transaction.atomic
def promote_model(
    *,
    actor: User | None,
    project: Project,
    model: ModelVersion,
    round: Round | None = None,
    note: str = "",
    is_rollback: bool = False,
) -> Promotion:
    """Make a policy the project's current one. Raises InvalidInput where it is none of its own."""
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    if current_policy(project) == model:
        text = _("This is the current policy already.")
        raise InvalidInput(text, errors={"model": [text]})
    if model.kind != ModelVersion.Kind.POLICY or not is_usable(project, model):
        text = _("There is no such policy in this project.")
        raise InvalidInput(text, errors={"model": [text]})
    row = Promotion.objects.create(
        project=project,
        model=model,
        round=round,
        note=note[:500],
        is_rollback=is_rollback,
        created_by=actor,
    )
    audit.record(
        actor=actor,
        project=project,
        verb="model.roll_back" if is_rollback else "model.promote",
        obj=model,
        data={"note": note[:500], "round": round.number if round else None},
    )
    return row


@transaction.atomic
def roll_back(*, actor: User | None, project: Project) -> Promotion:
    """Make the policy before the current one current again. Raises InvalidInput without one."""
    model = policy_before(project)
    if model is None:
        raise InvalidInput(_("There is no earlier policy to go back to."))
    return promote_model(actor=actor, project=project, model=model, is_rollback=True)


def _held(round: Round) -> Round:
    """Return the round's row, locked. Raises RoundMovedOn if it has ended."""
    rows = Round.objects.select_for_update(of=("self",)).select_related("project", "policy")
    held = rows.get(pk=round.pk)
    if not held.is_open:
        raise RoundMovedOn(_("The round has already ended."))
    return held


def _end(round: Round, state: Round.State) -> None:
    round.state, round.ended_at, round.is_paused = state, timezone.now(), False
    round.problem, round.problem_parts = "", {}
    round.save(update_fields=["state", "ended_at", "is_paused", "problem", "problem_parts"])


def _record(
    round: Round, actor: User | None, verb: str, data: Mapping[str, Any] | None = None
) -> None:
    audit.record(
        actor=actor,
        project=round.project,
        verb=verb,
        obj=round,
        data={"number": round.number, **(data or {})},
    )
