"""What a loop may ask of people, and what it may not."""

import pytest

from training.config_fields import ConfigError
from training.rounds.loop_yaml import from_yaml, to_yaml
from training.rounds.loops import parse_loop


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        (
            {"human_evaluation": 50, "trains_reward": False},
            "human_evaluation",
            "needs a reward model",
        ),
        ({"promotion_by": "people"}, "promotion_by", "raise human_evaluation"),
        ({"human_evaluation": 2001}, "human_evaluation", "2000"),
        ({"indifference": 0.5}, "indifference", "0.49"),
        (
            {
                "human_evaluation": 50,
                "promotion": "rule",
                "promotion_by": "people",
                "least_win_rate": 0.6,
            },
            "least_win_rate",
            "leave the least win rate at 0.5",
        ),
    ],
)
def test_what_contradicts_itself_is_told_by_field(fields, field, told):
    with pytest.raises(ConfigError) as found:
        parse_loop(fields)
    assert told in found.value.errors[field][0]


def test_people_may_decide():
    loop = parse_loop({"human_evaluation": 50, "promotion": "rule", "promotion_by": "people"})
    assert from_yaml(to_yaml(loop)) == loop
    assert parse_loop({}).config.human_evaluation == 0
