"""What is wrong with a run, in words: the table of all rules, and what they find together; pure.

A rule that lacks what it looks at does not look, and is not counted among those that did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from labeling.domain.sentences import Sentence
from labeling.domain.sentences import sentence as _
from training import health_rules as rules
from training.health_facts import Finding, Observed


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One sickness to look for: its name, what is looked at in words, and the look itself.

    `sees` says whether the run has what the rule looks at.
    """

    name: str
    title: Sentence
    sees: Callable[[Observed], bool]
    look: Callable[[Observed], Finding | None]


@dataclass(frozen=True, kw_only=True)
class Health:
    """What was found, the worst first, and the titles of all that was looked at."""

    findings: tuple[Finding, ...]
    checked: tuple[Sentence, ...]


def health_of(observed: Observed) -> Health:
    """Return what all rules say of a run."""
    able = [rule for rule in RULES if rule.sees(observed)]
    found = [finding for rule in able if (finding := rule.look(observed))]
    found.sort(key=lambda finding: finding.severity != "bad")
    return Health(findings=tuple(found), checked=tuple(rule.title for rule in able))


def _has(*names: str) -> Callable[[Observed], bool]:
    return lambda observed: bool(observed.first_of(*names))


def _knows_reach(observed: Observed) -> bool:
    return observed.context.reach is not None and _has("objective/kl", "kl", "eval_objective/kl")(
        observed
    )


def _knows_ceiling(observed: Observed) -> bool:
    held_out = {"test_accuracy_low", "validation_accuracy_low"}
    return observed.context.ceiling is not None and bool(held_out & observed.measures.keys())


def _can_differ(observed: Observed) -> bool:
    """Return whether there are scores, and more than one a step: one is always like itself."""
    several = observed.context.replies_a_row != 1
    return several and _has("objective/raw_scores_std", "reward_std", "max_reward")(observed)


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="negative_kl",
        title=_("KL above zero"),
        sees=lambda seen: bool(seen.context.replies_a_row and seen.a_reply("kl", "objective/kl")),
        look=rules.negative_kl,
    ),
    Rule(
        name="kl_beyond_reward_model",
        title=_("KL within what the reward model has seen"),
        sees=_knows_reach,
        look=rules.kl_beyond_reward_model,
    ),
    Rule(
        name="entropy_collapse",
        title=_("entropy"),
        sees=_has("policy/entropy_avg", "completions/mean_length"),
        look=rules.entropy_collapse,
    ),
    Rule(
        name="length_drift",
        title=_("length of the replies"),
        sees=_has("val/length", "completions/mean_length"),
        look=rules.length_drift,
    ),
    Rule(
        name="win_rate_falls",
        title=_("reward against held-out win rate"),
        sees=lambda seen: bool(seen.context.win_rates) and _has(*rules.REWARDS)(seen),
        look=rules.win_rate_falls,
    ),
    Rule(
        name="accuracy_above_ceiling",
        title=_("accuracy below what people's agreement allows"),
        sees=_knows_ceiling,
        look=rules.accuracy_above_ceiling,
    ),
    Rule(
        name="constant_rewards",
        title=_("scores that differ"),
        sees=_can_differ,
        look=rules.constant_rewards,
    ),
    Rule(
        name="replies_without_end",
        title=_("replies that end"),
        sees=_has("val/share_without_eos", "completions/clipped_ratio"),
        look=rules.replies_without_end,
    ),
    Rule(
        name="ending_does_not_pay",
        title=_("the score of a missing end"),
        sees=lambda seen: seen.context.replaced_ends and _has("val/share_below_missing_eos")(seen),
        look=rules.ending_does_not_pay,
    ),
    Rule(
        name="first_ratio_off",
        title=_("first ratios of 1"),
        sees=_has("val/first_ratio_gap"),
        look=rules.first_ratio_off,
    ),
    Rule(
        name="nothing_learned",
        title=_("margins that move"),
        sees=_has("rewards/margins"),
        look=rules.nothing_learned,
    ),
)
