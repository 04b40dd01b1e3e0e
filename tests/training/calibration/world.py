"""Comparisons that people and an AI judge judged, by hand."""

from collections.abc import Sequence
from typing import Any

from labeling.models import Annotator, Comparison, Project, Tag
from labeling.services.ai_judgements import AIJudgement, give_to_ai, record_ai_judgements
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from tests.factories import make_comparison, make_member
from tests.training.factories import make_model
from training.judges.models import Judge
from training.judges.services import create_judge

FIRST, SECOND = [[0], [1]], [[1], [0]]


def make_judge(project: Project, name: str = "critic") -> Judge:
    return create_judge(actor=None, project=project, name=name, model=make_model(project))


def ai_says(
    judge: Judge,
    comparison: Comparison,
    tiers: list[list[int]],
    soft: float | None = None,
    **more: Any,
) -> None:
    """Record what the judge says of a comparison of two."""
    pairs = [] if soft is None else [{"first": 0, "second": 1, "soft": soft, **more}]
    said = AIJudgement(
        comparison_id=comparison.pk, tiers=tiers, provenance={"judge": "x", "pairs": pairs}
    )
    record_ai_judgements(actor=None, annotator=judge.annotator, said=[said])


def people_say(project: Project, answers: Sequence[list[list[int]]]) -> None:
    """Let as many new people each judge what the queue gives, in slots."""
    for number, tiers in enumerate(answers):
        person = make_member(project, "annotator")
        card = claim_next(actor=person, project=project)
        annotator = Annotator.objects.get(user=person, project=project)
        order = annotator.assignments.latest("pk").shown_order
        submit_judgement(
            actor=person,
            assignment_uid=card.assignment_uid,
            submission=Submission(
                tiers=[[order.index(slot) for slot in tier] for tier in tiers], touched=True
            ),
            idempotency_key=f"{card.assignment_uid}-{number}",
        )


def judged(
    project: Project, judge: Judge, people: Sequence[list[list[int]]], tag: str = "", **said: Any
) -> Comparison:
    """Return a comparison of two that people and the judge judged; the judge says FIRST."""
    comparison = make_comparison(project, k=2, overlap=len(people))
    if tag:
        comparison.prompt.tags.add(Tag.objects.get_or_create(project=project, name=tag)[0])
    people_say(project, people)
    ai_says(judge, comparison, FIRST, **said)
    return comparison


def left_to_ai(project: Project, judge: Judge, soft: float, tag: str = "") -> Comparison:
    """Return a comparison that the AI judge alone judged."""
    comparison = make_comparison(project, k=2)
    if tag:
        comparison.prompt.tags.add(Tag.objects.get_or_create(project=project, name=tag)[0])
    give_to_ai(actor=None, project=project, comparison_ids=[comparison.pk])
    ai_says(judge, comparison, FIRST, soft=soft)
    return comparison
