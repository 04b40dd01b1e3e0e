"""The rules about a run's health on series made by hand; on real runs: test_health_of_runs.py."""

from dataclasses import replace
from math import exp, log, sqrt

import pytest

from training.health import RULES, health_of
from training.health_facts import (
    Ceiling,
    Context,
    Finding,
    Observed,
    Points,
    WinRate,
    ceiling_of,
    reach_of,
)

STEPS = 12
CONTEXT = Context(
    replies_a_row=32,
    reach=7.0,
    ceiling=Ceiling(value=0.85, high=0.9, agreement=0.745),
    win_rates=(
        WinRate(step=0, value=0.5, low=0.5, high=0.5, judge="a"),
        WinRate(step=12, value=0.7, low=0.6, high=0.8, judge="a"),
    ),
    replaced_ends=True,
)
MEASURES = {"validation_accuracy": 0.8, "validation_accuracy_low": 0.7}


def flat(*values: float, steps: int = STEPS) -> list[tuple[int, float]]:
    """The values one a step, the last of them to the end."""
    return [(step + 1, values[min(step, len(values) - 1)]) for step in range(steps)]


WELL: dict[str, Points] = {
    "objective/kl": flat(0.0, 0.3, -0.2, 0.5, 0.9),
    "objective/scores": flat(0.0, 0.2, 0.4, 0.5),
    "objective/raw_scores_std": flat(0.6),
    "policy/entropy_avg": flat(1.2, 1.1, 1.0),
    "val/length": flat(40, 44, 52),
    "val/share_without_eos": flat(0.1, 0.05),
    "val/share_below_missing_eos": flat(0.0),
    "val/first_ratio_gap": flat(0.0),
    "rewards/margins": flat(0.0, 1e-4, 0.2),
}


def found(context: Context = CONTEXT, **series: Points) -> tuple[Finding, ...]:
    """What is found where one series of a healthy run, its / written __, is another."""
    changed = {name.replace("__", "/"): points for name, points in series.items()}
    return health_of(Observed(series=WELL | changed, measures=MEASURES, context=context)).findings


def only(findings: tuple[Finding, ...], rule: str) -> Finding:
    """The one finding there is, which is that rule's."""
    assert [finding.rule for finding in findings] == [rule]
    return findings[0]


def test_nothing_is_found_where_nothing_is_wrong_and_all_rules_looked():
    health = health_of(Observed(series=WELL, measures=MEASURES, context=CONTEXT))
    assert health.findings == ()
    assert health.checked == tuple(rule.title for rule in RULES)


def test_rules_that_lack_what_they_look_at_do_not_look():
    assert health_of(Observed(series={})).checked == ()
    titles = health_of(Observed(series={"val/length": flat(40)})).checked
    assert titles == ("length of the replies",)


def test_kl_far_below_zero_convicts_from_the_row_on_where_it_began():
    """32 replies a row at -0.25: seven rows lie 32 * 7 * 0.2 = 44.8 nats below the allowance."""
    kl = flat(0.0, 0.1, 0.2, 0.3, 0.1, -0.25)
    finding = only(found(objective__kl=kl), "negative_kl")
    assert (finding.since_step, finding.severity) == (6, "bad")
    assert finding.sentence.startswith("Since step 6 the measured KL is -0.25 nats")


def test_kl_below_zero_by_chance_is_let_pass():
    """32 * 0.7 = 22.4 nats below the allowance in one row: chance may do it, though rarely."""
    assert found(objective__kl=[*flat(0.2), (13, -0.75)]) == ()
    assert found(objective__kl=flat(-0.04, steps=10_000)) == ()
    assert only(found(objective__kl=[*flat(0.2), (13, -0.9)]), "negative_kl").since_step == 13


def test_chance_reaches_a_sum_of_log_ratios_below_minus_c_no_more_often_than_its_bound():
    """Reference (1/2, 1/2), policy (p, 1 - p): exact over all outcomes of twelve replies."""
    p, c, total = 0.7, 3.0, 12
    below = 0.0
    for heads in range(total + 1):
        ways = 1.0
        for k in range(heads):
            ways = ways * (total - k) / (k + 1)
        if heads * log(2 * p) + (total - heads) * log(2 * (1 - p)) <= -c:
            below += ways * p**heads * (1 - p) ** (total - heads)
    assert 0 < below <= exp(-c)


def test_kl_of_trl_is_a_tokens_mean_and_is_taken_times_the_length():
    series = {"kl": flat(0.01, 0.1), "completions/mean_length": flat(80)}
    context = Context(reach=7.0)
    finding = only(
        health_of(Observed(series=series, context=context)).findings, "kl_beyond_reward_model"
    )
    assert "8 nats" in finding.sentence
    assert health_of(Observed(series=series, context=Context(reach=8.1))).findings == ()


def test_kl_beyond_what_the_reward_model_has_seen():
    kl = flat(0.0, 2.0, 5.0, 8.0, 6.0, 7.5)
    finding = only(found(objective__kl=kl), "kl_beyond_reward_model")
    assert finding.since_step == 6
    assert "are 7.5 nats" in finding.sentence
    assert "up to 7." in finding.sentence
    assert found(replace(CONTEXT, reach=None), objective__kl=kl) == ()


def test_held_out_kl_of_a_run_that_draws_nothing_itself_is_judged_by_its_last_measure():
    series = {"eval_objective/kl": [(10, 1.0), (20, 9.0)]}
    finding = only(
        health_of(Observed(series=series, context=Context(reach=7.0))).findings,
        "kl_beyond_reward_model",
    )
    assert finding.since_step == 20


@pytest.mark.parametrize(("candidates", "reach"), [(1, 2.0), (1000, 2.0 + log(1000)), (0, 2.0)])
def test_reach_grows_with_the_logarithm_of_the_candidates(candidates: int, reach: float):
    assert reach_of(2.0, candidates) == pytest.approx(reach)


def test_entropy_collapse():
    """The start is (1.2 + 1.1 + 1.0) / 3 = 1.1, of which a quarter is 0.275."""
    finding = only(found(policy__entropy_avg=flat(1.2, 1.1, 1.0, 0.5, 0.27)), "entropy_collapse")
    assert finding.since_step == 5
    assert "from 1.1 to 0.27 nats" in finding.sentence
    assert found(policy__entropy_avg=flat(1.2, 1.1, 1.0, 0.5, 0.28)) == ()
    back = [*flat(1.2, 1.1, 1.0, 0.2), (13, 0.6)]
    assert found(policy__entropy_avg=back) == ()


def test_length_drift_either_way():
    finding = only(found(val__length=flat(40, 40, 40, 60, 81)), "length_drift")
    assert (finding.since_step, "grew from 40 to 81" in finding.sentence) == (5, True)
    finding = only(found(val__length=flat(40, 40, 40, 30, 19)), "length_drift")
    assert (finding.since_step, "shrank from 40 to 19" in finding.sentence) == (5, True)
    assert found(val__length=flat(40, 40, 40, 79)) == ()
    assert found(val__length=flat(40, 40, 40, 90, steps=7)) == ()


def test_reward_up_while_win_rate_falls():
    """0.7 to 0.45; both intervals 0.1 wide: the error is sqrt(0.02) / 3.92 = 0.036, a seventh."""
    win_rates = (
        WinRate(step=0, value=0.5, low=0.5, high=0.5, judge="a"),
        WinRate(step=2, value=0.7, low=0.65, high=0.75, judge="a"),
        WinRate(step=12, value=0.45, low=0.4, high=0.5, judge="a"),
    )
    finding = only(found(replace(CONTEXT, win_rates=win_rates)), "win_rate_falls")
    assert (finding.since_step, finding.severity) == (2, "bad")
    assert "from 70 % to 45 %" in finding.sentence
    reward = flat(0.9, 0.8, 0.7, 0.5)
    assert found(replace(CONTEXT, win_rates=win_rates), objective__scores=reward) == ()


def test_win_rates_of_two_judges_or_within_their_intervals_say_nothing():
    better = WinRate(step=4, value=0.7, low=0.65, high=0.75, judge="a")
    worse = WinRate(step=12, value=0.45, low=0.4, high=0.5, judge="b")
    assert found(replace(CONTEXT, win_rates=(better, worse))) == ()
    close = WinRate(step=12, value=0.6, low=0.55, high=0.65, judge="a")
    assert (0.7 - 0.6) / (sqrt(0.02) / 3.92) < 3.5
    assert found(replace(CONTEXT, win_rates=(better, close))) == ()


def test_accuracy_above_the_ceiling():
    measures = {"test_accuracy": 0.97, "test_accuracy_low": 0.91}
    health = health_of(Observed(series=WELL, measures=measures, context=CONTEXT))
    finding = only(health.findings, "accuracy_above_ceiling")
    assert finding.since_step is None
    for number in ("97 times", "at least 91", "on 74 in 100", "right 85 times", "at most 90"):
        assert number in finding.sentence
    allowed = measures | {"test_accuracy_low": 0.9}
    assert health_of(Observed(series=WELL, measures=allowed, context=CONTEXT)).findings == ()


@pytest.mark.parametrize("error", [0.0, 0.05, 0.1, 0.3, 0.5])
def test_ceiling_is_one_less_the_error_that_makes_the_agreement(error: float):
    assert ceiling_of((1 - error) ** 2 + error**2) == pytest.approx(1 - error)


def test_ceiling_lies_no_lower_than_the_true_one_where_pairs_differ():
    """Half of the pairs without error, half at 0.4: agreement (1 + 0.52) / 2, true ceiling 0.8."""
    assert ceiling_of(0.76) > 0.8
    assert ceiling_of(0.4) == 0.5


def test_constant_rewards():
    spread = flat(0.6, 0.6, 0.6, 0.0)
    assert only(found(objective__raw_scores_std=spread), "constant_rewards").since_step == 4
    single = replace(CONTEXT, replies_a_row=1)
    assert found(single, objective__raw_scores_std=flat(0.0)) == ()
    head = {"min_reward": flat(0.3), "max_reward": flat(0.3004)}
    only(health_of(Observed(series=head)).findings, "constant_rewards")
    head["max_reward"] = flat(0.3, 0.35)
    assert health_of(Observed(series=head)).findings == ()


def test_replies_that_no_longer_end():
    shares = flat(0.1, 0.1, 0.1, 0.3, 0.6)
    assert only(found(val__share_without_eos=shares), "replies_without_end").since_step == 5
    assert found(val__share_without_eos=flat(0.4, 0.4, 0.4, 0.9)) == ()


def test_complete_replies_that_score_below_a_missing_end():
    shares = flat(0.1, 0.6)
    finding = only(found(val__share_below_missing_eos=shares), "ending_does_not_pay")
    assert finding.since_step == 2
    kept = replace(CONTEXT, replaced_ends=False)
    assert found(kept, val__share_below_missing_eos=shares) == ()


def test_first_ratio_that_is_not_1():
    finding = only(found(val__first_ratio_gap=flat(0.0, 0.2)), "first_ratio_off")
    assert finding.since_step == 2
    assert found(val__first_ratio_gap=flat(0.01)) == ()


def test_margins_that_stay_at_0():
    still = flat(0.0, 1e-4, 0.0, steps=22)
    assert only(found(rewards__margins=still), "nothing_learned").since_step == 3
    assert found(rewards__margins=still[:-1]) == ()


def test_worst_comes_first():
    kl, length = flat(0.2, -0.5), flat(40, 40, 40, 100)
    assert [f.rule for f in found(objective__kl=kl, val__length=length)] == [
        "negative_kl",
        "length_drift",
    ]
