"""Reads of a round's report: what its runs, its people and its evaluation left in the database."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from labeling.demo.gold import gold_score
from labeling.domain.content import text_of
from labeling.models import Judgement, Project, Prompt
from training import rundir
from training.contests.figures import Figures
from training.contests.models import Contest
from training.contests.selectors import figures_now, won_by_prompt
from training.estimates import Estimate, estimate_of
from training.frontier import Plane
from training.models import Evaluation, TrainingRun
from training.rounds.models import Promotion, Round, RoundComparison, RoundStep
from training.rounds.report import (
    Arm,
    Figure,
    Made,
    Rate,
    RoundReport,
    Spent,
    Turn,
    Verdict,
    answer_of,
    exploits_of,
    per_point,
)
from training.rounds.report_slices import Asked, Fared, examples_of, fared, rate_of, slices_of
from training.rounds.selectors import cost_of, made_by, round_contest, standing_steps
from training.selectors_evaluations import read_lines
from training.services.attempts import storable
from training.side_by_side import frontiers_of

Kind = RoundStep.Kind
MOST_TURNS = 30
Told = Mapping[str, Any]


def round_report(round: Round) -> RoundReport:
    """Return what a round came to, as far as it has come; a fixed number of reads."""
    evaluation = _evaluation(round)
    contest = round_contest(round)
    figures = figures_now(contest) if contest else None
    told = evaluation.run.result["evaluation"] if evaluation else {}
    rows = _fared(evaluation, contest) if evaluation else []
    verdicts = tuple(_verdicts(told, rows, figures))
    rates = {one.by: one.rate for one in verdicts}
    spent = _spent(round, figures)
    answer, answered_by = answer_of(rates)
    promoted = Promotion.objects.filter(round=round, is_rollback=False).exists()
    return RoundReport(
        project=round.project.name,
        number=round.number,
        state=round.state,
        policy=str(made_by(round, Kind.POLICY) or ""),
        baseline=str(round.policy),
        was_promoted=promoted,
        started=round.created_at.isoformat(),
        ended=round.ended_at.isoformat() if round.ended_at else "",
        answer=answer,
        answered_by=answered_by,
        split=evaluation.selection["split"] if evaluation else "",
        prompts=told.get("prompts", 0),
        verdicts=verdicts,
        slices=slices_of(rows),
        examples=() if contest and contest.is_open else examples_of(rows),
        examples_wait=bool(contest and contest.is_open),
        figures=tuple(_figures(told, evaluation.gold if evaluation else {})),
        best_of=tuple(_best_of(told, evaluation.gold if evaluation else {})),
        exploits=exploits_of(rates),
        spent=spent,
        per_point=per_point(rates, spent),
        arms=_arms(round),
        turns=turns_of(round.project, until=round.number),
        made=tuple(_made(round, contest)),
    )


def _evaluation(round: Round) -> Evaluation | None:
    """Return the round's finished evaluation; None where there is none yet."""
    rows = Evaluation.objects.filter(
        run__round_step__round=round,
        run__round_step__is_superseded=False,
        run__state=TrainingRun.State.SUCCEEDED,
    )
    return rows.select_related("run", "policy", "baseline").first()


def _fared(evaluation: Evaluation, contest: Contest | None) -> list[Fared]:
    """Return how each prompt went; nothing where the run's folder is gone."""
    path = evaluation.run.folder / rundir.EVALUATIONS
    if not path.is_file():
        return []
    return fared(
        ({**line, "text": storable(line["text"])} for line in read_lines(path)),
        _asked(evaluation.prompt_ids),
        gold=(lambda asked, text: gold_score([dict(m) for m in asked], text))
        if evaluation.gold
        else None,
        people=won_by_prompt(contest) if contest else {},
    )


def _asked(prompt_ids: Sequence[int]) -> dict[int, Asked]:
    rows = Prompt.objects.filter(pk__in=prompt_ids).prefetch_related("tags")
    return {
        row.pk: Asked(
            messages=tuple((m["role"], text_of(m)) for m in row.messages),
            tags=tuple(sorted(tag.name for tag in row.tags.all())),
        )
        for row in rows
    }


def _verdicts(told: Told, rows: Sequence[Fared], figures: Figures | None) -> Iterator[Verdict]:
    """Yield what each kind of judge says, people first."""
    if figures is not None and figures.pairs:
        rate = figures.rate
        people = Rate(value=rate.value, low=rate.low, high=rate.high, pairs=figures.pairs)
        yield Verdict(by="people", rate=people, at_equal_length=figures.at_equal_length)
    wins = told.get("wins", {})
    for by in ("judge", "reward"):
        if by in wins:
            equal = wins[by].get("length_controlled")
            alike = estimate_of(equal) if equal else None
            yield Verdict(by=by, rate=_rate(wins[by]), at_equal_length=alike)
    gold = rate_of(rows, "gold")
    if gold is not None:
        yield Verdict(by="gold", rate=gold, at_equal_length=None)


def _rate(told: Told) -> Rate:
    return Rate(
        value=told["value"], low=told["low"], high=told["high"], pairs=int(told.get("pairs", 0))
    )


def _figures(told: Told, gold: Told) -> Iterator[Figure]:
    for name in ("kl", "reward", "length"):
        if name in told.get("policy", {}):
            theirs = (told.get("baseline") or {}).get(name)
            yield Figure(
                name=name,
                policy=estimate_of(told["policy"][name]),
                baseline=estimate_of(theirs) if theirs else None,
            )
    if gold.get("policy"):
        theirs = gold.get("baseline")
        yield Figure(
            name="gold",
            policy=estimate_of(gold["policy"]),
            baseline=estimate_of(theirs) if theirs else None,
        )


def _best_of(told: Told, gold: Told) -> Iterator[tuple[int, Estimate, Estimate]]:
    """Yield n, the reward of the best of n by the reward model, and the hidden score of that."""
    golden = {row["n"]: row for row in gold.get("best_of", ())}
    rows = told.get("best_of", [])
    for row in rows:
        if row["n"] in golden and (row["n"].bit_count() == 1 or row is rows[-1]):
            yield row["n"], estimate_of(row), estimate_of(golden[row["n"]])


def _spent(round: Round, figures: Figures | None) -> Spent:
    cost = cost_of(round)
    return Spent(
        judgements=cost.judgements,
        ai_judgements=cost.ai_judgements,
        active_s=cost.active_s,
        computed_s=cost.computed_s,
        evaluation_judgements=figures.judgements if figures else 0,
        evaluation_active_s=figures.active_s if figures else 0.0,
    )


def _arms(round: Round) -> tuple[Arm, ...]:
    """Return what came of each strategy's comparisons; nothing where chance alone chose."""
    spoken = Q(comparison__judgements__superseded_by=None, comparison__judgements__isnull=False)
    tied = spoken & Q(comparison__judgements__verdict=Judgement.Verdict.TIE)
    rows = (
        RoundComparison.objects.filter(round=round)
        .values("arm")
        .annotate(
            comparisons=Count("comparison", distinct=True),
            judgements=Count("comparison__judgements", filter=spoken),
            ties=Count("comparison__judgements", filter=tied),
            active=Coalesce(Sum("comparison__judgements__active_ms", filter=spoken), 0),
        )
        .order_by("arm")
    )
    found = [
        Arm(
            name=row["arm"],
            comparisons=row["comparisons"],
            judgements=row["judgements"],
            ties=row["ties"],
            active_s=row["active"] / 1000,
        )
        for row in rows
    ]
    return tuple(found) if any(arm.name != "random" for arm in found) else ()


def turns_of(project: Project, until: int) -> tuple[Turn, ...]:
    """Return how the project's rounds fared up to one of them, oldest first; three reads.

    Each against the policy that it began with. Only people's finished comparisons are told.
    """
    evaluations = Evaluation.objects.filter(
        run__round_step__round__project=project,
        run__round_step__round__number__lte=until,
        run__round_step__is_superseded=False,
        run__state=TrainingRun.State.SUCCEEDED,
    )
    rows = evaluations.select_related("run__round_step__round")
    newest = list(rows.order_by("-run__round_step__round__number")[:MOST_TURNS])
    contests = Contest.objects.filter(run__in=[row.run_id for row in newest]).exclude(result={})
    by_run = {contest.run_id: contest for contest in contests.order_by("pk")}
    promoted = set(
        Promotion.objects.filter(round__project=project, is_rollback=False).values_list(
            "round_id", flat=True
        )
    )
    return tuple(_turn(row, by_run.get(row.run_id), promoted) for row in reversed(newest))


def _turn(row: Evaluation, contest: Contest | None, promoted: Collection[int]) -> Turn:
    told = row.run.result["evaluation"]
    rates = {by: _rate(told["wins"][by]) for by in ("judge", "reward") if by in told["wins"]}
    if contest is not None and contest.result["pairs"]:
        people = contest.result["rate"]
        rates = {"people": _rate({**people, "pairs": contest.result["pairs"]}), **rates}
    round = row.run.round_step.round
    return Turn(
        number=round.number,
        rates=rates,
        kl=estimate_of(told["policy"]["kl"]),
        gold=estimate_of(row.gold["policy"]) if row.gold.get("policy") else None,
        was_promoted=round.pk in promoted,
    )


def _made(round: Round, contest: Contest | None) -> Iterator[Made]:
    """Yield what the round began with and what it made, by the numbers of their addresses."""
    yield Made(kind="model", name=str(round.policy), number=str(round.policy_id))
    for step in standing_steps(round):
        if step.snapshot is not None:
            yield Made(kind="snapshot", name=str(step.snapshot), number=str(step.snapshot.number))
        if step.run is not None:
            yield Made(kind="run", name=str(step.run), number=str(step.run.uid))
            model = step.run.model_version
            if model is not None:
                yield Made(kind="model", name=str(model), number=str(model.pk))
    if contest is not None:
        yield Made(kind="contest", name=str(contest), number=str(contest.number))


def planes_of(round: Round) -> list[tuple[str, Plane]]:
    """Return reward over KL around the round's policy, by the reward model and by gold."""
    steps = standing_steps(round, Kind.POLICY)
    found: list[tuple[str, Plane]] = []
    for frontier in frontiers_of([step.run for step in steps if step.run]):
        found.append(("reward", frontier.proxy))
        found.append(("gold", frontier.gold))
    # One dot alone tells nothing of what was gained for how far it went.
    return [(by, plane) for by, plane in found if len(plane.points()) > 1]
