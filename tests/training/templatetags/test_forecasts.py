"""Spans of time and parts of a forecast in words."""

import pytest
from django.utils import translation

from training.forecast_memory import Memory
from training.forecast_time import Duration
from training.templatetags.forecasts import lasting, part


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (7.25, "7.2 s"),
        (42.4, "42 s"),
        (150, "2.5 min"),
        (5_400, "90 min"),
        (7_200, "2.0 h"),
        (86_400 * 5, "5.0 days"),
    ],
)
def test_a_span_has_two_digits(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


def test_every_part_has_its_words_in_both_languages() -> None:
    for name in [*Memory.__dataclass_fields__, *Duration.__dataclass_fields__]:
        assert part(name)
    with translation.override("zh-hans"):
        assert part("gradients") == "梯度"
        assert lasting(42.4) == "42 秒"
