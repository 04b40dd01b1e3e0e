"""Which comparisons are asked, of all that the replies of a pool of prompts allow.

A comparison is K candidates of one prompt. What a strategy may choose is bounded twice: a candidate
stands in one comparison, and a prompt in `per_prompt` of them, so that one batch does not ask the
same thing over and over. A set share of the comparisons is always chosen by chance before the
strategy chooses: they are the control that it is measured against, and an unbiased sample of what
the policy says, which the strategy's own choice is not.

Everything follows from the seed, whatever the order in which the pool comes: what is worth the same
is told apart by lot. Nothing here knows the web framework or torch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Final

from training.acquisition.values import Scores, Value, disagreement, margin

RANDOM: Final = "random"
THOMPSON: Final = "thompson"
VALUES: Final[dict[str, Value]] = {"margin": margin, "disagreement": disagreement}
STRATEGIES: Final = (RANDOM, *VALUES, THOMPSON)
ENSEMBLED: Final = ("disagreement", THOMPSON)
"""The strategies that see nothing in one model's scores alone."""

DRAWS: Final = 30
"""How often double Thompson draws before it lets chance decide."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The candidates of a prompt that may be asked about, and what each member scores them.

    A candidate without scores is for chance alone.
    """

    prompt: int
    candidates: Sequence[int]
    scores: Mapping[int, Scores]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """One comparison to ask, and the arm that chose it; the candidates are in no telling order."""

    prompt: int
    candidates: tuple[int, ...]
    arm: str


def control_count(count: int, share: float) -> int:
    """Return how many of so many comparisons chance chooses: the share, rounded up.

    >>> control_count(10, 0.25), control_count(10, 0.0)
    (3, 0)
    """
    return min(count, ceil(share * count - 1e-9))


def can_choose(strategy: str, scores: Mapping[int, Scores]) -> bool:
    """Return whether a strategy sees anything in the scores: none in nothing, nor in one member's.

    >>> can_choose("margin", {1: [0.5]}), can_choose("disagreement", {1: [0.5]})
    (True, False)
    """
    members = max((len(one) for one in scores.values()), default=0)
    return members >= (2 if strategy in ENSEMBLED else 1)


def choose(
    pools: Sequence[Pool],
    *,
    strategy: str,
    count: int,
    size: int,
    control_share: float,
    per_prompt: int = 1,
    seed: int = 0,
) -> list[Chosen]:
    """Choose at most `count` comparisons of `size` candidates each, over the whole pool.

    The control is drawn first, by chance; then the strategy chooses among what is left, and where
    it can't, because too little is scored, chance does. They come back in an order by lot: whoever
    judges a part of them has judged the same share of each arm. Fewer come back where the pool
    allows no more. Raises ValueError for an unknown strategy and for a size below 2.
    """
    if strategy not in STRATEGIES or size < 2:
        raise ValueError(f"no way to choose {size} candidates by {strategy!r}")
    free = _Free(pools, size, per_prompt, seed)
    chosen = free.by_chance(control_count(count, control_share))
    if strategy == THOMPSON:
        chosen += free.by_thompson(count - len(chosen))
    elif strategy in VALUES:
        chosen += free.by_value(strategy, count - len(chosen))
    chosen += free.by_chance(count - len(chosen))
    return free.mixed(chosen)


class _Free:
    """What of the pool is not chosen yet."""

    def __init__(self, pools: Sequence[Pool], size: int, per_prompt: int, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - lots, not secrets
        self._size = size
        self._scores = {pool.prompt: pool.scores for pool in pools}
        self._left = {pool.prompt: sorted(pool.candidates) for pool in pools}
        self._room = {
            prompt: min(per_prompt, len(ids) // size) for prompt, ids in self._left.items()
        }

    def by_chance(self, count: int) -> list[Chosen]:
        """Draw comparisons, each that the pool has room for as likely as any other."""
        places = [p for p in sorted(self._left) for _ in range(self._room[p])]
        drawn = self._rng.sample(places, min(max(count, 0), len(places)))
        return [
            self._take(prompt, self._rng.sample(self._left[prompt], self._size), RANDOM)
            for prompt in drawn
        ]

    def by_value(self, strategy: str, count: int) -> list[Chosen]:
        """Take what is worth most by the mean value of a comparison's pairs."""
        found = [
            (worth, prompt, group)
            for prompt in self._shuffled()
            for worth, group in best_groups(
                self._scored(prompt), VALUES[strategy], self._size, self._room[prompt]
            )
        ]
        found.sort(key=lambda one: -one[0])
        return [self._take(prompt, group, strategy) for _, prompt, group in found[: max(count, 0)]]

    def by_thompson(self, count: int) -> list[Chosen]:
        """Take the favourites of members drawn by lot, of prompts drawn by lot.

        Double Thompson sampling (Wu & Liu 2016, 1604.07101; for language models Dwaracherla et al.
        2024, 2402.00396): each candidate is the best by a member drawn anew; one that is chosen
        already is drawn again, some times, and after that chance decides. Which prompt is worth
        asking about it does not say: each comes once before any comes again.
        """
        places: list[int] = []
        most = max(self._room.values(), default=0)
        for turn in range(most):
            places += [prompt for prompt in self._shuffled() if self._room[prompt] > turn]
        chosen: list[Chosen] = []
        for prompt in places:
            scored = self._scored(prompt)
            if len(chosen) < count and len(scored) >= self._size:
                group = favourites(scored, self._size, self._rng)
                chosen.append(self._take(prompt, group, THOMPSON))
        return chosen

    def mixed(self, chosen: list[Chosen]) -> list[Chosen]:
        """Return what was chosen in an order by lot."""
        return self._rng.sample(chosen, len(chosen))

    def _shuffled(self) -> list[int]:
        prompts = sorted(prompt for prompt, room in self._room.items() if room)
        self._rng.shuffle(prompts)
        return prompts

    def _scored(self, prompt: int) -> dict[int, Scores]:
        """Return a prompt's free candidates that have scores, in an order by lot."""
        known = [one for one in self._left[prompt] if one in self._scores[prompt]]
        self._rng.shuffle(known)
        return {one: self._scores[prompt][one] for one in known}

    def _take(self, prompt: int, group: Sequence[int], arm: str) -> Chosen:
        self._left[prompt] = [one for one in self._left[prompt] if one not in group]
        self._room[prompt] -= 1
        mixed = self._rng.sample(group, len(group))
        return Chosen(prompt=prompt, candidates=tuple(mixed), arm=arm)


def best_groups(
    scored: Mapping[int, Scores], value: Value, size: int, most: int
) -> Iterator[tuple[float, list[int]]]:
    """Yield disjoint groups of a prompt's candidates, the most valuable first, with their values.

    A group begins with the pair worth most and grows by whoever adds most to it; its value is the
    mean of its pairs'. Of equals the first one given wins.
    """
    worth = {
        frozenset(pair): value(scored[pair[0]], scored[pair[1]]) for pair in combinations(scored, 2)
    }
    left = list(scored)
    for _ in range(most):
        if len(left) < size:
            return
        group = list(max(combinations(left, 2), key=lambda pair: worth[frozenset(pair)]))
        while len(group) < size:
            others = [one for one in left if one not in group]
            added = [sum(worth[frozenset((one, other))] for other in group) for one in others]
            group.append(others[added.index(max(added))])
        pairs = [worth[frozenset(pair)] for pair in combinations(group, 2)]
        yield sum(pairs) / len(pairs), group
        left = [one for one in left if one not in group]


def favourites(scored: Mapping[int, Scores], size: int, rng: random.Random) -> list[int]:
    """Return `size` different candidates: favourites of members by lot, else candidates by lot."""
    members = len(next(iter(scored.values())))
    group: list[int] = []
    while len(group) < size:
        for _ in range(DRAWS):
            member = rng.randrange(members)
            best = max(scored, key=lambda one: scored[one][member])
            if best not in group:
                break
        else:
            best = rng.choice([one for one in scored if one not in group])
        group.append(best)
    return group
