"""Reads of contests: their pairs as judged so far, their figures, which one an evaluation has."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from labeling.domain.rankings import ranks_from_tiers
from labeling.exceptions import NotFound
from labeling.models import Comparison, ComparisonCandidate, Judgement, Project
from labeling.selectors.strength import JUDGES
from training.contests.figures import Figures, Pair, figures_from, figures_of
from training.contests.models import Contest, ContestComparison
from training.models import Evaluation, TrainingRun

_Word = tuple[list[list[int]], str, int | None, datetime | None, datetime]


def contests_of(project: Project) -> QuerySet[Contest]:
    """Return the project's contests, newest first."""
    rows = Contest.objects.filter(project=project)
    return rows.select_related("policy", "baseline", "run", "created_by")


def get_contest(project: Project, number: int) -> Contest:
    """Return one contest of the project. Raises NotFound."""
    found = contests_of(project).filter(number=number).first()
    if found is None:
        raise NotFound(_("There is no such contest in this project."))
    return found


def contest_of_run(run_id: int | None) -> Contest | None:
    """Return the contest that compares an evaluation's replies; one that was withdrawn is none."""
    rows = Contest.objects.filter(run=run_id).exclude(state=Contest.State.WITHDRAWN)
    return rows.select_related("policy", "baseline", "project", "run").first()


def open_contests() -> list[int]:
    """Return the contests of all projects in which people are asked."""
    return list(Contest.objects.filter(state=Contest.State.OPEN).values_list("pk", flat=True))


def contestable_evaluations(project: Project) -> QuerySet[Evaluation]:
    """Return the finished evaluations against a baseline that no contest stands for, newest first.

    They hold the replies of two policies to the same held-out prompts.
    """
    taken = Contest.objects.exclude(state=Contest.State.WITHDRAWN).values("run")
    rows = Evaluation.objects.filter(
        run__project=project, run__state=TrainingRun.State.SUCCEEDED, baseline__isnull=False
    )
    rows = rows.exclude(run__in=taken).select_related("run", "policy", "baseline")
    return rows.order_by("-run_id")


@dataclass(frozen=True)
class Asked:
    """How far a contest is: pairs drawn, comparisons asked, those judged and still open."""

    pairs: int
    comparisons: int
    closed: int
    open: int


def asked_in(contest: Contest) -> Asked:
    """Return how far a contest is; one read."""
    state = "comparison__state"
    counts = ContestComparison.objects.filter(contest=contest).aggregate(
        pairs=Count("pk"),
        comparisons=Count("comparison"),
        closed=Count("pk", filter=Q(**{state: Comparison.State.CLOSED})),
        open=Count("pk", filter=Q(**{state: Comparison.State.OPEN})),
    )
    return Asked(**counts)


def pairs_of_contest(contest: Contest) -> list[Pair]:
    """Return a contest's pairs with what people said of them; two reads.

    A comparison counts once all whom it waits for have spoken. What AI judges or imports say
    counts for nothing here, nor does what came when enough was said.
    """
    rows = list(ContestComparison.objects.filter(contest=contest).select_related("comparison"))
    words: dict[int, list[_Word]] = defaultdict(list)
    judged = Judgement.objects.filter(
        comparison__contested__contest=contest,
        comparison__state=Comparison.State.CLOSED,
        superseded_by=None,
        surplus=False,
        annotator__kind__in=JUDGES["people"],
    )
    found = judged.values_list(
        *("comparison_id", "tiers", "verdict", "active_ms", "assignment__ended_at", "created_at")
    )
    for comparison, *word in found.order_by("pk"):
        words[comparison].append(tuple(word))
    return [_pair(row, words[row.comparison_id] if row.comparison_id else []) for row in rows]


def _pair(row: ContestComparison, words: list[_Word]) -> Pair:
    verdicts = [_won(tiers, verdict, row.policy_slot) for tiers, verdict, *_rest in words]
    values = [value for value in verdicts if value is not None]
    # A revision counts where the judgement stood that it supersedes: its lease's end says when.
    times = [(ended or made).timestamp() for *_said, ended, made in words]
    is_same = row.comparison_id is None
    return Pair(
        place=row.place,
        prompt=row.prompt_id,
        won=0.5 if is_same else sum(values) / len(values) if values else None,
        judged_at=max(times, default=None),
        policy_length=row.policy_length,
        baseline_length=row.baseline_length,
        is_same=is_same,
        spoken=len(words),
        both_bad=sum(verdict == Judgement.Verdict.BOTH_BAD for _tiers, verdict, *_ in words),
        active_ms=sum(active or 0 for *_said, active, _ended, _made in words),
    )


def _won(tiers: list[list[int]], verdict: str, policy_slot: int | None) -> float | None:
    """Return how far one judgement lets the policy win; None where it can't be ranked."""
    if verdict == Judgement.Verdict.UNRANKABLE or policy_slot is None:
        return None
    if verdict == Judgement.Verdict.BOTH_BAD:
        return 0.5
    ranks = ranks_from_tiers(tiers)
    ours, theirs = ranks[policy_slot], ranks[1 - policy_slot]
    return 0.5 if ours == theirs else float(ours < theirs)


def figures_now(contest: Contest) -> Figures:
    """Return a contest's figures: those it ended with, or those so far."""
    if contest.result:
        return figures_from(contest.result)
    is_over = not asked_in(contest).open
    pairs = pairs_of_contest(contest)
    return figures_of(pairs, indifference=contest.indifference, is_over=is_over)


@dataclass(frozen=True)
class Shown:
    """A judged pair to be read: the prompt's pieces, both replies, and how far the policy won."""

    prompt: Any
    policy: Any
    baseline: Any
    won: float


def judged_pairs(contest: Contest, most: int) -> list[Shown]:
    """Return pairs of an ended contest to be read, those that the policy lost first.

    None while people are asked: who may read this may be one of them. Three reads.
    """
    if contest.is_open:
        return []
    known = [p for p in pairs_of_contest(contest) if p.won is not None and not p.is_same]
    won = {pair.prompt: pair.won for pair in known}
    rows = ContestComparison.objects.filter(contest=contest, prompt__in=won)
    rows = rows.select_related("prompt", "comparison")
    picked = sorted(rows, key=lambda row: (won[row.prompt_id] or 0.0, row.place))[:most]
    slots = _replies(row.comparison_id for row in picked)
    return [
        Shown(
            row.prompt,
            slots[row.comparison_id, row.policy_slot],
            slots[row.comparison_id, 1 - (row.policy_slot or 0)],
            won[row.prompt_id] or 0.0,
        )
        for row in picked
    ]


def _replies(comparison_ids: Iterable[int | None]) -> dict[tuple[int | None, int | None], Any]:
    rows = ComparisonCandidate.objects.filter(comparison__in=list(comparison_ids))
    return {
        (row.comparison_id, row.slot): row.candidate for row in rows.select_related("candidate")
    }


def won_by_prompt(contest: Contest) -> dict[int, float]:
    """Return how far the policy won by prompt, where that is known; ties known before are one half.

    Only those that entered the figures of an ended contest are a fair sample; nothing is told of an
    open one.
    """
    if contest.is_open:
        return {}
    return {pair.prompt: pair.won for pair in pairs_of_contest(contest) if pair.won is not None}


def latest_contest(run_id: int | None) -> Contest | None:
    """Return the newest contest over an evaluation's replies, however it ended."""
    rows = Contest.objects.filter(run=run_id).select_related("policy", "baseline", "project", "run")
    return rows.order_by("-pk").first()
