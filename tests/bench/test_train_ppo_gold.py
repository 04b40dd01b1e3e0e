"""Gold at matched KL, by hand."""

from math import sqrt

import pytest

from bench.train_ppo_gold import Point, difference, gold_at, in_standard_errors, matched_kl

# Out of order, as a policy that came back nearer to its reference leaves them.
OWN = [Point(kl=0.0, gold=0.4), Point(kl=3.0, gold=0.9), Point(kl=1.0, gold=0.7)]
OTHER = [Point(kl=0.0, gold=0.4), Point(kl=2.0, gold=0.6)]


def test_gold_lies_on_the_line_between_its_neighbours() -> None:
    assert gold_at(OWN, 0.5) == pytest.approx(0.55)
    assert gold_at(OWN, 1.0) == pytest.approx(0.7)
    assert gold_at(OWN, 2.5) == pytest.approx(0.85)
    assert gold_at(OWN, 3.0) == pytest.approx(0.9)


@pytest.mark.parametrize("kl", [-0.1, 3.1])
def test_nothing_is_said_beyond_the_ends(kl: float) -> None:
    with pytest.raises(ValueError, match=r"not between 0\.0 and 3\.0"):
        gold_at(OWN, kl)


def test_two_policies_of_one_kl_are_no_division_by_zero() -> None:
    assert gold_at([Point(kl=1.0, gold=0.5), Point(kl=1.0, gold=0.7)], 1.0) == 0.5


def test_curves_are_compared_where_the_shorter_one_ends() -> None:
    assert matched_kl(OWN, OTHER) == matched_kl(OTHER, OWN) == 2.0
    assert difference(OWN, OTHER) == pytest.approx(0.8 - 0.6)
    assert difference(OTHER, OWN) == pytest.approx(0.6 - 0.8)


def test_the_mean_in_units_of_its_standard_error() -> None:
    # Mean 2, standard deviation 1, three seeds.
    assert in_standard_errors([1.0, 2.0, 3.0]) == pytest.approx(2 * sqrt(3))
    assert in_standard_errors([-1.0, 1.0]) == 0.0
