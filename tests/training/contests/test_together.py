"""Several annotators and the clock at once: nobody waits for anybody else, nothing counts twice."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from labeling.models import Comparison, User
from labeling.services.assignments import claim_next
from tests.factories import make_member
from tests.training.contests.playing import left_open, make_contest, prefer
from training import tasks
from training.contests.models import Contest
from training.contests.selectors import figures_now, pairs_of_contest

pytestmark = pytest.mark.django_db(transaction=True)


def test_people_who_judge_while_it_is_settled():
    contest = make_contest(prompts=40)
    people = [make_member(contest.project, "annotator") for _ in range(3)]

    def work(actor: User) -> int:
        try:
            return prefer(contest.project, "policy", actor=actor, most=8)
        finally:
            connection.close()

    def settle() -> None:
        try:
            for _ in range(12):
                tasks.settle_contests()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        settled = pool.submit(settle)
        done = sum(pool.map(work, people))
        settled.result()
    tasks.settle_contests()
    contest = Contest.objects.get()
    figures = figures_now(contest)
    assert (contest.state, figures.outcome, figures.pairs) == ("decided", "policy", 10)
    judged = [pair for pair in pairs_of_contest(contest) if pair.won is not None]
    assert 10 <= len(judged) <= done
    assert left_open(contest) == 0
    assert not Comparison.objects.filter(open_slots__gt=0).exists()
    assert all(claim_next(actor=actor, project=contest.project) is None for actor in people)
