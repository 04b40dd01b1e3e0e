"""The win rate at equal length, on matches whose answer is known."""

from math import log
from random import Random

import pytest

from labeling.domain.strength import sigma
from training.length_control import Match, length_controlled


def _drawn(count: int, worth: float, per_length: float, seed: int = 1) -> list[Match]:
    """Matches of 4 to a prompt, won with probability sigma(worth + per_length longer)."""
    rng = Random(seed)
    found = []
    for number in range(count):
        longer = rng.gauss(0.5, 0.6)
        won = float(rng.random() < sigma(worth + per_length * longer))
        found.append(Match(cluster=str(number // 4), won=won, longer=longer))
    return found


def test_what_length_gave_is_taken_out():
    matches = _drawn(4000, worth=0.4, per_length=1.5)
    raw = sum(match.won for match in matches) / len(matches)
    found = length_controlled(matches)
    assert found is not None
    assert raw > sigma(0.4) + 0.1
    assert found.value == pytest.approx(sigma(0.4), abs=0.03)
    assert found.low < sigma(0.4) < found.high
    assert found.high - found.low < 0.1


def test_two_lengths_give_the_logits_between_the_two_shares():
    # at twice the length 3 of 4 are won, at half of it 1 of 4: at equal length, one half
    matches = [
        Match(cluster=str(number), won=float(won), longer=sign * log(2))
        for sign, wins in ((1, (1, 1, 1, 0)), (-1, (0, 0, 0, 1)))
        for number, won in enumerate(wins)
    ]
    found = length_controlled(matches)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    skewed = [*matches, *matches[:4]]
    again = length_controlled(skewed)
    assert again is not None
    assert again.value == pytest.approx(0.5)


def test_half_wins_count_half():
    matches = [
        Match(cluster=str(number), won=0.5, longer=longer)
        for number, longer in enumerate((-1.0, 0.0, 1.0, 2.0))
    ]
    found = length_controlled(matches)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    "matches",
    [
        [Match(cluster="a", won=1.0, longer=0.1), Match(cluster="b", won=0.0, longer=0.2)],
        [Match(cluster=name, won=1.0, longer=0.1 * ord(name)) for name in "abcd"],
        [Match(cluster=name, won=float(name < "c"), longer=0.3) for name in "abcd"],
        [Match(cluster=name, won=float(name > "b"), longer=float(ord(name))) for name in "abcd"],
    ],
    ids=["two prompts", "always won", "one length", "length alone decides"],
)
def test_no_figure_where_none_is_the_likeliest(matches: list[Match]):
    assert length_controlled(matches) is None


def test_sigmoid_of_large_numbers():
    assert sigma(800.0) == 1.0
    assert sigma(-800.0) == 0.0
    assert sigma(log(3)) == pytest.approx(0.75)
