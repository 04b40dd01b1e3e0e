"""An evaluation's figures, from lines whose answers are known."""

from typing import Any

import pytest

from training.estimates import t95
from training.recipes.evaluation_report import Sums, report_of, won_by_judge, won_by_reward


def line(prompt: str, reward: float = 0.0, by: str = "policy", **changes: Any) -> dict[str, Any]:
    """Return a line of evaluations.jsonl."""
    start = {
        "prompt_id": prompt,
        "by": by,
        "candidate": 0,
        "seed": 1,
        "text": "text",
        "tokens": 4,
        "ended": True,
        "logprob": -5.0,
        "reference_logprob": -6.0,
        "kl_k3": 0.5,
        "entropy": 2.0,
        "reward": reward,
    }
    return start | changes


def test_measures_by_hand():
    lines = [
        line("a", 1.0, logprob=-3.0, tokens=2, entropy=3.0),
        line("a", 3.0, ended=False),
        line("b", 4.0, tokens=8, entropy=4.0, reference_logprob=-5.5),
        line("b", 8.0, kl_k3=0.1),
    ]
    told = report_of(lines)
    policy = told["policy"]
    assert (told["prompts"], told["replies"], told["baseline"], told["wins"]) == (2, 4, None, {})
    # means 2 and 6 of the prompts: standard error 2
    assert policy["reward"]["value"] == 4.0
    assert policy["reward"]["high"] == pytest.approx(4.0 + 2 * t95(1))
    assert policy["kl"]["value"] == pytest.approx((3.0 + 1.0 + 0.5 + 1.0) / 4)
    assert policy["kl_k3"]["value"] == pytest.approx(0.4)
    assert policy["entropy"]["value"] == pytest.approx(11 / 18)
    assert policy["length"]["value"] == 4.5
    assert policy["length"]["deviation"] == pytest.approx(4.75**0.5)
    assert policy["without_end"]["value"] == 0.25
    assert "disagreement" not in policy
    assert Sums(lines).metrics() == {
        "objective/scores": 4.0,
        "objective/kl": pytest.approx(1.375),
        "objective/kl_k3": pytest.approx(0.4),
        "objective/entropy": 4.5,
        "policy/entropy_avg": pytest.approx(11 / 18),
        "val/length": 4.5,
        "val/share_without_eos": 0.25,
    }


def test_running_sums_say_after_each_batch_what_all_lines_say_at_once():
    lines = [line("a", 0.1), line("a", 0.2, "baseline"), line("b", 0.7, tokens=3), line("c", 1.3)]
    sums = Sums()
    assert sums.metrics() == {}
    for count, one in enumerate(lines, start=1):
        sums.add([one])
        assert sums.metrics() == Sums(lines[:count]).metrics()
    assert sums.metrics()["objective/scores"] == pytest.approx(0.7)  # the baseline's left out


def test_an_ensembles_members_disagree_by_their_deviation():
    lines = [line("a", 2.0, rewards=[1.0, 3.0]), line("b", 2.0, rewards=[2.0, 2.0])]
    assert report_of(lines)["policy"]["disagreement"]["value"] == 0.5


def test_each_reply_meets_each_of_the_baselines_and_a_tie_is_half_a_win():
    policy = [line("a", 1.0), line("a", 3.0), line("b", 0.0)]
    baseline = [line("a", 1.0, "baseline"), line("a", 2.0, "baseline"), line("b", 5.0, "baseline")]
    told = won_by_reward(policy, baseline)
    # prompt a: tie, loss, win, win; prompt b: loss
    assert (told["value"], told["pairs"], told["ties"]) == (2.5 / 5, 5, 1)
    assert told["low"] < 0.5 < told["high"]
    assert told["length_controlled"] is None
    report = report_of(policy + baseline)
    assert report["wins"]["reward"] == told
    assert report["baseline"]["reward"]["value"] == pytest.approx(8 / 3)


def test_swapping_policy_and_baseline_turns_the_win_rate_round():
    ours = [line(name, float(nth)) for name in "abcd" for nth in range(3)]
    theirs = [line(name, ord(name) % 3 + 0.5, "baseline") for name in "abcd"]
    there, back = won_by_reward(ours, theirs), won_by_reward(theirs, ours)
    assert there["value"] == pytest.approx(1 - back["value"])
    assert (there["low"], there["high"]) == pytest.approx((1 - back["high"], 1 - back["low"]))


def _judged(prompt: str, first: float, second: float) -> dict[str, Any]:
    return line(prompt, judged={"first": first, "second": second, "against_tokens": 4})


def test_the_judges_verdict_is_the_mean_of_both_orders():
    told = won_by_judge([_judged("a", 0.9, 0.7), _judged("b", 0.8, 0.2), _judged("c", 0.2, 0.1)])
    assert told["value"] == pytest.approx((0.8 + 0.5 + 0.15) / 3)
    assert told["position_bias"]["value"] == pytest.approx((0.2 + 0.6 + 0.1) / 3)
    assert told["consistent"]["value"] == pytest.approx(2 / 3)


def test_what_could_not_be_judged_is_counted():
    told = report_of([_judged("a", 0.9, 0.7), line("b", judged=None), line("b")])
    assert (told["wins"]["judge"]["pairs"], told["unjudged"]) == (1, 1)
    assert told["wins"]["judge"]["position_bias"] is None


def test_examples_are_the_first_replies_to_prompts_from_short_to_long():
    names = [f"p{number}" for number in range(20)]
    policy = [line(name, float(nth), text=f"{name} {nth}") for name in names for nth in range(2)]
    baseline = [line(name, by="baseline", text=f"base {name}") for name in names]
    found = report_of(policy + baseline)["examples"]
    assert [row["prompt_id"] for row in found] == [f"p{n}" for n in (0, 3, 5, 8, 11, 14, 16, 19)]
    assert found[1]["policy"]["text"] == "p3 0"
    assert found[1]["baseline"]["text"] == "base p3"
    assert found[0]["policy"]["kl"] == 1.0
    assert len(report_of(policy[:6])["examples"]) == 3
    assert report_of(policy[:6])["examples"][2]["baseline"] is None


def test_one_prompt_gives_no_report():
    with pytest.raises(ValueError, match="two clusters"):
        report_of([line("a"), line("a")])
