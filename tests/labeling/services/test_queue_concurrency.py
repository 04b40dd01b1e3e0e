"""Sixteen threads at one queue: nothing is counted too often, too seldom, or twice by one."""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from labeling.models import Assignment, Comparison, Judgement, PreferencePair, Project, User
from labeling.selectors.queue import Card
from labeling.services.assignments import claim_next, skip_assignment
from labeling.services.comparisons import queue_comparisons
from labeling.services.judgements import Submission, submit_and_claim, submit_judgement
from tests.factories import make_member, make_project, make_prompts

THREADS, OVERLAP = 16, 3

pytestmark = pytest.mark.django_db(transaction=True)


def _project(comparisons: int) -> Project:
    project = make_project()
    ids = [prompt.pk for prompt in make_prompts(project, comparisons, candidates=2)]
    queue_comparisons(actor=None, project=project, prompt_ids=ids, overlap=OVERLAP, size=2)
    return project


def _submission(card: Card) -> Submission:
    """Return a ranking drawn by the assignment, so that a second keyboard sends the same body."""
    rng = random.Random(str(card.assignment_uid))
    positions = rng.sample([c.position for c in card.candidates], len(card.candidates))
    tiers = [positions] if rng.random() < 0.2 else [[p] for p in positions]
    return Submission(tiers=tiers, touched=True)


def _in_threads(work: Callable[[int], None]) -> None:
    """Run the work in every thread; the first error comes through."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def _until_all_is_judged(project: Project, actor: User, step: Callable[[Card], None]) -> None:
    """Claim and step while anything is open, giving the connection back as a request does."""
    is_open = Comparison.objects.filter(project=project, state=Comparison.State.OPEN)
    while True:
        card = claim_next(actor=actor, project=project)
        if card is not None:
            step(card)
        elif not is_open.exists():
            connection.close()
            return
        connection.close()
        if card is None:  # all that is left is on other people's screens
            time.sleep(0.01)


def _assert_judged_by_three_people_each(project: Project, comparisons: int) -> None:
    rows = Judgement.objects.filter(project=project)
    by_person = Counter(rows.values_list("comparison_id", "annotator_id"))
    assert set(by_person.values()) == {1}
    people = Counter(comparison for comparison, _ in by_person)
    assert Counter(people.values()) == {OVERLAP: comparisons}
    assert not rows.filter(surplus=True).exists()
    ends = Comparison.objects.filter(project=project).order_by()
    ends_as = ends.values_list("state", "open_slots", "judgement_count").distinct()
    assert list(ends_as) == [("closed", 0, OVERLAP)]
    pairs = PreferencePair.objects.filter(judgement__project=project)
    assert pairs.count() == comparisons * OVERLAP  # K = 2: one pair each


def test_500_comparisons_are_each_judged_by_3_of_12_people() -> None:
    """Four of the twelve sit at two keyboards at once; submit and claim share one transaction."""
    project = _project(500)
    people = [make_member(project) for _ in range(12)]

    def work(number: int) -> None:
        actor = people[number % len(people)]

        def step(card: Card | None) -> None:
            while card is not None:
                _, card = submit_and_claim(
                    actor=actor,
                    project=project,
                    assignment_uid=card.assignment_uid,
                    submission=_submission(card),
                    idempotency_key=str(card.assignment_uid),
                )
                connection.close()

        _until_all_is_judged(project, actor, step)

    _in_threads(work)
    _assert_judged_by_three_people_each(project, 500)
    assignments = Assignment.objects.filter(comparison__project=project)
    assert Counter(assignments.values_list("state", flat=True)) == {"judged": 500 * OVERLAP}


def test_leases_that_end_and_skips_lose_no_slot() -> None:
    """Every tenth card is skipped, every tenth is left to expire; the count comes out the same."""
    project = _project(40)
    people = [make_member(project) for _ in range(THREADS)]

    def work(number: int) -> None:
        rng = random.Random(number)
        actor = people[number]
        skips_left = 3  # so that three people are left for every comparison

        def step(card: Card) -> None:
            nonlocal skips_left
            fate = rng.random()
            if fate < 0.1 and skips_left:
                skips_left -= 1
                skip_assignment(actor=actor, assignment_uid=card.assignment_uid, reason="no")
            elif fate < 0.2:
                lease = Assignment.objects.filter(uid=card.assignment_uid, state="leased")
                lease.update(expires_at=timezone.now())
            else:
                submit_judgement(
                    actor=actor,
                    assignment_uid=card.assignment_uid,
                    submission=_submission(card),
                    idempotency_key=str(card.assignment_uid),
                )

        _until_all_is_judged(project, actor, step)

    _in_threads(work)
    _assert_judged_by_three_people_each(project, 40)
