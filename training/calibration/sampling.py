"""A sample in which every topic is heard. Pure."""

import random
from collections.abc import Mapping, Sequence


def stratified(strata: Mapping[str, Sequence[int]], count: int, *, seed: int) -> list[int]:
    """Return up to `count` ids, as evenly from all strata as they allow, drawn by the seed.

    The strata give in turns, in the order of their names, until enough are drawn or all are empty.

    >>> sorted(stratified({"a": [1, 2, 3], "b": [4]}, 3, seed=0))[-1]
    4
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable, no secret
    waiting = []
    for name in sorted(strata):
        ids = sorted(strata[name])
        draw.shuffle(ids)
        waiting.append(ids)
    taken: list[int] = []
    while len(taken) < count and any(waiting):
        for ids in waiting:
            if ids and len(taken) < count:
                taken.append(ids.pop())
    return taken
