"""Which prompts belong together, and which split each group falls into.

Prompts that share an author or a first user message are one group, found by union-find over the
whole project; a group falls into a split as a whole, by its key alone, so that a later freeze puts
it where the earlier one did (InstructGPT A.2 splits by the author for the same reason).
"""

import hashlib
from collections.abc import Hashable, Iterable

SPLITS = ("train", "validation", "test")


class Groups:
    """Union-find over any hashable keys; of two joined groups the first root stays."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def find(self, key: Hashable) -> Hashable:
        """Return the root of the key's group; a new key is its own root."""
        self._parent.setdefault(key, key)
        root = key
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[key] != root:
            self._parent[key], key = root, self._parent[key]
        return root

    def join(self, keep: Hashable, other: Hashable) -> Hashable:
        """Make one group of two, under the root of `keep`; return that root."""
        root, gone = self.find(keep), self.find(other)
        self._parent[gone] = root
        return root


def split_of(group_key: str, *, validation_share: float, test_share: float) -> str:
    """Return the split of a group: the key's hash, read as a number in [0, 1), against the shares.

    The key alone decides, so that labels exported and imported elsewhere stay on their side.
    """
    digest = hashlib.sha256(group_key.encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < test_share:
        return "test"
    if place < test_share + validation_share:
        return "validation"
    return "train"


def crossing_groups(rows: Iterable[tuple[str, str]]) -> set[str]:
    """Return the keys that appear in more than one split, of rows (key, split): a leak if any."""
    seen: dict[str, set[str]] = {}
    for key, split in rows:
        seen.setdefault(key, set()).add(split)
    return {key for key, splits in seen.items() if len(splits) > 1}
