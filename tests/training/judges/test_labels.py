"""From an AI judge's answers to a ranking, checked by hand."""

import pytest

from training.judges.labels import (
    ASPECTS,
    LEAN_BINS,
    PairLabel,
    checked_pairs,
    expected_rating,
    inconsistent,
    lean_bins,
    mean_rating,
    mean_wins,
    pair_label,
    tiers_by_score,
)


def _pair(first: int, second: int, soft: float) -> PairLabel:
    return PairLabel(first=first, second=second, soft=soft)


def test_both_orders_are_averaged_and_the_lean_is_their_difference():
    label = pair_label(0, 1, shown_first=0.8, shown_second=0.6)
    assert label.soft == pytest.approx(0.7)
    assert label.lean == pytest.approx(0.2)
    assert label.consistent
    torn = pair_label(0, 1, shown_first=0.8, shown_second=0.3)
    assert torn.soft == pytest.approx(0.55)
    assert not torn.consistent


def test_a_judge_that_always_takes_the_first_says_nothing():
    label = pair_label(2, 5, shown_first=1.0, shown_second=0.0)
    assert (label.soft, label.lean, label.consistent) == (0.5, 1.0, False)


def test_labels_after_reasons_are_clamped_each_and_the_lean_is_not():
    sure = pair_label(0, 1, shown_first=0.99, shown_second=0.97, clamp=0.4)
    assert sure.soft == pytest.approx(0.6)
    assert sure.lean == pytest.approx(0.02)
    unsure = pair_label(0, 1, shown_first=0.45, shown_second=0.05, clamp=0.4)
    assert unsure.soft == pytest.approx((0.45 + 0.4) / 2)
    assert pair_label(0, 1, shown_first=0.9, shown_second=0.9, clamp=0.5).soft == 0.5


def test_mean_wins_of_three_by_hand():
    pairs = [_pair(0, 1, 0.9), _pair(0, 2, 0.5), _pair(1, 2, 0.2)]
    assert mean_wins(3, pairs) == pytest.approx([0.7, 0.15, 0.65])
    with pytest.raises(ValueError, match="in no pair"):
        mean_wins(4, pairs)


def test_tiers_hold_what_lies_within_the_margin_of_their_best():
    assert tiers_by_score([0.7, 0.15, 0.65], 0.0) == [[0], [2], [1]]
    assert tiers_by_score([0.7, 0.15, 0.65], 0.05) == [[0, 2], [1]]
    # A chain of small steps is no tie from end to end: each is held against its tier's best.
    assert tiers_by_score([0.5, 0.4, 0.3, 0.2], 0.1) == [[0, 1], [2, 3]]
    assert tiers_by_score([0.5, 0.5], 0.0) == [[0, 1]]


def test_a_rating_is_the_expectation_over_the_digits():
    assert expected_rating([1, 0, 0, 0, 0]) == 1
    assert expected_rating([0.2] * 5) == pytest.approx(3)
    assert expected_rating([0, 0.1, 0.2, 0.3, 0.4]) == pytest.approx(4.0)


def test_replies_are_ranked_by_the_mean_of_four_aspects_and_overall_only_checks():
    ratings = dict(zip(ASPECTS, (1, 2, 4, 5), strict=True)) | {"overall": 5}
    assert mean_rating(ratings) == 3
    assert inconsistent(ratings, 1.5)
    assert not inconsistent(ratings, 2.0)


def test_leans_fall_into_twenty_equal_bins():
    bins = lean_bins([-1.0, -0.95, 0.0, 0.09, 0.1, 1.0])
    assert len(bins) == LEAN_BINS
    assert (bins[0], bins[10], bins[11], bins[19]) == (2, 2, 1, 1)
    assert sum(bins) == 6


@pytest.mark.parametrize(
    "pair",
    [
        {"first": 0, "second": 0, "soft": 0.5},
        {"first": 0, "second": 3, "soft": 0.5},
        {"first": -1, "second": 1, "soft": 0.5},
        {"first": 0, "second": 1, "soft": 1.5},
        {"first": 0, "second": 1, "soft": float("nan")},
        {"first": 0, "second": 1, "soft": 0.5, "lean": 2.0},
    ],
)
def test_a_stored_label_that_is_none_is_refused(pair: dict[str, float]):
    with pytest.raises(ValueError, match="no "):
        checked_pairs([pair], 3)


def test_a_pair_stands_once_whichever_way_round():
    pairs = [_pair(0, 1, 0.25).row(), _pair(1, 2, 0.5).row()]
    assert [one.soft for one in checked_pairs(pairs, 3)] == [0.25, 0.5]
    with pytest.raises(ValueError, match="no pair"):
        checked_pairs([*pairs, _pair(2, 1, 0.5).row()], 3)
