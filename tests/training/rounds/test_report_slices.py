"""A round's report in figures, by hand, on a round of a few prompts."""

import pytest

from training.estimates import Estimate
from training.rounds.report import (
    PerPoint,
    Rate,
    Slice,
    Spent,
    Turn,
    answer_of,
    exploits_of,
    per_point,
)
from training.rounds.report_charts import rate_chart
from training.rounds.report_slices import Asked, examples_of, fared, rate_of, slices_of


def line(prompt: int, by: str, reward: float, text: str = "", **more: object) -> dict[str, object]:
    words = text or f"{by} to {prompt}"
    return {
        **{"prompt_id": str(prompt), "by": by, "candidate": 0, "reward": reward},
        **{"text": words, "tokens": 10, **more},
    }


def asked(length: int, *tags: str) -> Asked:
    return Asked(messages=(("user", "x" * length),), tags=tags)


PROMPTS = {1: asked(5, "math"), 2: asked(50, "math", "code"), 3: asked(500)}
LINES = [
    *(line(1, "policy", reward) for reward in (2.0, 1.0)),
    *(line(1, "baseline", reward) for reward in (1.0, 0.0)),  # won: 1, 1, 0.5, 1
    line(2, "policy", 0.0, tokens=30),
    line(2, "baseline", 1.0),  # lost
    line(3, "policy", 3.0, tokens=5),
    line(3, "baseline", 1.0),  # won
]


def rate(value: float, low: float, high: float) -> Rate:
    return Rate(value=value, low=low, high=high, pairs=10)


def test_every_reply_meets_every_one_of_the_baselines():
    rows = fared(LINES, PROMPTS)
    assert [row.won["reward"] for row in rows] == [(1.0, 1.0, 0.5, 1.0), (0.0,), (1.0,)]
    found = rate_of(rows, "reward")
    assert (found.value, found.pairs) == (pytest.approx(4.5 / 6), 6)
    assert rate_of(rows, "people") is None
    assert rows[0].policy_reward == 1.5


def test_people_judges_and_gold_are_told_beside_the_reward():
    judged = [
        line(1, "policy", 1.0, judged={"first": 0.9, "second": 0.5}),
        line(1, "baseline", 0.0),
        line(2, "policy", 1.0, judged=None),
        line(2, "baseline", 0.0),
    ]
    rows = fared(judged, PROMPTS, gold=lambda _asked, text: len(text), people={2: 0.0})
    assert rows[0].won["judge"] == (0.7,)
    assert "judge" not in rows[1].won
    assert rows[1].won["people"] == (0.0,)
    assert [row.won["gold"] for row in rows] == [(0.0,), (0.0,)]  # "baseline" is the longer word


def test_a_prompt_without_both_replies_is_left_out():
    assert fared([line(1, "policy", 1.0)], PROMPTS) == []
    assert fared([line(9, "policy", 1.0), line(9, "baseline", 1.0)], PROMPTS) == []


def test_slices_by_tag_and_by_both_lengths_the_worst_first():
    found = {(one.kind, one.name): one for one in slices_of(fared(LINES, PROMPTS))}
    by_hand = {
        ("tag", "math"): (2, 3.5 / 5),
        ("tag", "code"): (1, 0.0),
        ("prompt_length", "short"): (1, 3.5 / 4),
        ("prompt_length", "middle"): (1, 0.0),
        ("prompt_length", "long"): (1, 1.0),
        ("reply_length", "longer"): (1, 0.0),
        ("reply_length", "alike"): (1, 3.5 / 4),
        ("reply_length", "shorter"): (1, 1.0),
    }
    assert {key: one.prompts for key, one in found.items()} == {
        key: count for key, (count, _) in by_hand.items()
    }
    assert {key: one.rates["reward"].value for key, one in found.items()} == pytest.approx(
        {key: value for key, (_, value) in by_hand.items()}
    )
    order = [one.rates["reward"].value for one in slices_of(fared(LINES, PROMPTS))]
    assert order[:3] == [0.0, 0.0, 0.0]
    assert next(iter(found.values())).says == "seems_worse"


def test_fewer_than_three_prompts_make_no_thirds():
    kinds = {one.kind for one in slices_of(fared(LINES[:6], PROMPTS))}
    assert kinds == {"tag", "reply_length"}


def test_what_a_slice_says_is_the_worst_that_is_sure():
    def says(**rates: Rate) -> str:
        return Slice(kind="tag", name="x", prompts=9, rates=rates).says

    assert says(reward=rate(0.8, 0.7, 0.9), people=rate(0.2, 0.1, 0.4)) == "worse"
    assert says(reward=rate(0.8, 0.7, 0.9), people=rate(0.4, 0.2, 0.6)) == "seems_worse"
    assert says(reward=rate(0.8, 0.7, 0.9)) == "better"
    assert says(reward=rate(0.8, 0.7, 0.9), people=rate(0.6, 0.4, 0.8)) == "unsure"
    assert says(reward=rate(0.6, 0.4, 0.9)) == "unsure"


def test_examples_are_where_it_did_worst_and_never_equal_replies():
    lines = [
        *(line(1, "policy", 0.0), line(1, "baseline", 1.0)),
        *(line(2, "policy", 0.0), line(2, "baseline", 5.0)),
        *(line(3, "policy", 0.0, "same"), line(3, "baseline", 9.0, "same")),
    ]
    found = examples_of(fared(lines, PROMPTS))
    assert [one.prompt_id for one in found] == [2, 1]
    assert (found[0].policy, found[0].tags) == ("policy to 2", ("math", "code"))
    # What people say goes before the reward: they found the reply to the second prompt better.
    found = examples_of(fared(lines, PROMPTS, people={1: 0.5, 2: 1.0}))
    assert found == ()


def test_whose_word_counts():
    sure, harm, even = rate(0.7, 0.6, 0.8), rate(0.2, 0.1, 0.4), rate(0.5, 0.4, 0.6)
    assert answer_of({"reward": sure, "people": harm, "gold": sure}) == ("worse", "people")
    assert answer_of({"reward": sure, "judge": even}) == ("unsure", "judge")
    assert answer_of({"reward": sure}) == ("better", "reward")
    assert answer_of({"gold": sure}) == ("", "")


def test_cost_per_point_by_hand():
    spent = Spent(
        judgements=120,
        ai_judgements=500,
        active_s=3600.0,
        computed_s=600.0,
        evaluation_judgements=30,
        evaluation_active_s=200.0,
    )
    found = per_point({"reward": rate(0.9, 0.8, 1.0), "people": rate(0.62, 0.5, 0.7)}, spent)
    assert found == PerPoint(
        by="people",
        points=pytest.approx(12.0),
        judgements=pytest.approx(10.0),
        active_s=pytest.approx(300.0),
        computed_s=pytest.approx(50.0),
    )
    assert per_point({"reward": rate(0.5, 0.4, 0.6)}, spent) is None
    assert per_point({}, spent) is None


def test_the_reward_model_is_exploited_where_others_surely_see_less():
    reward = rate(0.9, 0.85, 0.95)
    assert exploits_of({"reward": reward, "people": rate(0.5, 0.4, 0.6)}) == ("people",)
    assert exploits_of({"reward": reward, "gold": rate(0.8, 0.7, 0.88)}) == ()
    assert exploits_of({"people": rate(0.5, 0.4, 0.6)}) == ()


def test_the_drawing_puts_dots_on_their_intervals():
    kl = Estimate(value=1.0, low=0.5, high=1.5)
    turns = [
        Turn(
            number=number,
            rates={"reward": rate(0.5, 0.25, 0.75)},
            kl=kl,
            gold=None,
            was_promoted=True,
        )
        for number in (1, 2, 3)
    ]
    chart = rate_chart(turns, {"reward": "the reward model", "people": "people"})
    (one,) = chart.series
    assert one.says == "1: 50 %, 2: 50 %, 3: 50 %"
    assert one.bars.count("M") == 3
    assert [tick.label for tick in chart.x_ticks] == ["3", "2", "1"]
    assert [tick.label for tick in chart.y_ticks] == ["0 %", "25 %", "50 %", "75 %", "100 %"]
    assert chart.even == chart.y_ticks[2].at
    assert rate_chart([], {"reward": "x"}) is None
    assert rate_chart(turns, {"people": "people"}) is None
