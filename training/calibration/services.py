"""Writes of calibration: a sample that people and a judge share; comparisons sent on to people."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput
from labeling.models import Annotator, Project, User
from labeling.services import audit
from labeling.services.more_people import MOST_PEOPLE, ask_people
from training.calibration.models import RoutedComparison, SharedSample
from training.calibration.routing import Rule, route
from training.calibration.sampling import stratified
from training.calibration.selectors import (
    calibration_of,
    strata_of,
    to_route,
    topics_of,
    unanswered,
)
from training.judges.models import Judge
from training.judges.selectors import unjudged
from training.judges.services import start_judging
from training.models import TrainingRun
from training.rounds.models import Round
from training.services.runs import MAX_SEED

MOST_SHARED = 2000


@dataclass(frozen=True)
class Drawn:
    """A shared sample, and the run in which the judge judges what it has not; None without one."""

    sample: SharedSample
    run: TrainingRun | None


@transaction.atomic
def draw_shared_sample(
    *,
    actor: User | None,
    project: Project,
    judge: Judge,
    count: int,
    people: int = 2,
    seed: int = 0,
) -> Drawn:
    """Draw comparisons, evenly by tag and by the seed, and ask both the judge and people of them.

    Those drawn for this judge before are passed over. Raises InvalidInput, with errors by field.
    """
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    strata = strata_of(judge.annotator)
    errors = _sample_errors(project, judge, count, people, seed, any(strata.values()))
    if errors:
        raise InvalidInput(_("No sample can be drawn like this."), errors=errors)
    drawn = stratified(strata, count, seed=seed)
    sample = SharedSample.objects.create(
        project=project,
        annotator=judge.annotator,
        people=people,
        seed=seed,
        created_by=actor,
    )
    sample.comparisons.add(*drawn)
    ask_people(actor=actor, project=project, comparison_ids=drawn, people=people)
    run = None
    if unjudged(judge, drawn):
        run = start_judging(
            actor=actor, project=project, judge=judge, comparison_ids=drawn, seed=seed
        )
    audit.record(
        actor=actor,
        project=project,
        verb="calibration.sample",
        obj=sample,
        data={"judge": str(judge), "comparisons": len(drawn), "people": people},
    )
    return Drawn(sample, run)


def _sample_errors(
    project: Project, judge: Judge, count: int, people: int, seed: int, there_are: bool
) -> dict[str, list[str]]:
    text = _("Use a whole number from {least} to {most}.")
    limits = {
        "count": (count, 1, MOST_SHARED),
        "people": (people, 1, MOST_PEOPLE),
        "seed": (seed, 0, MAX_SEED),
    }
    errors = {
        name: [text.format(least=least, most=most)]
        for name, (value, least, most) in limits.items()
        if not least <= value <= most
    }
    if judge.project_id != project.pk:
        errors["judge"] = [_("There is no such AI judge in this project.")]
    elif not there_are:
        errors["count"] = [_("Every comparison stands in a sample of this judge already.")]
    return errors


@transaction.atomic
def route_to_people(
    *,
    actor: User | None,
    annotator: Annotator,
    least_certainty: float = 0.5,
    weak_topics: bool = True,
    comparison_ids: Sequence[int] | None = None,
    round: Round | None = None,
    people: int = 1,
) -> list[RoutedComparison]:
    """Let people judge what an AI judge is unsure of or known to be weak on; return what goes.

    Of all comparisons that it judged and no person was asked about, or of some. Each is sent on
    once, with its reason. Raises InvalidInput for a certainty that is none.
    """
    if not 0.5 <= least_certainty <= 1:
        text = _("Use a number from 0.5, which sends nothing on, to 1.")
        raise InvalidInput(
            _("Nothing can be sent on like this."), errors={"least_certainty": [text]}
        )
    # Whoever sends on for the same judge at the same time waits here, and then finds it done.
    Annotator.objects.select_for_update().only("id").get(pk=annotator.pk)
    waiting = to_route(annotator, comparison_ids)
    topics = topics_of(pk for pk, _softs in waiting)
    weak = calibration_of(annotator).weak if weak_topics and topics else frozenset()
    rule = Rule(least_certainty, weak)
    made = [
        RoutedComparison(
            comparison_id=pk,
            annotator=annotator,
            round=round,
            reason=why.reason,
            tag=why.topic,
            confidence=why.certainty,
            created_by=actor,
        )
        for pk, softs in waiting
        if (why := route(softs, topics.get(pk, ()), rule))
    ]
    RoutedComparison.objects.bulk_create(made, batch_size=1000)
    _ask(actor, annotator.project, made, people)
    return made


@transaction.atomic
def leave_unanswered(
    *,
    actor: User | None,
    annotator: Annotator,
    comparison_ids: Sequence[int],
    round: Round,
    people: int = 1,
) -> list[RoutedComparison]:
    """Let people judge what an AI judge was asked and neither it nor another judged; return it.

    It left these out: too long, an answer that is none, or one that contradicts itself.
    """
    Annotator.objects.select_for_update().only("id").get(pk=annotator.pk)
    made = [
        RoutedComparison(
            comparison_id=pk,
            annotator=annotator,
            round=round,
            reason=RoutedComparison.Reason.UNSURE,
            created_by=actor,
        )
        for pk in unanswered(annotator, comparison_ids)
    ]
    RoutedComparison.objects.bulk_create(made, batch_size=1000)
    _ask(actor, annotator.project, made, people)
    return made


def _ask(
    actor: User | None, project: Project, made: Sequence[RoutedComparison], people: int
) -> None:
    if not made:
        return
    ask_people(
        actor=actor,
        project=project,
        comparison_ids=[one.comparison_id for one in made],
        people=people,
    )
    audit.record(
        actor=actor,
        project=project,
        verb="comparisons.route",
        obj=project,
        data={"comparisons": len(made), "judge": str(made[0].annotator)},
    )
