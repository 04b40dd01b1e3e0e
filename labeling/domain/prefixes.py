"""Prompts that begin alike: somebody who tries a model sends one text again and again, changed.

InstructGPT removed duplicates among its users' prompts "by checking for prompts that share a long
common prefix" (2203.02155, 3.2) without saying how long. Here two texts are the same prompt where
they are equal, or where what they share at their beginning is at least `LONG` characters and at
least `SHARE` of the shorter one. `LONG` keeps apart short questions that begin by chance with the
same words ("Write a poem about the ..."), and `SHARE` keeps apart long texts of which only a
preamble is the same.
"""

import hashlib
import unicodedata
from collections.abc import Iterable

LONG = 80
SHARE = 0.6


def plain(text: str) -> str:
    """Return a text without what makes no difference: case, form of letters, amount of space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def common_prefix(one: str, other: str) -> int:
    """Return how many characters two texts share at their beginning."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one.startswith(other[:middle]):
            least = middle
        else:
            most = middle - 1
    return least


def begins_alike(one: str, other: str) -> bool:
    """Return whether two texts are the same prompt, written again or changed at its end."""
    one, other = plain(one), plain(other)
    if one == other:
        return True
    shared = common_prefix(one, other)
    return shared >= LONG and shared >= SHARE * min(len(one), len(other))


def begins_like_any(text: str, others: Iterable[str]) -> bool:
    """Return whether a text begins like one of the others."""
    return any(begins_alike(text, other) for other in others)


def head_hash(text: str) -> str:
    """Return the hash of a text's first `LONG` characters: all that begin alike have it in common.

    So those to compare with are found by an index, however many there are.
    """
    return hashlib.sha256(plain(text)[:LONG].encode()).hexdigest()
