"""Agreement of rankings, against numbers worked by hand."""

import random
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.domain.agreement import (
    AlphaTally,
    Share,
    Tally,
    Undefined,
    agreed_pairs,
    agreement_of,
    kendall_tau_b,
    pair_labels,
    strict_agreement,
    wilson,
)

A = [[0], [1, 2], [3]]
B = [[0, 1], [2], [3]]

units = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=12)


def tally_of(*clusters: tuple[int, int]) -> Tally:
    """Return the tally of clusters given as (agreed, pairs)."""
    tally = Tally()
    for cluster in clusters:
        tally.add(*cluster)
    return tally


def alpha_of(*counted: tuple[int, int, int]) -> float | Undefined:
    """Return alpha of units given as their numbers of (better, tied, worse)."""
    tally = AlphaTally()
    for unit in counted:
        tally.add(*unit)
    return tally.alpha()


def test_pair_labels_follow_the_order_of_pairs() -> None:
    """The pairs are 01 02 03 12 13 23."""
    assert pair_labels(A, 4) == (1, 1, 1, 0, 1, 1)
    assert pair_labels(B, 4) == (0, 1, 1, 1, 1, 1)
    assert pair_labels([[3], [2], [1], [0]], 4) == (-1,) * 6


def test_pair_labels_leave_out_a_written_reply() -> None:
    assert pair_labels([[2], [0], [1]], 2) == (1,)
    with pytest.raises(KeyError):
        pair_labels([[0]], 2)


def test_agreed_pairs_counts_a_tie_with_a_tie_alone() -> None:
    """A and B differ in 01 (better, tie) and 12 (tie, better): 4 of 6 agree."""
    assert agreed_pairs(pair_labels(A, 4), pair_labels(B, 4)) == 4
    assert agreed_pairs((0,), (0,)) == 1
    assert agreed_pairs((0,), (1,)) == 0


def test_kendall_tau_b_by_hand() -> None:
    """C - D = 4, each ties one of 6 pairs: 4 / sqrt(5 * 5). Without ties it is (C - D) / n0."""
    assert kendall_tau_b(pair_labels(A, 4), pair_labels(B, 4)) == pytest.approx(0.8)
    assert kendall_tau_b((1, 1, 1), (1, 1, -1)) == pytest.approx(1 / 3)
    assert kendall_tau_b((1, 1, 1), (-1, -1, -1)) == -1
    assert kendall_tau_b((1, 0, 1), (1, 1, 1)) == pytest.approx(2 / 6**0.5)


def test_kendall_tau_b_of_a_ranking_that_ties_all_is_undefined() -> None:
    assert kendall_tau_b((0, 0, 0), (1, 1, 1)) is None
    assert kendall_tau_b((1,), (0,)) is None


def test_wilson_of_five_in_ten() -> None:
    """(0.5 + 0.19207 ± 1.95996 sqrt(0.025 + 0.0096036)) / 1.38415."""
    assert wilson(0.5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-5)


def test_wilson_stays_within_a_share_where_all_agree() -> None:
    """High is 1; low is n / (n + z²) = 10 / 13.84146."""
    assert wilson(1.0, 10) == pytest.approx((0.72247, 1.0), abs=1e-5)


def test_tally_counts_six_pairs_of_one_ranking_as_one_draw() -> None:
    """p = 1/2, variance = 2/1 * (9 + 9) / 12² = 1/4: as much as one draw of p(1 - p)."""
    share = tally_of((6, 6), (0, 6)).share()
    assert share == Share(0.5, *wilson(0.5, 1), pairs=12, clusters=2)


def test_tally_of_single_pairs_is_nearly_wilsons() -> None:
    """p = 1/2, variance = 10/9 * 10/4 / 100 = 1/36: as much as 9 draws."""
    share = tally_of(*[(1, 1)] * 5, *[(0, 1)] * 5).share()
    assert share is not None
    assert (share.low, share.high) == pytest.approx(wilson(0.5, 9))


def test_tally_without_variation_counts_clusters() -> None:
    """All agree: three comparisons stay three, though they hold 18 pairs."""
    share = tally_of((6, 6), (6, 6), (6, 6)).share()
    assert share == Share(1.0, *wilson(1.0, 3), pairs=18, clusters=3)
    alone = tally_of((3, 6)).share()
    assert alone == Share(0.5, *wilson(0.5, 1), pairs=6, clusters=1)


def test_tally_tells_nothing_below_the_least() -> None:
    assert tally_of((3, 9)).share(least=10) is None
    assert tally_of((3, 10)).share(least=10) is not None
    assert tally_of((0, 0)).share() is None


def test_interval_covers_the_truth_though_pairs_hang_together() -> None:
    """Each comparison's six pairs agree or differ together, with p = 0.7.

    Of 400 samples of 80 comparisons about 95 % are covered; counted as independent pairs they
    would be covered in about 57 %.
    """
    rng = random.Random(5)
    covered = 0
    for _ in range(400):
        share = tally_of(*[(6 if rng.random() < 0.7 else 0, 6) for _ in range(80)]).share()
        assert share is not None
        covered += share.low <= 0.7 <= share.high
    assert 0.92 <= covered / 400 <= 0.98


def test_alpha_by_hand() -> None:
    """Two annotators say > >, > >, = =, > <.

    D_o = 1/8 * 2 = 1/4. In both directions there are 6 > and 6 < and 4 =, N = 16, so
    D_e = (256 - 36 - 36 - 16) / (16 * 15) = 0.7, and alpha = 1 - 0.25 / 0.7.
    """
    assert alpha_of((2, 0, 0), (2, 0, 0), (0, 2, 0), (1, 0, 1)) == pytest.approx(1 - 0.25 / 0.7)


def test_alpha_with_a_missing_value_leaves_the_lonely_one_out() -> None:
    assert alpha_of((2, 0, 0), (1, 0, 1), (0, 1, 0)) == alpha_of((2, 0, 0), (1, 0, 1))


def test_alpha_of_perfect_agreement_is_one_though_all_name_the_first() -> None:
    """Without both directions nothing would vary here, and alpha would be undefined."""
    assert alpha_of((3, 0, 0), (2, 0, 0)) == 1


def test_alpha_says_why_it_is_undefined() -> None:
    assert alpha_of((1, 0, 0), (0, 1, 0)) is Undefined.NOTHING_SHARED
    assert alpha_of() is Undefined.NOTHING_SHARED
    assert alpha_of((0, 2, 0), (0, 3, 0)) is Undefined.ALL_TIED


def _alpha_by_definition(counted: list[tuple[int, int, int]]) -> float | None:
    """Return alpha from the coincidence matrix, each unit put in twice, the second mirrored."""
    matrix: Counter[tuple[int, int]] = Counter()
    for better, tied, worse in counted:
        for unit in ((better, tied, worse), (worse, tied, better)):
            values = [label for label, n in enumerate(unit) for _ in range(n)]
            for pair in permutations(values, 2):
                matrix[pair] += 1 / (len(values) - 1)  # type: ignore[assignment]
    margins = [sum(n for (c, _), n in matrix.items() if c == label) for label in range(3)]
    total = sum(margins)
    apart = sum(a * b for a, b in permutations(margins, 2))
    if apart < 0.5:
        return None
    observed = sum(n for (c, k), n in matrix.items() if c != k)
    return 1 - (total - 1) * observed / apart


@given(units)
def test_alpha_is_that_of_the_coincidence_matrix(counted: list[tuple[int, int, int]]) -> None:
    alpha, expected = alpha_of(*counted), _alpha_by_definition(counted)
    if expected is None:
        assert isinstance(alpha, Undefined)
    else:
        assert alpha == pytest.approx(expected)


@given(units)
def test_alpha_does_not_depend_on_which_candidate_is_named_first(
    counted: list[tuple[int, int, int]],
) -> None:
    turned = [unit[::-1] if n % 2 else unit for n, unit in enumerate(counted)]
    first, second = alpha_of(*counted), alpha_of(*turned)
    assert first == (second if isinstance(second, Undefined) else pytest.approx(second))


def test_agreement_of_many_by_hand() -> None:
    """Three judges rank three candidates (1 1 1), (1 1 -1), (1 1 1), two of them another.

    In the first comparison 3 + 3 + 1 of 9 agree, in the second 2 of 3. The first judge agrees in
    2 + 2 + 1 of 6 pairs there, and in 2 of 3.
    """
    labels = [
        {"a": (1, 1, 1), "b": (1, 1, -1), "c": (1, 1, 1)},
        {"a": (1, 0, 1), "b": (1, 1, 1)},
    ]
    found = agreement_of(labels, {"a", "b", "c"})
    assert (found.mean.agreed, found.mean.pairs, found.mean.clusters) == (9, 12, 2)
    own = found.by_annotator["a"]
    assert (own.agreed, own.pairs, own.clusters) == (7, 9, 2)
    assert found.alpha.alpha() == alpha_of(
        *[(3, 0, 0)] * 2, (2, 0, 1), (2, 0, 0), (1, 1, 0), (2, 0, 0)
    )


def test_who_is_no_judge_is_held_against_the_judges_and_changes_nothing() -> None:
    """The AI judge agrees with `a` on two pairs of three and with `b` on one."""
    people = {"a": (1, 1, 1), "b": (1, -1, 1)}
    without = agreement_of([people], {"a", "b"})
    beside = agreement_of([people | {"ai": (1, 1, -1), "other": (1, 1, 1)}], {"a", "b"})
    ai = beside.by_annotator["ai"]
    assert (ai.agreed, ai.pairs) == (3, 6)
    assert beside.mean == without.mean
    assert beside.by_annotator["a"] == without.by_annotator["a"]
    assert beside.alpha.alpha() == without.alpha.alpha()


def test_agreement_of_one_alone_is_none() -> None:
    found = agreement_of([{"a": (1,)}, {"ai": (1,)}], {"a"})
    assert found.mean.share() is None
    assert found.by_annotator["a"].share() is None
    assert found.by_annotator["ai"].share() is None


def test_strict_agreement_counts_the_pairs_that_both_order():
    """Three people: two against one on the first pair, one of them ties the second, all agree."""
    assert strict_agreement([(1, 1, -1), (1, 0, -1), (-1, 1, -1)]) == (1 + 1 + 3, 3 + 1 + 3)
    assert strict_agreement([(0, 0), (1, -1)]) == (0, 0)
    assert strict_agreement([(1, -1)]) == (0, 0)
