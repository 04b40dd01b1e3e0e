"""Finished evaluations with replies to compare, and people who compare them."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from labeling.models import Comparison, Project, Prompt, User
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.projects import ensure_tags
from tests.factories import make_prompt, owner_of
from tests.training.factories import make_evaluation, make_held_out_project, make_model
from tests.training.rounds.turning import LOOP, PLAYS_ALL
from training import rundir
from training.contests.models import Contest
from training.contests.services import open_contest
from training.models import ModelVersion, TrainingRun
from training.recipes.evaluation_report import report_of
from training.rounds.loops import parse_loop
from training.rounds.models import Round, RoundStep
from training.rounds.selectors import current_policy
from training.rounds.services import promote_model
from training.services.attempts import storable

Text = Callable[[int, str, int], str]

# The stand-in for every recipe, whose evaluation leaves its replies, too.
PLAYS_EVALUATIONS = PLAYS_ALL.replace(
    'if head["recipe"] == "evaluate":',
    """if head["recipe"] == "evaluate":
    with (folder / rundir.EVALUATIONS).open("w") as file:
        for line in (folder / rundir.DATA).read_text().splitlines():
            prompt = json.loads(line)["prompt_id"]
            for who in ("policy", "baseline"):
                file.write(json.dumps({"prompt_id": prompt, "by": who, "candidate": 0, "seed": 1,
                    "text": f"{who} to {prompt}", "tokens": 3, "ended": True, "reward": 1.0,
                    "logprob": -3.0, "reference_logprob": -4.0, "kl_k3": 1.0, "entropy": 1.0}))
                file.write(chr(10))""",
)


def told_apart(prompt_id: int, who: str, candidate: int) -> str:
    """Replies that say whose they are: nobody but a test could read that."""
    return f"{who} answers {prompt_id}" + " again" * candidate


def line(prompt_id: int, who: str, candidate: int, text: str, **changes: Any) -> dict[str, Any]:
    """Return a line of evaluations.jsonl."""
    reward = 1.0 if who == "policy" else 0.0
    return {
        **{"prompt_id": str(prompt_id), "by": who, "candidate": candidate, "seed": candidate},
        **{"text": text, "tokens": max(1, len(text.split())), "ended": True, "reward": reward},
        **{"logprob": -3.0, "reference_logprob": -4.0, "kl_k3": 1.0, "entropy": 2.0},
        **changes,
    }


def finish_evaluation(
    run: TrainingRun, text: Text = told_apart, replies: int = 2, **by_line: Any
) -> TrainingRun:
    """Bring a queued evaluation to its end with these replies, as its recipe would have."""
    lines = [
        line(prompt_id, who, candidate, text(prompt_id, who, candidate), **by_line)
        for who in ("policy", "baseline")
        for prompt_id in run.evaluation.prompt_ids
        for candidate in range(replies)
    ]
    write_evaluation(run, lines)
    return run


def write_evaluation(run: TrainingRun, lines: Sequence[dict[str, Any]]) -> None:
    """Leave lines and their report as the recipe does."""
    run.folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in lines)
    (run.folder / rundir.EVALUATIONS).write_text(text)
    run.state = TrainingRun.State.SUCCEEDED
    kept = [{**row, "text": storable(row["text"])} for row in lines]
    run.result = {"evaluation": report_of(kept)}
    run.save(update_fields=["state", "result"])


def make_finished_evaluation(
    project: Project | None = None, prompts: int = 12, **how: Any
) -> TrainingRun:
    """Return a finished evaluation of a new policy against another on new held-out prompts."""
    project = project or make_held_out_project()
    for _ in range(prompts):
        make_prompt(project, candidates=0)
    run = make_evaluation(
        project,
        prompts=0,
        policy=make_model(project, name="new"),
        baseline=make_model(project, name="old"),
    )
    return finish_evaluation(run, **how)


def make_contest(prompts: int = 12, how: dict[str, Any] | None = None, **fields: Any) -> Contest:
    """Return an open contest over a finished evaluation."""
    run = make_finished_evaluation(prompts=prompts, **(how or {}))
    return open_contest(actor=owner_of(run.project), project=run.project, run=run, **fields)


def make_evaluating_round(
    prompts: int = 12, how: dict[str, Any] | None = None, **config: Any
) -> Round:
    """Return a round that stands at its finished evaluation; no process has run for it."""
    project = make_held_out_project()
    for _ in range(prompts):
        make_prompt(project, candidates=0)
    return add_evaluating_round(project, how, **config)


def add_evaluating_round(
    project: Project, how: dict[str, Any] | None = None, **config: Any
) -> Round:
    """Return the project's next round, which begins with what is current, or a model "old"."""
    owner, number = owner_of(project), Round.objects.filter(project=project).count() + 1
    old = current_policy(project)
    if old is None:
        old = make_model(project, name="old")
        promote_model(actor=owner, project=project, model=old)
    new, ended = make_model(project, name="new"), timezone.now()
    learned = TrainingRun.objects.create(
        project=project,
        recipe="dpo",
        state=TrainingRun.State.SUCCEEDED,
        base_model=old,
        started_at=ended - timedelta(seconds=90),
        finished_at=ended,
    )
    ModelVersion.objects.filter(pk=new.pk).update(run=learned, parent=old)
    round = Round.objects.create(
        project=project,
        number=number,
        state=Round.State.EVALUATING,
        config=parse_loop({**LOOP, **config}).to_json(),
        policy=old,
        created_by=owner,
    )
    run = finish_evaluation(
        make_evaluation(project, prompts=0, policy=new, baseline=old), **(how or {})
    )
    for kind, made in (("policy", learned), ("evaluate", run)):
        RoundStep.objects.create(round=round, kind=kind, run=made)
    return round


def prefer(
    project: Project,
    better: str,
    *,
    actor: User | None = None,
    most: int = 1000,
    **said: Any,
) -> int:
    """Judge what is asked, preferring replies that begin with that word; return how many.

    "tie" places both alike.
    """
    actor, done = actor or owner_of(project), 0
    while done < most and (card := claim_next(actor=actor, project=project)):
        texts = [candidate.text for candidate in card.candidates]
        first = int(not texts[0].startswith(better))
        tiers = [[0, 1]] if better == "tie" else [[first], [1 - first]]
        submit_judgement(
            actor=actor,
            assignment_uid=card.assignment_uid,
            submission=Submission(**{"tiers": tiers, "touched": True, "active_ms": 2000, **said}),
            idempotency_key=str(card.assignment_uid),
        )
        done += 1
    return done


def left_open(contest: Contest) -> int:
    """Return how many of a contest's comparisons still ask."""
    return Comparison.objects.filter(contested__contest=contest, state="open").count()


def tagged(project: Project, name: str, count: int) -> list[Prompt]:
    """Give the project's first prompts without a tag this one."""
    tag = ensure_tags(project=project, names={name})[name]
    rows = list(Prompt.objects.filter(project=project, tags=None).order_by("pk")[:count])
    for row in rows:
        row.tags.add(tag)
    return rows
