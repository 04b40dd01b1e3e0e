"""Which texts count as one prompt, by cases made by hand."""

import pytest

from labeling.domain.prefixes import (
    LONG,
    SHARE,
    begins_alike,
    begins_like_any,
    common_prefix,
    head_hash,
)

ARTICLE = "Summarize this article for a child of ten years, in three sentences: " + "word " * 30


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Why is the sky blue?", "  why is the SKY\nblue? ", True),  # case and space
        ("ﬁnd me", "find me", True),  # one letter for two
        ("Why is the sky blue?", "Why is the sky blue at noon?", False),  # short, not equal
        ("Write a short poem about the sea", "Write a short poem about the moon", False),
        (ARTICLE, ARTICLE + "And make it rhyme.", True),  # one is the other's beginning
        (ARTICLE + "In English.", ARTICLE + "In French, please.", True),  # changed at its end
        (ARTICLE[:100] + "a" * 400, ARTICLE[:100] + "b" * 400, False),  # a preamble alone
        (ARTICLE, "Please: " + ARTICLE, False),  # another beginning
        ("x" * LONG + "a", "x" * LONG + "b", True),
        ("x" * (LONG - 1) + "a", "x" * (LONG - 1) + "b", False),
        ("", "", True),
        ("", "x" * 100, False),
    ],
)
def test_begins_alike(one, other, same):
    assert begins_alike(one, other) is same
    assert begins_alike(other, one) is same


def test_the_share_is_of_the_shorter_text():
    head, length = "h" * 90, round(90 / SHARE)
    enough = head + "a" * (length - 90)
    too_long = enough + "a" * 2
    other = head + "b" * 1000
    assert begins_alike(enough, other)
    assert not begins_alike(too_long, other)


def test_common_prefix_counts_characters():
    for one, other, wanted in [("abc", "abd", 2), ("abc", "abc", 3), ("", "a", 0), ("x", "y", 0)]:
        assert common_prefix(one, other) == wanted


def test_all_that_begin_alike_share_the_hash_of_their_head():
    texts = [ARTICLE, ARTICLE + "And make it rhyme.", ARTICLE.upper()]
    assert len({head_hash(text) for text in texts}) == 1
    assert head_hash("Why is the sky blue?") != head_hash("Why is the sky blue at noon?")


def test_any_of_several():
    assert begins_like_any("Why?", ["How?", "why?"])
    assert not begins_like_any("Why?", [])
