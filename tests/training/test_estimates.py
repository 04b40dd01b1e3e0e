"""Means over clusters, against numbers worked by hand and tables of Student's t."""

import pytest

from training.estimates import Estimate, clustered_mean, estimate_of, t95


@pytest.mark.parametrize(
    ("freedom", "table"), [(3, 3.1824), (5, 2.5706), (9, 2.2622), (30, 2.0423), (1000, 1.9623)]
)
def test_t95_is_that_of_the_tables(freedom: int, table: float):
    assert t95(freedom) == pytest.approx(table, rel=2e-3)
    assert t95(freedom) > t95(freedom + 1) > 1.9599


def test_clustered_mean_of_equal_clusters_is_the_mean_of_their_means():
    values = [("a", 1.0), ("a", 3.0), ("b", 4.0), ("b", 6.0), ("c", 1.0), ("c", 3.0), ("d", 6.0)]
    values += [("d", 8.0)]
    found = clustered_mean(values)
    # means 2, 5, 2, 7: mean 4, sample variance 18/3 = 6, standard error sqrt(6/4)
    assert found.value == 4.0
    assert found.high - found.value == pytest.approx(t95(3) * 1.5**0.5)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_clustered_mean_of_unequal_clusters_weighs_each_value_alike():
    found = clustered_mean([("a", 0.0), ("b", 3.0), ("b", 6.0)])
    # mean 3; residuals -3 and 9 - 6 = 3; variance 2/1 * 18 / 9 = 4
    assert found.value == 3.0
    assert found.high == pytest.approx(3.0 + 2 * t95(1))


def test_clusters_count_once_however_often_their_value_is_repeated():
    once = clustered_mean([("a", 1.0), ("b", 2.0), ("c", 4.0)])
    often = clustered_mean([(name, v) for name, v in zip("abc", (1.0, 2.0, 4.0), strict=True)] * 50)
    assert often.high == pytest.approx(once.high)


def test_one_cluster_gives_no_interval():
    with pytest.raises(ValueError, match="two clusters"):
        clustered_mean([("a", 1.0), ("a", 2.0)])


def test_estimate_of_reads_what_a_report_holds():
    assert estimate_of({"value": 1.0, "low": 0.5, "high": 2.0, "pairs": 3}) == Estimate(
        value=1.0, low=0.5, high=2.0
    )
