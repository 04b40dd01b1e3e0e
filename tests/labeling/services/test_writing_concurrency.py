"""Twelve threads at one writing queue: no prompt is written to too often, or twice by one."""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from labeling.models import Demonstration, Project, Prompt, User, WritingAssignment
from labeling.selectors.writing import WritingCard
from labeling.services.demonstrations import Writing, submit_and_claim_writing, submit_demonstration
from labeling.services.writing import claim_writing, skip_writing
from tests.factories import make_member, make_project, make_prompts

THREADS, WANTED = 12, 3

pytestmark = pytest.mark.django_db(transaction=True)


def _project(prompts: int) -> Project:
    project = make_project(demonstrations_per_prompt=WANTED)
    make_prompts(project, prompts, candidates=0)
    return project


def _writing(card: WritingCard) -> Writing:
    uid = str(card.assignment_uid)
    return Writing(text=f"A reply under {uid}.", idempotency_key=uid)


def _until_all_is_written(
    project: Project, actor: User, step: Callable[[WritingCard], None]
) -> None:
    """Claim and step while replies are wanted, giving the connection back as a request does."""
    missing = Demonstration.objects.filter(prompt__project=project, surplus=False)
    wanted = WANTED * Prompt.objects.filter(project=project).count()
    while True:
        card = claim_writing(actor=actor, project=project)
        if card is not None:
            step(card)
        elif missing.count() >= wanted:
            connection.close()
            return
        connection.close()
        if card is None:  # all that is left is on other people's screens
            time.sleep(0.01)


def _in_threads(work: Callable[[int], None]) -> None:
    """Run the work in every thread; the first error comes through."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def _assert_each_written_by_three_people(project: Project, prompts: int) -> None:
    rows = Demonstration.objects.filter(prompt__project=project)
    by_person = Counter(rows.values_list("prompt_id", "annotator_id"))
    assert set(by_person.values()) == {1}
    people = Counter(prompt for prompt, _ in by_person)
    assert Counter(people.values()) == {WANTED: prompts}
    assert not rows.filter(surplus=True).exists()
    counts = Prompt.objects.filter(project=project).values_list("writer_count", flat=True)
    assert Counter(counts) == {WANTED: prompts}


def test_100_prompts_are_each_written_to_by_3_of_9_people() -> None:
    """Three of the nine sit at two keyboards at once, and send the same reply twice."""
    project = _project(100)
    people = [make_member(project) for _ in range(9)]

    def work(number: int) -> None:
        actor = people[number % len(people)]

        def step(card: WritingCard | None) -> None:
            while card is not None:
                _, card = submit_and_claim_writing(
                    actor=actor, assignment_uid=card.assignment_uid, writing=_writing(card)
                )
                connection.close()

        _until_all_is_written(project, actor, step)

    _in_threads(work)
    _assert_each_written_by_three_people(project, 100)
    assignments = WritingAssignment.objects.filter(prompt__project=project)
    assert Counter(assignments.values_list("state", flat=True)) == {"written": 100 * WANTED}


def test_leases_that_end_and_skips_lose_no_place() -> None:
    """Every tenth prompt is skipped, every tenth left to expire; the count comes out the same."""
    project = _project(25)
    people = [make_member(project) for _ in range(THREADS)]

    def work(number: int) -> None:
        rng = random.Random(number)
        actor = people[number]
        skips_left = 2  # so that three people are left for every prompt

        def step(card: WritingCard) -> None:
            nonlocal skips_left
            fate, uid = rng.random(), card.assignment_uid
            if fate < 0.1 and skips_left:
                skips_left -= 1
                skip_writing(actor=actor, assignment_uid=uid, reason="no")
            elif fate < 0.2:
                lease = WritingAssignment.objects.filter(uid=uid, state="leased")
                lease.update(expires_at=timezone.now())
            else:
                submit_demonstration(actor=actor, assignment_uid=uid, writing=_writing(card))

        _until_all_is_written(project, actor, step)

    _in_threads(work)
    _assert_each_written_by_three_people(project, 25)
