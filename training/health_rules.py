"""The sicknesses of a run, one rule each: pure functions of what it measured.

Each says what was seen, with its numbers, what it usually means and what to try. None of them
guesses: thresholds are such that chance, or a run that learns as it should, does not reach them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from statistics import fmean
from typing import Final

from labeling.domain.agreement import Z95
from labeling.domain.sentences import sentence as _
from training.health_facts import LASTING, START, Finding, Observed, Points, WinRate, lasting

KL_ALLOWANCE: Final = 0.05
"""Nats a reply below zero that are let pass: what rounding in bf16 adds up to over a long reply."""
KL_EVIDENCE: Final = 25.0
"""Nats below zero, summed over replies, that convict: chance does it with e^-25 (see the rule)."""
COLLAPSED: Final = 0.25
"""The part of a token's entropy at the start below which replies are nearly all alike. Chosen: on
the demo world, policies that learned kept 0.4 to 0.9; a tiny one gone astray here kept 0.04."""
DRIFTED: Final = 2.0
"""Times as long, or as short. Chosen: half as long again may be what people like, since better
replies are often longer (2310.03716); twice is rarely asked for by them."""
CUT_OFF_BEFORE: Final = 0.25
"""The share of replies without an end that a policy which can end its replies stays below."""
CUT_OFF: Final = 0.5
"""The share without an end, or below what a missing end gets, from which most replies are."""
SAME_REWARD: Final = 1e-3
"""Logits apart at which a pair is won 50.02 times in 100: nothing that could be learned."""
RATIO_GAP: Final = 0.05
"""The first ratio is 1 by construction; two bf16 forwards of one model differ by about 0.01."""
STANDS_STILL: Final = 1e-6
"""A margin that one step of any learning rate worth its name exceeds."""
STILL_ROWS: Final = 20
"""Rows that a margin must stay there: the first steps of a long warmup may do next to nothing."""
FALLEN: Final = 3.5
"""Standard errors by which a win rate must fall: 1 in 4,000 by chance, and ten are compared."""


# --- what rules are made of -----------------------------------------------------------------------


def _start(points: Points) -> float:
    return fmean(value for _, value in points[:START])


def _now(points: Points) -> float:
    return fmean(value for _, value in points[-LASTING:])


def _said(value: float) -> str:
    return f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"


# --- the rules ------------------------------------------------------------------------------------


def negative_kl(observed: Observed) -> Finding | None:
    """Replies that do not come from the policy that is scored.

    Of replies drawn from the policy, exp(-log(policy / reference)) has the mean 1, so a sum of
    log-ratios over replies lies below -c with probability at most exp(-c) (Markov's inequality;
    with Ville's it holds for all sums from one row on). One step's mean may well be negative.
    """
    replies = observed.context.replies_a_row
    points = observed.a_reply("kl", "objective/kl")
    total, worst, since = 0.0, 0.0, None
    for at in range(len(points) - 1, -1, -1):
        total += (points[at][1] + KL_ALLOWANCE) * (replies or 0)
        if total < worst:
            worst, since = total, at
    if since is None or worst > -KL_EVIDENCE:
        return None
    return Finding(
        rule="negative_kl",
        severity="bad",
        since_step=points[since][0],
        title=_("KL below zero"),
        sentence=_(
            "Since step {since} the measured KL is {kl} nats a reply, below zero. No KL is "
            "negative: the replies do not come from the policy that is scored.",
            since=points[since][0],
            kl=_said(fmean(value for _, value in points[since:])),
        ),
        remedy=_(
            "Look for another temperature or older weights where replies are drawn. Until then "
            "neither this run's KL nor what it learns can be trusted."
        ),
    )


def kl_beyond_reward_model(observed: Observed) -> Finding | None:
    """Replies further from the reference than any that the reward model was made from."""
    reach = observed.context.reach
    if reach is None:
        return None
    held_out = observed.series.get("eval_objective/kl", ())
    points = observed.a_reply("kl", "objective/kl") or held_out
    since = lasting(points, lambda kl: kl > reach, 1 if points is held_out else LASTING)
    if since is None:
        return None
    return Finding(
        rule="kl_beyond_reward_model",
        severity="warn",
        since_step=since,
        title=_("KL beyond what the reward model has seen"),
        sentence=_(
            "Since step {since} replies are {kl} nats from the reference; the candidates that the "
            "reward model learned from tell something up to {reach}. Beyond that its scores are "
            "guesses, and often too high.",
            since=since,
            kl=_said(_now(points)),
            reach=_said(reach),
        ),
        remedy=_(
            "Raise beta, or set kl_limit. Else sample this policy, have the samples ranked, and "
            "train the reward model on all rankings before going on."
        ),
    )


def entropy_collapse(observed: Observed) -> Finding | None:
    """Replies that are nearly all alike."""
    points = observed.first_of("policy/entropy_avg", "entropy")
    if len(points) < START + LASTING:
        return None
    start = _start(points)
    since = lasting(points[START:], lambda entropy: entropy < COLLAPSED * start)
    if since is None:
        return None
    return Finding(
        rule="entropy_collapse",
        severity="warn",
        since_step=since,
        title=_("Entropy collapse"),
        sentence=_(
            "A token's entropy fell from {start} to {now} nats, since step {since} to less than a "
            "quarter: the policy gives nearly the same reply each time.",
            start=_said(start),
            now=_said(_now(points)),
            since=since,
        ),
        remedy=_("Raise beta or lower learning_rate, and read the replies below."),
    )


def length_drift(observed: Observed) -> Finding | None:
    """Replies twice or half as long as those of the policy that the run started from."""
    points = observed.first_of("val/length", "completions/mean_length")
    if len(points) < START + LASTING:
        return None
    start = _start(points)
    rest = points[START:]
    longer = lasting(rest, lambda length: length > DRIFTED * start)
    since = longer or lasting(rest, lambda length: length < start / DRIFTED)
    if since is None:
        return None
    sentence = (
        _(
            "Replies grew from {start} to {now} tokens, since step {since} to more than twice: "
            "the reward model may like length more than people do.",
            start=_said(start),
            now=_said(_now(points)),
            since=since,
        )
        if longer
        else _(
            "Replies shrank from {start} to {now} tokens, since step {since} to less than half: "
            "short replies may be the surest way to a good score.",
            start=_said(start),
            now=_said(_now(points)),
            since=since,
        )
    )
    return Finding(
        rule="length_drift",
        severity="warn",
        since_step=since,
        title=_("Length drift"),
        sentence=sentence,
        remedy=_(
            "Compare the two length correlations on the reward model's run, read the replies "
            "below, and raise beta, or rank replies of different lengths."
        ),
    )


def win_rate_falls(observed: Observed) -> Finding | None:
    """Reward that rises while held-out prompts are won less often: over-optimization (2210.10760).

    Each judge's last rate is held against its best one before; the policy that a run starts from
    wins half of the time against itself, which is known without a measurement.
    """
    for judge in sorted({rate.judge for rate in observed.context.win_rates}):
        rates = sorted(
            (rate for rate in observed.context.win_rates if rate.judge == judge),
            key=lambda rate: rate.step,
        )
        finding = _fall(rates, observed.first_of(*REWARDS))
        if finding:
            return finding
    return None


REWARDS: Final = ("objective/scores", "reward", "eval_objective/scores")


def _fall(rates: Sequence[WinRate], rewards: Points) -> Finding | None:
    last = rates[-1]
    best = max(rates, key=lambda rate: rate.value)
    error = sqrt((best.high - best.low) ** 2 + (last.high - last.low) ** 2) / (2 * Z95)
    before, after = _around(rewards, best.step), _around(rewards, last.step)
    if before >= after or best.value - last.value <= FALLEN * error:
        return None
    return Finding(
        rule="win_rate_falls",
        severity="bad",
        since_step=best.step,
        title=_("Reward up, held-out win rate down"),
        sentence=_(
            "From step {since} to step {step} the reward rose from {before} to {after}, while the "
            "share of held-out prompts won fell from {best} % to {now} %: the policy learns what "
            "the reward model mistakes for good.",
            since=best.step,
            step=last.step,
            before=_said(before),
            after=_said(after),
            best=_percent(best.value),
            now=_percent(last.value),
        ),
        remedy=_(
            "Use the model of the earlier step. Raise beta or stop sooner, and train the reward "
            "model on rankings of this policy's replies."
        ),
    )


def _around(points: Points, step: int) -> float:
    """Return the mean of the rows nearest to a step; infinity, which nothing exceeds, of none."""
    near = sorted(points, key=lambda point: abs(point[0] - step))[:START]
    return fmean(value for _, value in near) if near else inf


def accuracy_above_ceiling(observed: Observed) -> Finding | None:
    """A reward model that is right more often than people agree: it has seen the answers."""
    ceiling = observed.context.ceiling
    for split in ("test", "validation"):
        low = observed.measures.get(f"{split}_accuracy_low")
        if ceiling is None or low is None or low <= ceiling.high:
            continue
        return Finding(
            rule="accuracy_above_ceiling",
            severity="bad",
            since_step=None,
            title=_("More accurate than people's labels allow"),
            sentence=_(
                "On pairs that it should never have seen it is right {accuracy} times in 100 "
                "(at least {low}). People agree on {agreement} in 100, so that the best possible "
                "model would be right {ceiling} times (at most {high}): it has seen the answers.",
                accuracy=_percent(observed.measures[f"{split}_accuracy"]),
                low=_percent(low),
                agreement=_percent(ceiling.agreement),
                ceiling=_percent(ceiling.value),
                high=_percent(ceiling.high),
            ),
            remedy=_(
                "Look for prompts of the held-out split, or copies of them, among those that the "
                "model or its base learned from."
            ),
        )
    return None


def constant_rewards(observed: Observed) -> Finding | None:
    """Scores that are all the same, from which nothing can be learned."""
    points = observed.first_of("objective/raw_scores_std", "reward_std")
    if observed.series.get("max_reward"):
        lowest = dict(observed.series.get("min_reward", ()))
        points = [(s, high - lowest[s]) for s, high in observed.series["max_reward"] if s in lowest]
    since = lasting(points, lambda spread: abs(spread) < SAME_REWARD)
    if since is None:
        return None
    return Finding(
        rule="constant_rewards",
        severity="bad",
        since_step=since,
        title=_("Constant rewards"),
        sentence=_(
            "Since step {since} the scores of a step's replies lie within {spread} of each other: "
            "the reward model tells no reply from another, so there is nothing to learn.",
            since=since,
            spread=_said(max(abs(spread) for _step, spread in points[-LASTING:])),
        ),
        remedy=_(
            "Look at the reward model's accuracy on held-out pairs, and whether its head was "
            "trained and saved; a lower learning_rate helps one whose training broke down."
        ),
    )


def replies_without_end(observed: Observed) -> Finding | None:
    """A policy that could end its replies and has unlearned it."""
    points = observed.first_of("val/share_without_eos", "completions/clipped_ratio")
    if len(points) < START + LASTING or _start(points) >= CUT_OFF_BEFORE:
        return None
    since = lasting(points[START:], lambda share: share > CUT_OFF)
    if since is None:
        return None
    return Finding(
        rule="replies_without_end",
        severity="warn",
        since_step=since,
        title=_("Replies no longer end"),
        sentence=_(
            "At the start {start} % of the replies were cut off, since step {since} more than "
            "half, lately {now} %: the policy has unlearned to come to an end.",
            start=_percent(_start(points)),
            since=since,
            now=_percent(_now(points)),
        ),
        remedy=_("Set missing_eos to replace with a lower missing_eos_score, or raise beta."),
    )


def ending_does_not_pay(observed: Observed) -> Finding | None:
    """A constant for a missing end above what complete replies get, so that it pays not to end."""
    points = observed.series.get("val/share_below_missing_eos", ())
    since = lasting(points, lambda share: share > CUT_OFF)
    if since is None:
        return None
    return Finding(
        rule="ending_does_not_pay",
        severity="warn",
        since_step=since,
        title=_("It pays not to end"),
        sentence=_(
            "Since step {since} most complete replies, lately {now} %, score below what a reply "
            "without an end is given: it pays not to end.",
            since=since,
            now=_percent(_now(points)),
        ),
        remedy=_("Set missing_eos_score below the scores of complete replies."),
    )


def first_ratio_off(observed: Observed) -> Finding | None:
    """A first ratio that is not 1: the policy that learns is not the one that was written down."""
    points = observed.series.get("val/first_ratio_gap", ())
    since = lasting(points, lambda gap: gap > RATIO_GAP)
    if since is None:
        return None
    return Finding(
        rule="first_ratio_off",
        severity="bad",
        since_step=since,
        title=_("First ratios are not 1"),
        sentence=_(
            "Since step {since} the first ratio of a step is off 1 by up to {gap}, though nothing "
            "has been learned by then: one text has two probabilities under the same weights.",
            since=since,
            gap=_said(max(gap for _step, gap in points[-LASTING:])),
        ),
        remedy=_("Look for dropout, and for weights that change between drawing and learning."),
    )


def nothing_learned(observed: Observed) -> Finding | None:
    """Margins that stay at 0: policy and reference say the same of every reply."""
    points = observed.first_of("rewards/margins")
    since = lasting(points, lambda margin: abs(margin) < STANDS_STILL, STILL_ROWS)
    if since is None:
        return None
    return Finding(
        rule="nothing_learned",
        severity="bad",
        since_step=since,
        title=_("Nothing is learned"),
        sentence=_(
            "Since step {since} policy and reference say the same of every reply, so that the "
            "loss stays where it began: no weight moves, or the reference moves along.",
            since=since,
        ),
        remedy=_("Raise learning_rate, and look at which weights lora_targets lets learn."),
    )
