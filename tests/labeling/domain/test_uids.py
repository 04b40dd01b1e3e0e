"""Identifiers that sort by the time of their making."""

import time

from labeling.domain.uids import ordered_uid


def test_ordered_uid_is_of_version_7_and_says_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    uid = ordered_uid()
    after = time.time_ns() // 1_000_000
    assert (uid.version, uid.variant) == (7, "specified in RFC 4122")
    assert before <= uid.int >> 80 <= after


def test_ordered_uids_sort_by_time_and_never_repeat() -> None:
    """A thousand of one millisecond share 74 random bits: two alike come once in 10^16 tries."""
    first = ordered_uid()
    time.sleep(0.002)
    later = [ordered_uid() for _ in range(1000)]
    assert len(set(later)) == 1000
    assert all(first < uid for uid in later)
