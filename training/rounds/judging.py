"""How AI judges take part in a round: they are asked in the state labelling, each of them once.

Done as the deeds in training/rounds/steps.py are: what is found made is not made again.
"""

from django.utils.translation import gettext

from labeling.domain.sentences import sentence as _
from labeling.models import Comparison, Project
from training.calibration.selectors import ai_judges_in
from training.calibration.services import leave_unanswered, route_to_people
from training.judges.models import Judge, Judging
from training.judges.selectors import judge_named, unjudged
from training.judges.services import start_judging
from training.models import TrainingRun
from training.rounds import steps
from training.rounds.loops import Loop
from training.rounds.models import Round, RoundComparison, RoundStep
from training.rounds.selectors import loop_of, standing_steps
from training.rounds.supervising import principles_for

Kind = RoundStep.Kind


def nobody_to_judge(project: Project, loop: Loop) -> str:
    """Return which AI judge of the loop is missing, or is to tell a certainty and can't; or ''."""
    for name in loop.config.judge_names:
        judge = judge_named(project, name)
        if judge is None:
            text = gettext("This project has no AI judge {name}: make it, or name another.")
            return text.format(name=name)
        if loop.config.least_certainty > 0.5 and judge.style == Judge.Style.ASPECTS:
            text = gettext(
                "The AI judge {name} rates each reply by itself and tells no certainty: set "
                "least_certainty to 0.5, or name a judge of pairs."
            )
            return text.format(name=name)
    return ""


def label(round: Round) -> bool:
    """Let the AI judges that the loop names judge, and wait for them and for the people."""
    if not _judged(round):
        return False
    _route(round)
    return steps.label(round)


def _route(round: Round) -> None:
    """Send on to people what the AI judges had better leave to them, once a round.

    With it goes what none of them could judge. Where a loop has AI judges alone and sends nothing
    on, that waits for the next AI judge, and holds up no round.
    """
    config = loop_of(round).config
    if (
        not config.routes
        or RoundComparison.objects.filter(round=round, comparison__routings__round=round).exists()
    ):
        return
    asked = _asked(round)
    for annotator in ai_judges_in(round.project, asked):
        route_to_people(
            actor=round.created_by,
            annotator=annotator,
            least_certainty=config.least_certainty,
            weak_topics=config.weak_topics,
            comparison_ids=asked,
            round=round,
            people=config.overlap,
        )
    for judging in _judgings(round):
        leave_unanswered(
            actor=round.created_by,
            annotator=judging.judge.annotator,
            comparison_ids=asked,
            round=round,
            people=config.overlap,
        )


def _judged(round: Round) -> bool:
    """Ask the judges that were not asked yet; return whether all have answered."""
    names = loop_of(round).config.judge_names
    if not names:
        return True
    asked = {judging.judge.name for judging in _judgings(round)}
    for name in names:
        if name not in asked:
            _start(round, name)
    return steps.all_succeeded(standing_steps(round, Kind.JUDGE))


def _judgings(round: Round) -> list[Judging]:
    """Return what each of the round's judges was asked, in the order of asking."""
    runs = [step.run_id for step in standing_steps(round, Kind.JUDGE)]
    rows = Judging.objects.filter(run__in=runs).select_related("judge__annotator")
    return list(rows.order_by("run"))


def _asked(round: Round) -> list[int]:
    rows = RoundComparison.objects.filter(round=round)
    rows = rows.exclude(comparison__state=Comparison.State.WITHDRAWN)
    return list(rows.order_by("pk").values_list("comparison_id", flat=True))


def _start(round: Round, name: str) -> None:
    """Ask a judge about the round's comparisons, unless it has judged all of them."""
    judge: Judge | None = judge_named(round.project, name)
    if judge is None:
        raise steps.Stuck(
            _("There is no AI judge {name} any more: make its next version.", name=name)
        )
    left = unjudged(judge, _asked(round))
    if not left:
        _take_up(round, judge)
        return
    run = start_judging(
        actor=round.created_by,
        project=round.project,
        judge=judge,
        comparison_ids=left,
        principles=principles_for(round, left) if judge.style == Judge.Style.PAIRWISE else None,
        seed=round.seed,
    )
    RoundStep.objects.create(round=round, kind=Kind.JUDGE, run=run)


def _take_up(round: Round, judge: Judge) -> None:
    """Let the runs in which a judge said all that it has to say stand as steps of the round."""
    runs = TrainingRun.objects.filter(
        judging__judge=judge, judging__made__judgement__comparison__asked_by_round__round=round
    )
    for run in runs.distinct().order_by("pk"):
        RoundStep.objects.update_or_create(
            run=run, defaults={"round": round, "kind": Kind.JUDGE, "is_superseded": False}
        )
