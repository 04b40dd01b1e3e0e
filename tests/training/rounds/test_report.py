"""A round's report as page, Markdown and JSON, from a round that was made by hand."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.demo import world
from labeling.demo.gold import gold_score
from labeling.domain.content import parse_prompt
from labeling.domain.records import Record
from labeling.models import Annotator, Project, Prompt
from labeling.services.prompts import ensure_prompts
from tests.factories import ACTORS, make_comparison, owner_of, seven_actors
from tests.training.contests.playing import (
    add_evaluating_round,
    line,
    make_evaluating_round,
    prefer,
    tagged,
    told_apart,
    write_evaluation,
)
from tests.training.factories import make_held_out_project
from tests.training.views.asking import client_of
from training import tasks
from training.contests.services import open_contest
from training.rounds.models import Round, RoundComparison
from training.rounds.report_markdown import fenced, inline, to_markdown
from training.rounds.report_reading import round_report, turns_of
from training.rounds.selectors import made_by, standing_steps
from training.rounds.services import promote_model
from training.services.evaluations import note_gold

pytestmark = pytest.mark.django_db
PAGES = ("round_report", "round_report_json", "round_report_markdown")


def page(name: str, round: Round) -> str:
    return reverse(f"training:{name}", args=[round.project.slug, round.number])


def worse_on_odd(round: Round) -> None:
    """Let the policy win on prompts of an even id by reward, and lose on the others."""
    run = standing_steps(round, "evaluate")[0].run
    lines = [
        line(pk, who, 0, told_apart(pk, who, 0), reward=float((who == "policy") == (pk % 2 == 0)))
        for who in ("policy", "baseline")
        for pk in run.evaluation.prompt_ids
    ]
    write_evaluation(run, lines)


@pytest.mark.parametrize("name", PAGES)
def test_pages_answer_each_of_the_seven(name):
    round = make_evaluating_round(prompts=3)
    found = [
        client_of(user).get(page(name, round)).status_code
        for user in seven_actors(round.project).values()
    ]
    expected = (302, 404, 403, 200, 200, 200, 200)
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, expected, strict=True))


def test_the_report_in_figures_by_hand():
    round = make_evaluating_round(prompts=12)
    worse_on_odd(round)
    odd = [p for p in Prompt.objects.all() if p.pk % 2]
    tagged(round.project, "all", 12)
    report = round_report(round)
    assert (report.prompts, report.split) == (12, "validation")
    (reward,) = report.verdicts
    assert (reward.by, reward.rate.value, reward.rate.pairs) == ("reward", 0.5, 12)
    assert (report.answer, report.answered_by) == ("unsure", "reward")
    assert {one.prompt_id for one in report.examples} <= {p.pk for p in odd}
    assert len(report.examples) == 6
    tag = next(one for one in report.slices if one.kind == "tag")
    assert (tag.name, tag.prompts, tag.rates["reward"].value) == ("all", 12, 0.5)
    assert report.spent.computed_s == 90
    assert report.per_point is None
    assert [one.name for one in report.figures] == ["kl", "reward", "length"]
    assert report.figures[0].policy.value == 1.0
    kinds = [one.kind for one in report.made]
    assert kinds == ["model", "run", "model", "run"]


def test_people_are_heard_first_and_an_exploited_reward_model_is_named():
    round = make_evaluating_round(prompts=30)
    project, run = round.project, standing_steps(round, "evaluate")[0].run
    contest = open_contest(actor=owner_of(project), project=project, run=run)
    waiting = round_report(round)
    assert (waiting.examples_wait, waiting.examples) == (True, ())
    assert prefer(project, "baseline", most=2) == 2
    early = client_of(owner_of(project)).get(page("round_report", round)).text
    assert "People are still being asked; so far nothing is decided." in early
    assert prefer(project, "baseline", most=18) == 18
    tasks.settle_contests()
    report = round_report(round)
    assert [one.by for one in report.verdicts] == ["people", "reward"]
    people = report.verdicts[0].rate
    assert (people.value, people.pairs, people.says) == (0.0, 10, "worse")
    assert (report.answer, report.answered_by) == ("worse", "people")
    assert report.exploits == ("people",)  # by the reward model it won every pair
    assert report.spent.evaluation_judgements == 10
    assert report.examples[0].won["people"] == 0.0
    assert report.turns[0].rates["people"].value == 0.0
    assert report.made[-1].kind == "contest"
    text = client_of(owner_of(project)).get(page("round_report", round)).text
    assert "It did harm: new v1 is worse than old v1. People say so" in text
    assert "Over-optimized: the reward model sees more wins than people." in text
    assert str(contest) in text


def test_before_anything_is_measured():
    round = make_evaluating_round(prompts=3)
    round.steps.filter(kind="evaluate").update(is_superseded=True)
    report = round_report(round)
    assert (report.answer, report.verdicts, report.slices, report.turns) == ("", (), (), ())
    client = client_of(owner_of(round.project))
    assert "Nothing was measured yet." in client.get(page("round_report", round)).text
    assert "Nothing was measured yet" in client.get(page("round_report_markdown", round)).text


def test_replies_that_are_gone_leave_the_figures():
    round = make_evaluating_round(prompts=3)
    run = standing_steps(round, "evaluate")[0].run
    (run.folder / "evaluations.jsonl").unlink()
    report = round_report(round)
    assert (len(report.verdicts), report.slices, report.examples) == (1, (), ())


def test_the_three_renderings_say_the_same():
    round = make_evaluating_round(prompts=6)
    worse_on_odd(round)
    client = client_of(owner_of(round.project))
    answer = client.get(page("round_report_json", round))
    told = json.loads(answer.text)
    assert answer["Content-Disposition"].endswith('-round-1.json"')
    assert told["verdicts"][0]["rate"]["value"] == 0.5
    assert told["examples"][0]["policy"].startswith("policy answers")
    assert {row["says"] for row in told["slices"]} <= {"worse", "seems_worse", "better", "unsure"}
    text = client.get(page("round_report_markdown", round)).text
    assert "# Round 1" in text
    assert "| the reward model | 50 % " in text
    assert text.count("```text") == 3 * len(told["examples"])
    shown = client.get(page("round_report", round)).text
    assert shown.count('<article class="example') == len(told["examples"])
    assert "50 %" in shown


def test_hostile_replies_stay_text_in_every_rendering():
    evil = "```\n# Head\n<script>alert(1)</script>\x00\ud800"
    round = make_evaluating_round(
        prompts=3,
        how={"text": lambda pk, who, n: f"{who} {pk} {evil}", "reward": 0.0},
    )
    run = standing_steps(round, "evaluate")[0].run
    rows = [
        line(pk, who, 0, f"{who} {evil}", reward=float(who == "baseline"))
        for who in ("policy", "baseline")
        for pk in run.evaluation.prompt_ids
    ]
    write_evaluation(run, rows)
    client = client_of(owner_of(round.project))
    assert "<script>alert" not in client.get(page("round_report", round)).text
    assert json.loads(client.get(page("round_report_json", round)).text)["examples"]
    text = to_markdown(round_report(round))
    assert "\n````text\npolicy ```\n# Head" in text
    assert inline("a*b\n| <c>") == "a\\*b \\| \\<c\\>"
    assert fenced("``` and ````") == "`````text\n``` and ````\n`````"


def test_gold_is_told_where_the_world_has_one():
    asked = world.prompts()[:4]
    project = make_held_out_project()
    records = [Record(prompt=parse_prompt(one.messages)) for one in asked]
    ensure_prompts(project=project, records=records)
    good, bad = "Happy to help! First, water it.", "No."
    round = add_evaluating_round(
        project, {"text": lambda pk, who, n: good if who == "policy" else bad}
    )
    run = standing_steps(round, "evaluate")[0].run
    note_gold(run=run)
    report = round_report(round)
    gold = next(one for one in report.verdicts if one.by == "gold")
    by_hand = [gold_score(one.messages, good) > gold_score(one.messages, bad) for one in asked]
    assert gold.rate.value == sum(by_hand) / 4 == 1.0
    assert [one.name for one in report.figures] == ["kl", "reward", "length", "gold"]
    assert [n for n, _reward, _gold in report.best_of] == [1, 2]
    assert report.answered_by == "reward"  # the hidden score is nobody's word
    shown = client_of(owner_of(project)).get(page("round_report", round)).text
    assert "the hidden score" in shown


def test_rounds_are_told_one_by_one_up_to_this_one():
    first = make_evaluating_round(prompts=6)
    project = first.project
    Round.objects.filter(pk=first.pk).update(state="done")
    promote_model(actor=None, project=project, model=made_by(first, "policy"), round=first)
    second = add_evaluating_round(project)
    assert [turn.number for turn in turns_of(project, until=1)] == [1]
    turns = turns_of(project, until=2)
    assert [(turn.number, turn.was_promoted) for turn in turns] == [(1, True), (2, False)]
    report = round_report(second)
    assert report.baseline == "new v1"
    shown = client_of(owner_of(project)).get(page("round_report", second)).text
    assert 'class="symbol run-1"' in shown


def test_reads_do_not_grow_with_prompts_or_rounds():
    counts = []
    for prompts in (4, 16):
        round = make_evaluating_round(prompts=prompts)
        tagged(round.project, "some", prompts)
        with CaptureQueriesContext(connection) as found:
            round_report(round)
        counts.append(len(found))
    Round.objects.filter(pk=round.pk).update(state="done")
    later = add_evaluating_round(round.project)
    with CaptureQueriesContext(connection) as found:
        round_report(later)
    counts.append(len(found))
    assert len(set(counts)) == 1, counts
    assert Project.objects.count() == 2


def test_cost_by_hand_and_ai_judges_apart():
    round = make_evaluating_round(prompts=3)
    project = round.project
    comparisons = [make_comparison(project) for _ in range(3)]
    RoundComparison.objects.bulk_create(
        [RoundComparison(round=round, comparison=one, arm="margin") for one in comparisons]
    )
    prefer(project, "tie", tiers=[[0, 1], [2], [3]])  # two seconds each
    spent = round_report(round).spent
    assert (spent.judgements, spent.ai_judgements, spent.active_s) == (3, 0, 6.0)
    (arm,) = round_report(round).arms
    assert (arm.name, arm.comparisons, arm.judgements, arm.ties) == ("margin", 3, 3, 0)
    point = round_report(round).per_point  # every pair is won: 50 points above one half
    assert (point.points, point.judgements, point.computed_s) == (50.0, 3 / 50, 90 / 50)
    Annotator.objects.update(kind=Annotator.Kind.AI)
    spent = round_report(round).spent
    assert (spent.judgements, spent.ai_judgements) == (0, 3)
    client = client_of(owner_of(project))
    for name in PAGES[::2]:
        assert "Judgements by AI judges" in client.get(page(name, round)).text
    assert "margin" in client.get(page("round_report", round)).text
