"""Contests: blind, in the same queue, stopped when decided, and never learned from."""

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.exceptions import Conflict, InvalidInput, NothingToFreeze
from labeling.models import (
    Annotator,
    Assignment,
    AuditEvent,
    Candidate,
    Comparison,
    Judgement,
    Project,
    Prompt,
    SnapshotItem,
)
from labeling.selectors.strength import model_table
from labeling.services.assignments import claim_next
from labeling.services.gold import set_gold
from labeling.services.judgements import Submission, revise_judgement, submit_judgement
from labeling.services.prompts import Sample, add_samples
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_comparison, make_member, make_prompt, owner_of
from tests.training.contests.playing import (
    finish_evaluation,
    left_open,
    make_contest,
    make_finished_evaluation,
    prefer,
    told_apart,
)
from tests.training.factories import make_evaluation, make_held_out_project
from training import tasks
from training.contests.models import Contest, ContestComparison
from training.contests.selectors import (
    asked_in,
    contestable_evaluations,
    figures_now,
    judged_pairs,
    won_by_prompt,
)
from training.contests.services import open_contest, settle_contest, withdraw_contest
from training.exceptions import ContestEnded
from training.models import TrainingRun

pytestmark = pytest.mark.django_db
State = Contest.State


def test_one_reply_of_each_policy_to_each_prompt_in_one_comparison():
    contest = make_contest(prompts=12)
    rows = ContestComparison.objects.select_related("comparison__prompt")
    assert sorted(row.place for row in rows) == list(range(12))
    assert len({row.prompt_id for row in rows}) == 12
    for row in rows:
        slots = {s.slot: s.candidate for s in row.comparison.slots.all()}
        assert len(slots) == 2
        ours = slots[row.policy_slot].sources.get()
        assert (ours.model_name, ours.seed) == ("new v1", 0)
        assert slots[1 - row.policy_slot].sources.get().model_name == "old v1"
        assert row.comparison.for_evaluation
        assert row.policy_length == len(f"policy answers {row.prompt_id}")
    assert {row.policy_slot for row in rows} == {0, 1}  # by a die: no slot is always the policy's
    order = list(rows.order_by("place").values_list("prompt_id", flat=True))
    assert order != sorted(order)
    assert AuditEvent.objects.filter(verb="contest.open").count() == 1
    assert not contestable_evaluations(contest.project).exists()


def test_an_annotator_sees_a_card_like_any_other():
    contest = make_contest(prompts=2)
    Project.objects.update(candidates_per_comparison=2)
    card = claim_next(actor=owner_of(contest.project), project=contest.project)
    assert [candidate.position for candidate in card.candidates] == [0, 1]
    shown = repr(card)
    assert "v1" not in shown
    assert "contest" not in shown
    order = Assignment.objects.get().shown_order
    assert sorted(order) == [0, 1]


def test_replies_that_are_the_same_are_a_tie_nobody_is_asked_about():
    def text(prompt_id: int, who: str, candidate: int) -> str:
        return "the same" if prompt_id % 2 else told_apart(prompt_id, who, candidate)

    contest = make_contest(prompts=12, how={"text": text})
    asked = asked_in(contest)
    assert (asked.pairs, asked.comparisons, asked.open) == (12, 6, 6)
    assert not Candidate.objects.filter(content_hash="").exists()
    assert not Candidate.objects.filter(messages__icontains="the same").exists()
    assert prefer(contest.project, "policy") == 6
    settled = settle_contest(contest_id=contest.pk)
    figures = figures_now(settled)
    assert (settled.state, figures.pairs, figures.won, figures.same) == (State.USED_UP, 12, 6, 6)
    assert figures.rate.value == pytest.approx(0.75)


def test_two_policies_that_always_say_the_same_tie_without_asking():
    contest = make_contest(prompts=5, how={"text": lambda *_: "the same"})
    settled = settle_contest(contest_id=contest.pk)
    assert settled.state == State.USED_UP
    figures = figures_now(settled)
    assert (figures.pairs, figures.tied, figures.rate.value) == (5, 5, 0.5)


def test_it_stops_when_it_is_decided_and_withdraws_what_is_open():
    contest = make_contest(prompts=20)
    owner, other = owner_of(contest.project), make_member(contest.project, "annotator")
    assert prefer(contest.project, "policy", most=9) == 9
    tasks.settle_contests()
    contest.refresh_from_db()
    assert contest.is_open
    assert left_open(contest) == 11
    held = claim_next(actor=other, project=contest.project)
    assert prefer(contest.project, "policy", most=1) == 1
    tasks.settle_contests()
    contest.refresh_from_db()
    figures = figures_now(contest)
    assert (contest.state, figures.outcome, figures.pairs) == (State.DECIDED, "policy", 10)
    assert figures.rate.low >= 0.5
    assert (left_open(contest), claim_next(actor=owner, project=contest.project)) == (0, None)
    event = AuditEvent.objects.get(verb="contest.end")
    assert event.data["outcome"] == "policy"
    # Who had a card on the screen may send it: it is kept, and changes nothing.
    late = submit_judgement(
        actor=other,
        assignment_uid=held.assignment_uid,
        submission=Submission(tiers=[[0], [1]], touched=True),
        idempotency_key="late",
    )
    assert late.surplus
    contest.refresh_from_db()
    assert figures_now(contest) == figures
    assert settle_contest(contest_id=contest.pk) is None


def test_the_same_contest_is_settled_once():
    contest = make_contest(prompts=10)
    prefer(contest.project, "policy")
    for _ in range(3):
        tasks.settle_contests()
    assert AuditEvent.objects.filter(verb="contest.end").count() == 1


def test_used_up_without_a_decision():
    contest = make_contest(prompts=4)
    prefer(contest.project, "policy", most=2)
    prefer(contest.project, "baseline")
    settled = settle_contest(contest_id=contest.pk)
    figures = figures_now(settled)
    assert (settled.state, figures.outcome) == (State.USED_UP, "")
    assert (figures.won, figures.lost, figures.rate.value) == (2, 2, 0.5)


def test_both_bad_and_ties_are_half_and_what_cannot_be_ranked_is_nothing():
    contest = make_contest(prompts=4)
    project = contest.project
    prefer(project, "policy", most=1, verdict=Judgement.Verdict.BOTH_BAD, tiers=[])
    prefer(project, "tie", most=1)
    unrankable = {"verdict": Judgement.Verdict.UNRANKABLE, "unrankable_reason": "nonsense"}
    prefer(project, "policy", most=1, tiers=[], **unrankable)
    prefer(project, "policy", most=1)
    figures = figures_now(settle_contest(contest_id=contest.pk))
    assert (figures.pairs, figures.tied, figures.both_bad, figures.won) == (3, 2, 1, 1)
    assert figures.rate.value == pytest.approx(2 / 3)


def test_a_revision_counts_in_its_judgements_place():
    contest = make_contest(prompts=3)
    prefer(contest.project, "policy")
    first = Judgement.objects.order_by("pk").first()
    revise_judgement(
        actor=owner_of(contest.project),
        judgement_uid=first.uid,
        submission=Submission(tiers=[[0, 1]], touched=True),
        idempotency_key="again",
    )
    figures = figures_now(contest)
    assert (figures.won, figures.tied) == (2, 1)
    assert figures.path[0][1] == 0.5  # the first of the way, as it was the first to be judged


def test_with_overlap_a_pair_counts_when_all_have_spoken_by_their_mean():
    contest = make_contest(prompts=2, overlap=2)
    prefer(contest.project, "policy", most=2)
    assert figures_now(contest).pairs == 0
    prefer(contest.project, "baseline", actor=make_member(contest.project, "annotator"), most=1)
    figures = figures_now(contest)
    assert (figures.pairs, figures.tied, figures.judgements) == (1, 1, 2)


def test_what_an_ai_judge_says_counts_for_nothing():
    contest = make_contest(prompts=3)
    prefer(contest.project, "policy")
    assert figures_now(contest).pairs == 3
    Annotator.objects.update(kind=Annotator.Kind.AI)
    assert figures_now(contest).pairs == 0


def test_nothing_learns_from_a_contest():
    """The leak test: neither an own freeze nor one by time, tag or kind takes its judgements."""
    contest = make_contest(prompts=12)
    project = contest.project
    began = timezone.now() - timedelta(days=1)
    prefer(project, "policy")
    with pytest.raises(NothingToFreeze):
        freeze_snapshot(actor=owner_of(project), project=project)
    make_comparison(project)
    card = claim_next(actor=owner_of(project), project=project)
    submit_judgement(
        actor=owner_of(project),
        assignment_uid=card.assignment_uid,
        submission=Submission(tiers=[[n] for n in range(len(card.candidates))], touched=True),
        idempotency_key="ordinary",
    )
    ways = [{}, {"include_gold": True}, {"since": began}, {"annotator_kinds": ["person"]}]
    for way in ways:
        snapshot = freeze_snapshot(actor=owner_of(project), project=project, **way)
        assert snapshot.counts["labels"] == 1
        assert snapshot.drops["measures models: kept apart"] == 12
    assert not SnapshotItem.objects.filter(judgement__comparison__for_evaluation=True).exists()


def test_a_contests_comparison_is_never_gold_and_its_replies_are_asked_about_nowhere_else():
    contest = make_contest(prompts=3)
    comparison = Comparison.objects.filter(contested__contest=contest).first()
    with pytest.raises(Conflict, match="measured by this comparison"):
        set_gold(actor=owner_of(contest.project), comparison=comparison, tiers=[[0], [1]])
    from labeling.services.comparisons import queue_comparisons

    prompts = list(Prompt.objects.values_list("pk", flat=True))
    made = queue_comparisons(
        actor=None, project=contest.project, prompt_ids=prompts, size=2, origin="sampling"
    )
    assert made == []


def test_people_feed_the_table_of_models():
    contest = make_contest(prompts=10)
    prefer(contest.project, "policy")
    table = model_table(contest.project, judges="people")
    assert [(row.name, row.won) for row in table.groups[0]] == [("new v1", 10.0), ("old v1", 0.0)]


def test_ended_by_hand_it_keeps_its_figures_and_may_be_opened_again():
    contest = make_contest(prompts=6)
    owner = owner_of(contest.project)
    prefer(contest.project, "policy", most=4)
    assert judged_pairs(contest, 5) == []  # whoever reads may be one of those who judge
    assert won_by_prompt(contest) == {}
    ended = withdraw_contest(actor=owner, contest=contest)
    figures = figures_now(ended)
    assert (ended.state, figures.pairs, left_open(ended)) == (State.WITHDRAWN, 4, 0)
    assert [shown.won for shown in judged_pairs(ended, 5)] == [1.0] * 4
    assert judged_pairs(ended, 5)[0].policy.messages[0]["content"][0]["text"].startswith("policy")
    assert sorted(won_by_prompt(ended).values()) == [1.0] * 4
    with pytest.raises(ContestEnded):
        withdraw_contest(actor=owner, contest=ended)
    again = open_contest(actor=owner, project=contest.project, run=contest.run)
    assert (again.number, left_open(again)) == (2, 6)


def test_prompts_that_can_not_be_asked_about_are_told():
    run = make_finished_evaluation(prompts=8)
    ids = run.evaluation.prompt_ids
    Prompt.objects.filter(pk=ids[0]).update(state="withdrawn")
    finish_evaluation(
        run,
        text=lambda pk, who, n: (
            "I am ChatGPT, created by OpenAI." if pk == ids[1] else told_apart(pk, who, n)
        ),
    )
    contest = open_contest(actor=None, project=run.project, run=run, most=4)
    told = {"prompt withdrawn": 1, "a reply names its maker": 1, "more than was asked for": 2}
    assert contest.left_out == told
    assert asked_in(contest).pairs == 4


def test_prompts_that_are_no_longer_held_out_are_not_asked_about():
    run = make_finished_evaluation(prompts=3)
    Project.objects.update(validation_share=0.0, test_share=0.0)
    run.project.refresh_from_db()
    with pytest.raises(InvalidInput) as found:
        open_contest(actor=None, project=run.project, run=run)
    assert "evaluate on other prompts" in found.value.errors["run"][0]


def test_what_can_not_be_contested_says_why():
    run = make_finished_evaluation(prompts=3)
    project, owner = run.project, owner_of(run.project)

    def reason(field: str = "run", **changes: object) -> str:
        with pytest.raises(InvalidInput) as found:
            open_contest(**{"actor": owner, "project": project, "run": run, **changes})
        return found.value.errors[field][0]

    assert "1 to 2000" in reason("most", most=0)
    assert "less than a half" in reason("indifference", indifference=0.5)
    assert "1 to 50" in reason("overlap", overlap=0)
    assert "no such evaluation" in reason(project=make_held_out_project())
    queued = make_evaluation(project, prompts=0)
    assert "not come to its end" in reason(run=queued)
    alone = finish_evaluation(queued)
    assert "no baseline" in reason(run=alone)
    (run.folder / "evaluations.jsonl").unlink()
    assert "evaluate again" in reason()
    finish_evaluation(run)
    open_contest(actor=owner, project=project, run=run)
    assert "already" in reason()


def test_hostile_replies_are_stored_and_shown_as_text():
    evil = "<script>alert(1)</script> \x00 \ud800"
    contest = make_contest(prompts=2, how={"text": lambda pk, who, n: f"{who} {evil}"})
    html = " ".join(Candidate.objects.values_list("html", flat=True))
    assert "<script" not in html
    assert left_open(contest) == 2


def test_a_reply_that_is_known_already_gets_one_source_more():
    run = make_finished_evaluation(prompts=2)
    prompt = run.evaluation.prompt_ids[0]
    sample = Sample(prompt_id=prompt, text=told_apart(prompt, "policy", 0), model_name="third v1")
    add_samples(actor=None, project=run.project, samples=[sample])
    open_contest(actor=None, project=run.project, run=run)
    assert Candidate.objects.filter(prompt=prompt).count() == 2


def test_reads_do_not_grow_with_the_pairs(django_assert_num_queries):
    for prompts in (4, 24):
        contest = make_contest(prompts=prompts)
        prefer(contest.project, "policy", most=prompts // 2)
        with django_assert_num_queries(3):
            figures_now(contest)
    assert TrainingRun.objects.count() == 2
    assert make_prompt(contest.project)
