"""Simulated annotators work through the same queue, and their noise is what was asked."""

import pytest

from labeling.demo.gold import gold_score, pair_agreement
from labeling.demo.world import bad_reply, good_reply, prompts
from labeling.domain.content import plain_messages, reply_text
from labeling.exceptions import InvalidInput
from labeling.models import Annotator, Judgement, Project
from labeling.services.simulation import simulate_annotators
from tests.factories import make_project, owner_of
from tests.labeling.services.test_imports import take

pytestmark = pytest.mark.django_db


def demo_project(count: int = 12) -> Project:
    """Return a project with one comparison of four replies for each of some demo prompts."""
    import random

    rng = random.Random(1)
    project = make_project(overlap=2)
    rows = [
        {
            "prompt": prompt.messages,
            "responses": [
                {"text": make(prompt, rng)} for make in (good_reply, bad_reply) for _ in range(4)
            ],
        }
        for prompt in prompts()[:count]
    ]
    take(project, rows)
    return project


def test_simulate_annotators_without_noise_agrees_with_gold_in_every_pair() -> None:
    project = demo_project()
    report = simulate_annotators(
        actor=owner_of(project), project=project, annotators=2, judgements=10, noise=0.0
    )
    assert (report.judgements, report.agreement) == (10, 1.0)
    assert report.pairs > 0
    assert set(Judgement.objects.values_list("origin", flat=True)) == {"simulated"}
    kinds = Annotator.objects.filter(project=project).values_list("kind", flat=True)
    assert list(kinds) == ["simulated"] * 2
    judgement = Judgement.objects.all()[0]
    messages = [
        {"role": m["role"], "content": m["content"][0]["text"]}
        for m in judgement.comparison.prompt.messages
    ]
    slots = {s.slot: s.candidate for s in judgement.comparison.slots.all()}
    scores = [
        gold_score(messages, slots[tier[0]].messages[0]["content"][0]["text"])
        for tier in judgement.tiers
    ]
    assert scores == sorted(scores, reverse=True)


def test_simulate_annotators_stops_when_the_queue_is_empty() -> None:
    project = demo_project(count=2)
    report = simulate_annotators(
        actor=owner_of(project), project=project, annotators=3, judgements=1000, noise=0.5
    )
    assert report.judgements == Judgement.objects.count() > 0
    assert report.agreement < 1.0


def test_simulate_annotators_refuses_numbers_out_of_range() -> None:
    project = make_project()
    with pytest.raises(InvalidInput) as caught:
        simulate_annotators(
            actor=owner_of(project),
            project=project,
            annotators=0,
            judgements=1,
            noise=2,
            careless=1,
        )
    assert set(caught.value.errors) == {"annotators", "careless", "noise"}


def test_the_careless_rank_without_looking() -> None:
    project = demo_project()
    report = simulate_annotators(
        actor=owner_of(project),
        project=project,
        annotators=2,
        judgements=40,
        noise=0.0,
        careless=1,
    )
    looked: dict[str, list[float]] = {}
    for judgement in Judgement.objects.select_related("annotator", "comparison__prompt"):
        name = judgement.annotator.name.rsplit("-", 1)[1]
        looked.setdefault(name, []).append(_agreement(judgement))
    assert set(looked["1"]) == {1.0}
    assert min(looked["2"]) < 0.5 < max(looked["2"])
    assert 0.5 < report.agreement < 1.0


def _agreement(judgement: Judgement) -> float:
    """Return the share of a judgement's pairs that gold puts the same way."""
    prompt = plain_messages(judgement.comparison.prompt.messages)
    slots = judgement.comparison.slots.select_related("candidate").order_by("slot")
    scores = [gold_score(prompt, reply_text(slot.candidate.messages)) for slot in slots]
    return pair_agreement(judgement.tiers, scores)
