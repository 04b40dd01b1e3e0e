"""What is read for a run's health: what its reward model has seen, how people agree, marks."""

from datetime import UTC, datetime
from math import log
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from labeling.models import Assignment, CandidateSource, Project, Snapshot
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_admin, make_comparison, make_member, make_project, owner_of
from tests.locale.pages import english_in
from tests.training.factories import make_model, make_rewarded_run, make_run, make_snapshot
from training.health_facts import ceiling_of
from training.models import Evaluation, MetricPoint, ModelVersion, TrainingRun
from training.run_health import label_ceiling, marks_of, reward_reach, run_health, win_rates_of
from training.selectors import get_run
from training.services.finishing import note_health

pytestmark = pytest.mark.django_db

WIN = {"value": 0.3, "low": 0.25, "high": 0.35}


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


def measured(run: TrainingRun, **series: list[float]) -> None:
    """Let a run have measured these values, one a step; / is written __."""
    rows = zip(*series.values(), strict=True)
    MetricPoint.objects.bulk_create(
        MetricPoint(
            run=run,
            attempt_number=1,
            step=step,
            values=dict(zip((name.replace("__", "/") for name in series), row, strict=True)),
            recorded_at=datetime.now(UTC),
        )
        for step, row in enumerate(rows, start=1)
    )


def drawn_by(snapshot: Snapshot, *models: ModelVersion) -> None:
    """Let the candidates of a snapshot's comparisons come from the models in turn."""
    found = CandidateSource.objects.filter(
        candidate__slots__comparison__judgements__snapshot_items__snapshot=snapshot
    )
    for number, source in enumerate(found.order_by("pk").distinct()):
        source.model_sha256 = models[number % len(models)].sha256
        source.save(update_fields=["model_sha256"])


def judged_run(project: Project, labels: int = 3) -> tuple[TrainingRun, Snapshot]:
    """A PPO run whose reward model learned from a snapshot, all of it to learn from."""
    snapshot = make_snapshot(project, labels)
    snapshot.items.update(split="train")
    judge = make_model(project, "reward", "judge")
    judge.run = make_run(project, recipe="reward", snapshot=snapshot)
    judge.save(update_fields=["run"])
    return make_rewarded_run(project, reward_model=judge), snapshot


def learned(policy: ModelVersion, base: ModelVersion, **measures: float) -> ModelVersion:
    """The policy as one that a run made from that base."""
    policy.provenance = {"base_model": {"sha256": base.sha256}, "metrics": measures}
    policy.save(update_fields=["provenance"])
    return policy


def test_reach_is_not_known_where_no_candidate_came_from_the_reference_or_near_it() -> None:
    project = make_project()
    run, snapshot = judged_run(project)
    assert reward_reach(run) is None
    drawn_by(snapshot, make_model(project, name="stranger"))
    cache.clear()
    assert reward_reach(run) is None
    assert reward_reach(make_rewarded_run(project)) is None  # a reward model from outside
    assert reward_reach(make_run(project)) is None  # nobody judges


def test_reach_of_candidates_from_the_reference_is_the_logarithm_of_their_number() -> None:
    run, snapshot = judged_run(make_project())
    assert run.base_model is not None
    drawn_by(snapshot, run.base_model)
    assert reward_reach(run) == pytest.approx(log(12))


def test_reach_is_that_of_the_policy_whose_own_draws_reach_furthest() -> None:
    """Twelve candidates in turn: four of the reference, of a policy at 3 nats, of a stranger."""
    project = make_project()
    run, snapshot = judged_run(project)
    base = run.base_model
    assert base is not None
    near = learned(make_model(project, name="near"), base, **{"objective/kl": 3.0})
    other = learned(make_model(project, name="other"), near, **{"objective/kl": 9.0})
    drawn_by(snapshot, base, near, other)
    assert reward_reach(run) == pytest.approx(3.0 + log(4))


def test_many_draws_of_the_reference_reach_beyond_few_of_a_policy_near_it() -> None:
    """Nine of twelve are the reference's: log 9 = 2.2 is more than 0.5 + log 3 = 1.6."""
    project = make_project()
    run, snapshot = judged_run(project)
    base = run.base_model
    assert base is not None
    near = learned(make_model(project, name="near"), base, **{"objective/kl": 0.5})
    drawn_by(snapshot, base, base, base, near)
    assert reward_reach(run) == pytest.approx(log(9))


def test_validation_comparisons_taught_the_reward_model_nothing() -> None:
    run, snapshot = judged_run(make_project())
    assert run.base_model is not None
    drawn_by(snapshot, run.base_model)
    first = snapshot.items.first()
    assert first is not None
    snapshot.items.filter(pk=first.pk).update(split="validation")
    assert reward_reach(run) == pytest.approx(log(8))


def evaluated(
    run: TrainingRun, *, steps: int, baseline: ModelVersion, kl: float = 2.0, **wins: Any
) -> ModelVersion:
    """A finished evaluation of a model that the run made after so many steps."""
    project = run.project
    policy = make_model(project, name=f"after {steps}")
    policy.run, policy.provenance = run, {"steps": {"taken": steps}}
    policy.is_partial = True
    policy.save(update_fields=["run", "provenance", "is_partial"])
    result = {"evaluation": {"policy": {"kl": {"value": kl}}, "wins": wins}}
    asked = make_run(project)
    assert run.base_model is not None
    TrainingRun.objects.filter(pk=asked.pk).update(
        recipe="evaluate", state="succeeded", result=result, reward_model=run.reward_model
    )
    Evaluation.objects.create(
        run=asked,
        policy=policy,
        reference=run.base_model,
        baseline=baseline,
        selection={"split": "validation"},
    )
    return policy


def test_reach_reads_evaluations_too() -> None:
    run, snapshot = judged_run(make_project())
    assert run.base_model is not None
    policy = evaluated(run, steps=4, baseline=run.base_model, kl=5.0)
    drawn_by(snapshot, policy)
    assert reward_reach(run) == pytest.approx(5.0 + log(12))


def test_win_rates_begin_at_a_half_where_the_start_is_the_baseline() -> None:
    run, _ = judged_run(make_project())
    assert run.base_model is not None
    evaluated(run, steps=9, baseline=run.base_model, reward=WIN, judge=None)
    start, end = sorted(win_rates_of(run), key=lambda rate: rate.step)
    assert (start.step, start.value, start.high) == (0, 0.5, 0.5)
    assert (end.step, end.value, end.judge) == (9, 0.3, start.judge)
    other, _ = judged_run(make_project())
    evaluated(other, steps=9, baseline=make_model(other.project), reward=WIN)
    assert [rate.step for rate in win_rates_of(other)] == [9]


def test_reward_up_while_an_evaluation_is_lost_is_found() -> None:
    """The evaluation is written by hand: a real one would be a run of its own."""
    run, _ = judged_run(make_project())
    assert run.base_model is not None
    measured(run, objective__scores=[0.1 * step for step in range(9)])
    evaluated(run, steps=9, baseline=run.base_model, reward=WIN)
    (finding,) = run_health(get_run(run.project, run.uid)).findings
    assert finding.rule == "win_rate_falls"
    assert "from 50 % to 30 %" in finding.sentence


def twice_judged(project: Project, comparisons: int, agreed: int) -> Snapshot:
    """Comparisons of two replies, each judged by two people who agree on the first so many."""
    people = [owner_of(project), make_member(project)]
    for number in range(comparisons):
        make_comparison(project, k=2, overlap=2)
        for person, turned in zip(people, (False, number >= agreed), strict=True):
            card = claim_next(actor=person, project=project)
            assert card is not None
            submit_judgement(
                actor=person,
                assignment_uid=card.assignment_uid,
                submission=Submission(tiers=_best(card, turned), touched=True),
                idempotency_key=str(card.assignment_uid),
            )
    return freeze_snapshot(actor=people[0], project=project, kind="preferences")


def _best(card: Any, turned: bool) -> list[list[int]]:
    """Tiers by position that put the comparison's slot 0 first, or last."""
    first = Assignment.objects.get(uid=card.assignment_uid).shown_order.index(0)
    return [[1 - first], [first]] if turned else [[first], [1 - first]]


def test_ceiling_comes_from_the_pairs_that_two_people_ordered() -> None:
    project = make_project()
    snapshot = twice_judged(project, 24, agreed=18)
    ceiling = label_ceiling(snapshot)
    assert ceiling is not None
    assert ceiling.agreement == pytest.approx(0.75)
    assert ceiling.value == pytest.approx(ceiling_of(0.75))
    assert ceiling.value < ceiling.high < 1


def test_too_few_shared_comparisons_or_labels_of_others_give_no_ceiling() -> None:
    assert label_ceiling(make_snapshot(make_project(), 3)) is None
    project = make_project()
    snapshot = twice_judged(project, 24, agreed=24)
    project.annotators.filter(user=owner_of(project)).update(kind="ai")
    assert label_ceiling(snapshot) is None


def test_run_health_takes_few_queries_whatever_was_labelled(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """The curves and their count; draws, models and evaluations; those of the run's own models."""
    project = make_project()
    run, snapshot = judged_run(project, labels=5)
    assert run.base_model is not None
    drawn_by(snapshot, run.base_model)
    for steps in (3, 6, 9):
        evaluated(run, steps=steps, baseline=run.base_model, reward=WIN)
    measured(run, objective__kl=[0.1] * 20, objective__scores=[0.1] * 20)
    read = get_run(project, run.uid)
    assert read.reward_model is not None
    assert read.reward_model.run is not None
    assert read.reward_model.run.snapshot is not None
    with django_assert_num_queries(6):
        run_health(read)
    with django_assert_num_queries(5):
        run_health(read)


def test_marks_of_a_list_take_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    project = make_project()
    long, constant, well = (make_rewarded_run(project) for _ in range(3))
    measured(long, val__length=[40.0] * 5 + [90.0] * 300)
    measured(constant, objective__raw_scores_std=[0.0] * 300)
    measured(well, val__length=[40.0] * 300)
    ended = make_rewarded_run(project)
    ended.state, ended.result = "failed", {"health": {"worst": "bad", "found": ["negative_kl"]}}
    with django_assert_num_queries(1):
        marks = marks_of([long, constant, well, ended])
    assert marks == {"bad": {constant.pk, ended.pk}, "warn": {long.pk}}
    with django_assert_num_queries(0):
        assert marks_of([ended])["bad"] == {ended.pk}


def test_what_was_found_stands_beside_the_result_of_a_run_that_ended() -> None:
    run, _ = judged_run(make_project())
    measured(run, val__length=[40.0] * 5 + [90.0] * 8)
    TrainingRun.objects.filter(pk=run.pk).update(state="succeeded", result={"steps": 13})
    run.refresh_from_db()
    note_health(run=run)
    run.refresh_from_db()
    assert run.result == {"steps": 13, "health": {"worst": "warn", "found": ["length_drift"]}}
    TrainingRun.objects.filter(pk=run.pk).update(state="queued", result={})  # somebody resumed it
    note_health(run=run)
    run.refresh_from_db()
    assert run.result == {}


def _client(project: Project) -> Client:
    client = Client()
    client.force_login(owner_of(project))
    return client


def test_page_and_list_and_api_say_what_looks_wrong() -> None:
    run, _ = judged_run(make_project())
    project = run.project
    measured(run, val__length=[40.0] * 5 + [90.0] * 8)
    client = _client(project)
    page = reverse("training:run_detail", args=[project.slug, run.uid])
    html = client.get(page, headers={"HX-Request": "true"}).content.decode()
    assert 'id="health"' in html
    assert "Replies grew from 40 to 90 tokens, since step 6" in html
    assert "Nothing looks wrong" not in html
    listed = client.get(reverse("training:run_list", args=[project.slug])).content.decode()
    assert listed.count(f'href="{page}#health"') == 1
    told = client.get(f"/api/v1/projects/{project.slug}/runs/{run.uid}/").json()["health"]
    assert told["checked"] == ["length of the replies"]
    (finding,) = told["findings"]
    assert (finding["rule"], finding["severity"], finding["since_step"]) == (
        "length_drift",
        "warn",
        6,
    )


def test_page_says_in_one_line_that_nothing_looks_wrong_and_what_was_looked_at() -> None:
    run, _ = judged_run(make_project())
    page = reverse("training:run_detail", args=[run.project.slug, run.uid])
    client = _client(run.project)
    assert 'id="health"' not in client.get(page).content.decode()  # nothing was measured yet
    measured(run, val__length=[40.0] * 9, objective__raw_scores_std=[0.5] * 9)
    html = client.get(page).content.decode()
    assert "Nothing looks wrong." in html
    assert "length of the replies · scores that differ" in html


def test_every_finding_is_told_in_chinese_alone() -> None:
    run, _ = judged_run(make_project())
    measured(
        run,
        objective__kl=[-2.0] * 30,
        policy__entropy_avg=[1.0] * 5 + [0.1] * 25,
        val__length=[40.0] * 5 + [90.0] * 25,
        val__share_without_eos=[0.1] * 5 + [0.9] * 25,
        val__share_below_missing_eos=[0.9] * 30,
        val__first_ratio_gap=[0.3] * 30,
        objective__raw_scores_std=[0.0] * 30,
        rewards__margins=[0.0] * 30,
    )
    client = Client()
    client.force_login(make_admin(language="zh-hans"))
    page = client.get(reverse("training:run_detail", args=[run.project.slug, run.uid])).text
    assert page.count('class="notice') == 8
    assert "自第 1 步起，测得的 KL 为每个回复 -2 nat" in page
    assert english_in(page) == []
