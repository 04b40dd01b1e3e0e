"""Groups by union-find, splits by the key's hash, leaks found."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from labeling.domain.splits import SPLITS, Groups, crossing_groups, split_of


def _place(key: str) -> float:
    return int(hashlib.sha256(key.encode()).hexdigest()[:16], 16) / 16**16


def test_join_keeps_the_first_root() -> None:
    groups = Groups()
    assert groups.join("a", "b") == "a"
    assert groups.join("c", "d") == "c"
    assert groups.join("b", "d") == "a"
    assert {groups.find(key) for key in "abcd"} == {"a"}
    assert groups.find("e") == "e"


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_groups_are_the_connected_components(links: list[tuple[int, int]]) -> None:
    groups = Groups()
    component = {node: {node} for node in range(13)}
    for left, right in links:
        groups.join(left, right)
        merged = component[left] | component[right]
        for node in merged:
            component[node] = merged
    for left in range(13):
        for right in range(13):
            together = groups.find(left) == groups.find(right)
            assert together == (right in component[left])


def test_split_of_by_hand() -> None:
    """sha256("a") begins ca97..., 0.79 of the way; "h" begins aaa9..., 0.67; "y" a1fc..., 0.63."""
    assert _place("a") == 0xCA978112CA1BBDCA / 2**64
    assert split_of("a", validation_share=0.1, test_share=0.1) == "train"
    assert split_of("a", validation_share=0.4, test_share=0.45) == "validation"
    assert split_of("a", validation_share=0.1, test_share=0.8) == "test"


@given(st.text(max_size=20), st.floats(0, 0.45), st.floats(0, 0.45))
def test_split_of_reads_the_place_against_the_shares(key: str, val: float, test: float) -> None:
    place = _place(key)
    want = SPLITS[2] if place < test else SPLITS[1] if place < test + val else SPLITS[0]
    assert split_of(key, validation_share=val, test_share=test) == want


def test_split_of_meets_the_shares_over_many_keys() -> None:
    """10,000 keys at 0.1 and 0.2: standard deviations are 30 and 40, so 5 of them are allowed."""
    splits = [split_of(f"k{n}", validation_share=0.1, test_share=0.2) for n in range(10_000)]
    assert abs(splits.count("validation") - 1000) < 150
    assert abs(splits.count("test") - 2000) < 200


def test_crossing_groups_names_the_leak() -> None:
    rows = [("a", "train"), ("b", "test"), ("a", "train"), ("b", "train")]
    assert crossing_groups(rows) == {"b"}
