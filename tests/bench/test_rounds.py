"""What the bench of rounds makes of replies, by hand, and that its loop is one."""

import pytest

from bench.rounds import LOOP, won_against
from training.rounds.loops import parse_loop


def replies(prompt: int, *golds: float) -> list[dict[str, float]]:
    return [{"prompt": prompt, "gold": gold} for gold in golds]


def test_every_reply_meets_every_other_one_and_prompts_count_alike():
    """Of the first prompt 3 of 4 pairs are won; of the second one pair is lost: (0.75 + 0) / 2."""
    own = [*replies(1, 0.5, 0.9), *replies(2, 0.1)]
    assert won_against(own, [*replies(1, 0.2, 0.7), *replies(2, 0.4)]) == pytest.approx(0.375)


def test_what_gold_puts_on_one_step_is_half_a_win():
    assert won_against(replies(1, 0.96), replies(1, 1.04)) == 0.5
    assert won_against(replies(1, 1.06), replies(1, 1.04)) == 1.0


def test_the_loop_can_turn_unattended():
    loop = parse_loop(LOOP)
    assert loop.config.promotion == "rule"
    assert loop.recipe_config(loop.config.policy_recipe)["threads"] == 1
    for recipe in ("sample", "reward", "evaluate"):
        assert loop.recipe_config(recipe)["threads"] == 1
