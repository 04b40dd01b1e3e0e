"""The report on held-out comparisons, against figures done by hand or by simulation."""

import math
import random
from typing import Any

import pytest

from training.recipes.reward_report import (
    HeldOutPair,
    Scored,
    accuracy,
    calibration,
    disagreement,
    length_correlation,
    log_loss,
    mean_of,
    metrics_of,
    pairs_of,
    report_of,
)

pytestmark = pytest.mark.recipe


def _pair(difference: float, comparison: int = 0, **changes: Any) -> HeldOutPair:
    fields: dict[str, Any] = {"gap": 1, "annotator": "a", "longer": "alike", **changes}
    return HeldOutPair(comparison=comparison, difference=difference, **fields)


def _scored(scores: list[float], ranks: list[int], lengths: list[int], who: str = "a") -> Scored:
    return Scored(scores=scores, ranks=ranks, lengths=lengths, annotator=who)


def test_pairs_of_a_ranking_leave_ties_out_and_know_gap_and_length() -> None:
    one = _scored([0.5, 2.0, -1.0, 0.0], [1, 0, 1, 2], [10, 10, 20, 5])
    found = {(pair.difference, pair.gap, pair.longer) for pair in pairs_of([one])}
    assert found == {
        (1.5, 1, "alike"),
        (3.0, 1, "better_shorter"),
        (2.0, 2, "better_longer"),
        (0.5, 1, "better_longer"),
        (-1.0, 1, "better_longer"),
    }


def test_equal_scores_count_half() -> None:
    found = accuracy([_pair(0.0, 0), _pair(1.0, 1), _pair(-1.0, 2), _pair(2.0, 3)])
    assert found["accuracy"] == 0.625
    assert found["pairs"] == 4


def test_pairs_that_go_together_widen_the_interval() -> None:
    """Six pairs a comparison, right or wrong as one: as many trials as comparisons."""
    together = accuracy([_pair(1.0 if n % 5 else -1.0, n) for n in range(50) for _ in range(6)])
    alone = accuracy([_pair(1.0 if n % 5 else -1.0, n) for n in range(50)])
    assert (together["low"], together["high"]) == pytest.approx((alone["low"], alone["high"]))
    assert together["pairs"] == 300


def test_interval_of_a_perfect_score_is_not_a_point() -> None:
    found = accuracy([_pair(1.0, n // 6) for n in range(60)])
    assert found["accuracy"] == 1.0
    assert found["high"] == pytest.approx(1.0)
    assert found["low"] == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)  # ten comparisons


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    """400 samples of 60 comparisons whose own accuracies differ: 95 %, give or take 3."""
    rng, held = random.Random(7), 0
    for _ in range(400):
        pairs = []
        for number in range(60):
            own = 0.95 if rng.random() < 0.5 else 0.55  # 0.75 in the mean
            pairs += [_pair(1.0 if rng.random() < own else -1.0, number) for _ in range(6)]
        found = accuracy(pairs)
        held += found["low"] <= 0.75 <= found["high"]
    assert 0.92 <= held / 400 <= 0.98


def test_calibration_by_hand() -> None:
    """Two bins: sigma(0.1) = 0.525 right once in two, sigma(3) = 0.953 right always."""
    found = calibration([_pair(0.1), _pair(-0.1), _pair(3.0), _pair(3.0)])
    said = [1 / (1 + math.exp(-0.1)), 1 / (1 + math.exp(-3))]
    assert [row["said"] for row in found["bins"]] == pytest.approx(said)
    assert [row["right"] for row in found["bins"]] == [0.5, 1.0]
    assert [row["pairs"] for row in found["bins"]] == [2, 2]
    assert found["ece"] == pytest.approx((said[0] - 0.5 + 1 - said[1]) / 2)


def test_model_that_knows_its_chances_is_calibrated_and_one_that_boasts_is_not() -> None:
    rng = random.Random(2)
    honest = []
    for number in range(20_000):
        size = rng.uniform(0, 4)
        honest.append(_pair(size if rng.random() < 1 / (1 + math.exp(-size)) else -size, number))
    assert calibration(honest)["ece"] < 0.015
    boasting = [_pair(3 * pair.difference, pair.comparison) for pair in honest]
    assert calibration(boasting)["ece"] > 0.1
    assert log_loss(boasting) > log_loss(honest) + 0.1


def test_log_loss_by_hand_and_without_overflow() -> None:
    pairs = [_pair(1.0), _pair(-2.0)]
    by_hand = -(math.log(1 / (1 + math.exp(-1))) + math.log(1 / (1 + math.exp(2)))) / 2
    assert log_loss(pairs) == pytest.approx(by_hand)
    assert log_loss([_pair(-1e4)]) == pytest.approx(1e4)


def test_length_correlation_sees_what_grows_within_comparisons() -> None:
    """The model likes length in both; the people like it in one and its opposite in the other."""
    rows = [
        _scored([1.0, 2.0, 3.0], [2, 1, 0], [5, 6, 40]),
        _scored([-9.0, -8.0, -7.0], [0, 1, 2], [1, 2, 3]),
    ]
    assert length_correlation(rows) == {"model": pytest.approx(1.0), "people": pytest.approx(0.0)}
    same = [_scored([1.0, 2.0], [0, 1], [7, 7])]
    assert length_correlation(same) == {"model": None, "people": None}


def test_report_splits_by_gap_annotator_and_length() -> None:
    rows = [
        _scored([3.0, 2.0, 1.0], [0, 1, 2], [9, 5, 5], "ann"),
        _scored([1.0, 2.0], [0, 1], [5, 9], "bob"),
    ]
    report = report_of(rows)
    assert report is not None
    assert {gap: kind["pairs"] for gap, kind in report["by_gap"].items()} == {"1": 3, "2": 1}
    assert report["by_annotator"]["ann"]["accuracy"] == 1.0
    assert report["by_annotator"]["bob"]["accuracy"] == 0.0
    assert {name: kind["pairs"] for name, kind in report["by_length"].items()} == {
        "alike": 1,
        "better_longer": 2,
        "better_shorter": 1,
    }
    assert (report["pairs"], report["comparisons"]) == (4, 2)
    assert report["margin"] == pytest.approx((1 + 2 + 1 - 1) / 4)
    metrics = metrics_of("test", report)
    assert metrics["test_accuracy"] == 0.75
    assert set(metrics) >= {"test_accuracy_low", "test_ece", "test_length_correlation_people"}


def test_disagreement_of_two_members_by_hand() -> None:
    """They dispute the pair 0-1 alone, and their scores of its replies are 1 and 1 apart."""
    first = [_scored([2.0, 1.0, 0.0], [0, 1, 2], [1, 1, 1])]
    second = [_scored([1.0, 2.0, 0.0], [0, 1, 2], [1, 1, 1])]
    assert mean_of([first, second])[0].scores == [1.5, 1.5, 0.0]
    found = disagreement([first, second])
    assert found["members"] == 2
    assert found["accuracies"] == [1.0, pytest.approx(2 / 3)]
    assert found["disputed"] == pytest.approx(1 / 3)
    assert found["deviation"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert disagreement([first, first])["disputed"] == 0


def test_no_pair_has_no_accuracy() -> None:
    with pytest.raises(ValueError, match="no pair"):
        accuracy([])


def test_report_of_ties_alone_is_none() -> None:
    assert report_of([_scored([1.0, 2.0], [0, 0], [3, 4])]) is None
