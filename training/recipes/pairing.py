"""Which pairs of a ranking are learned from: all of them, or the best reply against one other."""

from __future__ import annotations

from random import Random
from typing import Any

from training.recipes.data import Splits

Pair = dict[str, Any]
LEFT_OUT = "other_pair"


def best_versus_random(rows: Splits, seed: int) -> Splits:
    """One pair of each ranking: its best reply against one that lost to it, drawn by the seed.

    So Zephyr makes its pairs of four scored replies (2310.16944, section 3.3). The best is a reply
    that lost to none; where several did, one of them is drawn. The pairs that are left out are
    counted as `other_pair`. A row of no judgement is a ranking of its own.
    """
    for name, pairs in rows.splits.items():
        kept = [_draw(group, seed) for group in _rankings(pairs)]
        rows.dropped[LEFT_OUT] += len(pairs) - len(kept)
        rows.splits[name] = kept
    return rows


def _rankings(pairs: list[Pair]) -> list[list[Pair]]:
    """The pairs by their judgement, in the order in which each judgement came first."""
    found: dict[str, list[Pair]] = {}
    for number, pair in enumerate(pairs):
        found.setdefault(pair["judgement"] or f"row {number}", []).append(pair)
    return list(found.values())


def _draw(pairs: list[Pair], seed: int) -> Pair:
    lost = [pair["rejected_ids"] for pair in pairs]
    best = [pair for pair in pairs if pair["chosen_ids"] not in lost]
    # A cycle has no best reply: then any of its pairs says as much as another.
    rng = Random(f"{seed} {pairs[0]['judgement']}")  # noqa: S311 - repeatable, nothing secret
    winner = rng.choice(best or pairs)["chosen_ids"]
    return rng.choice([pair for pair in pairs if pair["chosen_ids"] == winner])
