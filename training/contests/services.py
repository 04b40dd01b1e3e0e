"""Writes of contests: ask people about an evaluation's replies, and stop when that is decided."""

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.domain.blindness import names_its_maker
from labeling.domain.splits import split_of
from labeling.exceptions import InvalidInput
from labeling.models import Candidate, Project, Prompt, User
from labeling.models.prompts import State as PromptState
from labeling.services import audit
from labeling.services.comparisons import queue_for_evaluation, withdraw_open_comparisons
from labeling.services.prompts import Sample, add_samples
from training import rundir
from training.contests.figures import figures_of
from training.contests.models import Contest, ContestComparison
from training.contests.selectors import asked_in, contest_of_run, pairs_of_contest
from training.exceptions import ContestEnded
from training.models import Evaluation, ModelVersion, TrainingRun
from training.selectors_evaluations import read_lines
from training.services.attempts import storable
from training.services.evaluations import SPLITS
from training.services.sampling import MAX_OVERLAP

State = Contest.State
MOST_PAIRS: Final = 2000
MOST_INDIFFERENCE: Final = 0.5
GONE = gettext_noop("prompt withdrawn")
NOT_HELD_OUT = gettext_noop("no longer held out")
NAMED = gettext_noop("a reply names its maker")
BEYOND = gettext_noop("more than was asked for")


@dataclass(frozen=True)
class _Drawn:
    """One prompt with the first reply of each policy, as lines of evaluations.jsonl."""

    prompt_id: int
    policy: dict[str, Any]
    baseline: dict[str, Any]

    @property
    def is_same(self) -> bool:
        """Whether both replied alike, so that nobody needs to be asked."""
        return storable(self.policy["text"]) == storable(self.baseline["text"])


@transaction.atomic
def open_contest(
    *,
    actor: User | None,
    project: Project,
    run: TrainingRun,
    most: int = 200,
    indifference: float = 0.0,
    overlap: int = 1,
    priority: int = 1,
) -> Contest:
    """Ask people which policy's replies are better, an evaluation's own against its baseline's.

    At most that many of its prompts are asked about, in an order that is drawn. Raises
    InvalidInput by field, also where the evaluation's replies can't be compared.
    """
    evaluation = Evaluation.objects.filter(run=run).select_related("policy", "baseline").first()
    errors = _number_errors(most, indifference, overlap, priority)
    errors |= _run_errors(project, run, evaluation)
    if errors or evaluation is None or evaluation.baseline is None:
        raise InvalidInput(_("People can't be asked about these replies."), errors=errors)
    # Before anything that points to it, as whoever queues comparisons does.
    Project.objects.select_for_update(no_key=True).only("id").get(pk=project.pk)
    drawn, left_out = _drawn(project, run, most)
    latest = Contest.objects.filter(project=project).aggregate(Max("number"))["number__max"] or 0
    contest = Contest.objects.create(
        project=project,
        number=latest + 1,
        policy=evaluation.policy,
        baseline=evaluation.baseline,
        run=run,
        most=most,
        indifference=indifference,
        overlap=overlap,
        priority=priority,
        left_out=left_out,
        created_by=actor,
    )
    _ask(contest, drawn, actor)
    _record(contest, actor, "contest.open", {"pairs": len(drawn)})
    return contest


def _number_errors(
    most: int, indifference: float, overlap: int, priority: int
) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    text = _("Use a whole number from {least} to {most}.")
    if not 1 <= most <= MOST_PAIRS:
        errors["most"] = [text.format(least=1, most=MOST_PAIRS)]
    if not 1 <= overlap <= MAX_OVERLAP:
        errors["overlap"] = [text.format(least=1, most=MAX_OVERLAP)]
    if not -100 <= priority <= 100:
        errors["priority"] = [text.format(least=-100, most=100)]
    if not 0 <= indifference < MOST_INDIFFERENCE:
        errors["indifference"] = [_("Use a number from 0 to less than a half.")]
    return errors


def _run_errors(
    project: Project, run: TrainingRun, evaluation: Evaluation | None
) -> dict[str, list[str]]:
    problem = ""
    if evaluation is None or run.project_id != project.pk:
        problem = _("There is no such evaluation in this project.")
    elif run.state != TrainingRun.State.SUCCEEDED:
        problem = _("This evaluation has not come to its end.")
    elif evaluation.baseline is None:
        problem = _("This evaluation has no baseline whose replies could be compared.")
    elif contest_of_run(run.pk) is not None:
        problem = _("People are, or were, asked about these replies already.")
    elif not (run.folder / rundir.EVALUATIONS).is_file():
        problem = _("The evaluation's replies are gone from its folder: evaluate again.")
    return {"run": [problem]} if problem else {}


def _drawn(project: Project, run: TrainingRun, most: int) -> tuple[list[_Drawn], dict[str, int]]:
    """Return what is asked, in a drawn order, and how many prompts are not, by reason.

    Raises InvalidInput where nothing is left.
    """
    rows = list(_first_replies(run))
    prompts = Prompt.objects.filter(project=project, state=PromptState.ACTIVE)
    active = prompts.select_related("group").in_bulk([row.prompt_id for row in rows])
    shares = {"validation_share": project.validation_share, "test_share": project.test_share}
    left_out = dict.fromkeys((GONE, NOT_HELD_OUT, NAMED, BEYOND), 0)
    kept: list[_Drawn] = []
    for row in rows:
        prompt = active.get(row.prompt_id)
        if prompt is None:
            left_out[GONE] += 1
        elif split_of(prompt.group.key, **shares) not in SPLITS:
            left_out[NOT_HELD_OUT] += 1
        elif names_its_maker(row.policy["text"]) or names_its_maker(row.baseline["text"]):
            left_out[NAMED] += 1
        else:
            kept.append(row)
    if not kept:
        text = _("None of its replies can be shown: evaluate on other prompts.")
        raise InvalidInput(_("People can't be asked about these replies."), errors={"run": [text]})
    random.Random(f"contest {run.uid}").shuffle(kept)  # noqa: S311 - a draw, not a secret
    left_out[BEYOND] = max(0, len(kept) - most)
    return kept[:most], {reason: count for reason, count in left_out.items() if count}


def _first_replies(run: TrainingRun) -> Iterator[_Drawn]:
    """Yield each prompt with the first reply of both policies, in the order of the file."""
    firsts: dict[tuple[str, str], dict[str, Any]] = {}
    for line in read_lines(run.folder / rundir.EVALUATIONS):
        firsts.setdefault((line["prompt_id"], line["by"]), line)
    for (prompt_id, by), line in firsts.items():
        other = firsts.get((prompt_id, "baseline"))
        if by == "policy" and other is not None:
            yield _Drawn(int(prompt_id), line, other)


def _ask(contest: Contest, drawn: Sequence[_Drawn], actor: User | None) -> None:
    """Queue a comparison of each pair of different replies, and note which slot is whose."""
    dice = random.Random(f"slots {contest.run.uid}")  # noqa: S311 - a draw, not a secret
    asked = [row for row in drawn if not row.is_same]
    ours = _stored(contest, actor, contest.policy, [(r.prompt_id, r.policy) for r in asked])
    theirs = _stored(contest, actor, contest.baseline, [(r.prompt_id, r.baseline) for r in asked])
    slots = [dice.randrange(2) for _row in asked]
    comparisons = queue_for_evaluation(
        actor=actor,
        project=contest.project,
        groups=[
            [one, other] if slot == 0 else [other, one]
            for one, other, slot in zip(ours, theirs, slots, strict=True)
        ],
        overlap=contest.overlap,
        priority=contest.priority,
    )
    made = {
        row.prompt_id: {"comparison": comparison, "policy_slot": slot}
        for row, comparison, slot in zip(asked, comparisons, slots, strict=True)
    }
    ContestComparison.objects.bulk_create(
        [
            ContestComparison(
                contest=contest,
                place=place,
                prompt_id=row.prompt_id,
                policy_length=len(row.policy["text"]),
                baseline_length=len(row.baseline["text"]),
                **made.get(row.prompt_id, {}),
            )
            for place, row in enumerate(drawn)
        ],
        batch_size=1000,
    )


def _stored(
    contest: Contest,
    actor: User | None,
    model: ModelVersion,
    lines: Sequence[tuple[int, dict[str, Any]]],
) -> list[Candidate]:
    """Store replies of a model as candidates, rendered and with their source, in order."""
    config = contest.run.config
    samples = [
        Sample(
            prompt_id=prompt_id,
            text=storable(line["text"]),
            model_name=str(model),
            model_sha256=model.sha256,
            finish_reason="stop" if line.get("ended", True) else "length",
            seed=line.get("seed"),
            temperature=config.get("temperature"),
            max_new_tokens=config.get("max_new_tokens"),
            logprob=line.get("logprob"),
            sampling={"evaluation": str(contest.run.uid), "candidate": line.get("candidate", 0)},
        )
        for prompt_id, line in lines
    ]
    sources = add_samples(actor=actor, project=contest.project, samples=samples)
    return [source.candidate for source in sources]


@transaction.atomic
def settle_contest(*, contest_id: int) -> Contest | None:
    """End a contest that is decided, or that nobody can be asked about any more.

    What is still open is withdrawn. None where another process holds it, or it has ended.
    """
    rows = Contest.objects.select_for_update(of=("self",), skip_locked=True)
    rows = rows.select_related("project", "policy", "baseline", "run")
    contest = rows.filter(pk=contest_id, state=State.OPEN).first()
    if contest is None:
        return None
    is_over = not asked_in(contest).open
    pairs = pairs_of_contest(contest)
    figures = figures_of(pairs, indifference=contest.indifference, is_over=is_over)
    if not figures.outcome and not is_over:
        return contest
    contest.result = figures.to_json()
    _end(contest, State.DECIDED if figures.outcome else State.USED_UP, None)
    rate = contest.result["rate"]
    _record(contest, None, "contest.end", {"outcome": figures.outcome, "rate": rate})
    return contest


@transaction.atomic
def withdraw_contest(*, actor: User | None, contest: Contest) -> Contest:
    """End a contest by hand; what was said stays, with the figures that it gave.

    Raises ContestEnded where it has ended.
    """
    rows = Contest.objects.select_for_update(of=("self",)).select_related("project", "run")
    held = rows.get(pk=contest.pk)
    if not held.is_open:
        raise ContestEnded(_("This contest has already ended."))
    pairs = pairs_of_contest(held)
    held.result = figures_of(pairs, indifference=held.indifference, is_over=False).to_json()
    _end(held, State.WITHDRAWN, actor)
    _record(held, actor, "contest.withdraw", {"judged": held.result["pairs"]})
    return held


def _end(contest: Contest, state: Contest.State, actor: User | None) -> None:
    asked = ContestComparison.objects.filter(contest=contest, comparison__isnull=False)
    withdraw_open_comparisons(
        actor=actor,
        project=contest.project,
        comparison_ids=[pk for pk in asked.values_list("comparison_id", flat=True) if pk],
    )
    contest.state, contest.ended_at = state, timezone.now()
    contest.save(update_fields=["state", "ended_at", "result"])


def _record(contest: Contest, actor: User | None, verb: str, data: dict[str, Any]) -> None:
    audit.record(
        actor=actor,
        project=contest.project,
        verb=verb,
        obj=contest,
        data={"number": contest.number, "policy": str(contest.policy), **data},
    )


def withdraw_contests_of(*, actor: User | None, run: TrainingRun) -> None:
    """End what is open over an evaluation's replies, because they are wanted no more."""
    for contest in Contest.objects.filter(run=run, state=State.OPEN):
        with suppress(ContestEnded):
            withdraw_contest(actor=actor, contest=contest)
