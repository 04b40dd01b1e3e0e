"""The loss of rankings against hand-made figures and against its pairs done one by one."""

import math
import random
from itertools import combinations

import pytest
import torch

from training.recipes.losses import RankedPairs, pair_losses, ranking_loss

pytestmark = pytest.mark.recipe


def _pairs(*groups: list[tuple[int, int, float, float]]) -> RankedPairs:
    """One list of (better, worse, target, margin) for each comparison."""
    flat = [(*pair, number) for number, group in enumerate(groups) for pair in group]
    columns = list(zip(*flat, strict=True)) if flat else [()] * 5
    better, worse, targets, margins, comparisons = columns
    return RankedPairs(
        better=torch.tensor(better, dtype=torch.long),
        worse=torch.tensor(worse, dtype=torch.long),
        comparisons=torch.tensor(comparisons, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.float64),
        margins=torch.tensor(margins, dtype=torch.float64),
    )


def _scores(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def _sigma(value: float) -> float:
    return 1 / (1 + math.exp(-value))


ONE = torch.ones(1, dtype=torch.float64)


def test_ranking_of_four_without_ties_by_hand() -> None:
    """Scores 2, 1, 0, -1, ranked in that order: gaps 1 three times, 2 twice, 3 once."""
    scores = _scores(2, 1, 0, -1)
    kept = [(a, b, 1.0, 0.0) for a, b in combinations(range(4), 2)]
    loss = ranking_loss(scores, _pairs(kept), ONE)
    by_hand = -(3 * math.log(_sigma(1)) + 2 * math.log(_sigma(2)) + math.log(_sigma(3))) / 6
    assert loss.item() == pytest.approx(by_hand, abs=1e-12)
    assert by_hand == pytest.approx(0.207038, abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, scores)
    best = -(_sigma(-1) + _sigma(-2) + _sigma(-3)) / 6
    second = (_sigma(-1) - _sigma(-1) - _sigma(-2)) / 6
    assert gradient.tolist() == pytest.approx([best, second, -second, -best], abs=1e-12)


def test_ranking_of_four_with_a_tie_dropped_by_hand() -> None:
    """0 before 1 = 2 before 3: five pairs are left, and five is the divisor."""
    scores = _scores(1, 0.5, -0.5, 0)
    kept = [(0, 1, 1.0, 0.0), (0, 2, 1.0, 0.0), (0, 3, 1.0, 0.0), (1, 3, 1.0, 0.0)]
    kept.append((2, 3, 1.0, 0.0))
    loss = ranking_loss(scores, _pairs(kept), ONE)
    gaps = (0.5, 1.5, 1.0, 0.5, -0.5)
    assert loss.item() == pytest.approx(-sum(math.log(_sigma(g)) for g in gaps) / 5, abs=1e-12)


def test_ranking_of_four_with_a_tie_as_half_a_win_by_hand() -> None:
    """The tied pair pulls its two scores together: log cosh, lowest where they are equal."""
    scores = _scores(1, 0.5, -0.5, 0)
    tie = [(1, 2, 0.5, 0.0)]
    loss = ranking_loss(scores, _pairs(tie), ONE)
    assert loss.item() == pytest.approx(
        -0.5 * math.log(_sigma(1)) - 0.5 * math.log(_sigma(-1)), abs=1e-12
    )
    (gradient,) = torch.autograd.grad(loss, scores)
    half = _sigma(1) - 0.5
    assert gradient.tolist() == pytest.approx([0, half, -half, 0], abs=1e-12)


def test_margin_shifts_the_difference() -> None:
    one = torch.tensor([1.0], dtype=torch.float64)
    loss = pair_losses(2 * one, one, one, 0.25 * one)
    assert loss.item() == pytest.approx(-math.log(_sigma(0.75)), abs=1e-12)


def test_soft_label_is_met_where_the_model_says_the_same() -> None:
    """The gradient at p = sigma(d) is zero: a soft label asks for one difference, not for more."""
    difference = torch.tensor([math.log(3)], dtype=torch.float64, requires_grad=True)
    zero, target = torch.zeros(1, dtype=torch.float64), torch.tensor([0.75], dtype=torch.float64)
    loss = pair_losses(difference, zero, target, zero).sum()
    (gradient,) = torch.autograd.grad(loss, difference)
    assert gradient.item() == pytest.approx(0, abs=1e-12)


def test_centering_is_the_squared_sum_of_each_pair() -> None:
    scores = _scores(1, 2)
    kept = _pairs([(0, 1, 1.0, 0.0)])
    more = ranking_loss(scores, kept, ONE, centering=0.1) - ranking_loss(scores, kept, ONE)
    assert more.item() == pytest.approx(0.1 * 9, abs=1e-12)


def test_weight_counts_a_comparison_as_often() -> None:
    scores = _scores(1, 0, 0, 3)
    kept = _pairs([(0, 1, 1.0, 0.0)], [(2, 3, 1.0, 0.0)])
    loss = ranking_loss(scores, kept, torch.tensor([1.0, 0.5], dtype=torch.float64))
    by_hand = -(math.log(_sigma(1)) + 0.5 * math.log(_sigma(-3))) / 2
    assert loss.item() == pytest.approx(by_hand, abs=1e-12)


def test_comparison_without_a_pair_adds_nothing_and_no_nan() -> None:
    scores = _scores(1, 0, 5, 5)
    alone = ranking_loss(scores, _pairs([(0, 1, 1.0, 0.0)]), ONE)
    beside = ranking_loss(scores, _pairs([(0, 1, 1.0, 0.0)], []), ONE.repeat(2))
    assert beside.item() == alone.item()
    nothing = ranking_loss(scores, _pairs([], []), ONE.repeat(2))
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, scores)[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batch_is_the_mean_of_its_comparisons_done_pair_by_pair(dtype: torch.dtype) -> None:
    """Random weak orders of 2 to 9 candidates: value and gradient as of single pairs."""
    rng, tolerance = random.Random(3), 1e-6 if dtype == torch.float32 else 1e-12
    for _ in range(20):
        groups, start, sizes = [], 0, [rng.randint(2, 9) for _ in range(5)]
        for size in sizes:
            ranks = [rng.randint(0, 3) for _ in range(size)]
            ranks[0], ranks[1] = 0, 1  # at least one strict pair
            ordered = [(a, b) for a in range(size) for b in range(size) if ranks[a] < ranks[b]]
            gap = 0.25
            groups.append(
                [(start + a, start + b, 1.0, gap * (ranks[b] - ranks[a])) for a, b in ordered]
            )
            start += size
        values = [rng.gauss(0, 2) for _ in range(start)]
        together = torch.tensor(values, dtype=dtype, requires_grad=True)
        alone = torch.tensor(values, dtype=dtype, requires_grad=True)
        weights = torch.tensor([rng.random() for _ in sizes], dtype=dtype)
        loss = ranking_loss(together, _pairs(*groups), weights)
        single = [
            weight * -torch.log(torch.sigmoid(alone[a] - alone[b] - margin)) / len(group)
            for weight, group in zip(weights, groups, strict=True)
            for a, b, _target, margin in group
        ]
        one_by_one = torch.stack(single).sum() / len(sizes)
        assert loss.item() == pytest.approx(one_by_one.item(), abs=tolerance)
        (gradient,) = torch.autograd.grad(loss, together)
        (expected,) = torch.autograd.grad(one_by_one, alone)
        assert torch.allclose(gradient, expected, atol=tolerance)
