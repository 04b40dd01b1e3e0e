"""Rows of rankings into token ids: one row is one judged comparison, with the pairs kept of it.

What is left out is counted: a comparison under `dropped`, as everywhere; single replies and pairs
under names of their own beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

from training import rundir
from training.configs import RewardConfig
from training.recipes.data import Dropped, Encoder, Ids, Splits, read_rows

REFERENCE = "reference"

Row = dict[str, Any]


def encode_rankings(folder: Path, encoder: Encoder, config: RewardConfig) -> Splits:
    """Rows for the reward model: prompt, replies, ranks and the pairs that are learned from.

    A row has `prompt_ids`, `reply_ids` (K lists), `ranks` (K, 0 is best), `annotator`, `weight`,
    and of each kept pair `better`, `worse` (places among the replies), `target` and `margin`.
    Rows of the split `reference` are `input_ids` alone: texts whose mean score is to be 0.
    """
    found = Splits()
    found.splits[REFERENCE] = []
    seen: set[str] = set()
    for row in read_rows(folder):
        found.rows += 1
        try:
            encoded = (
                _reference(row, encoder)
                if row["split"] == REFERENCE
                else _ranking(row, encoder, config, found, seen)
            )
        except Dropped as reason:
            found.dropped[str(reason)] += 1
            continue
        found.splits[row["split"]].append(encoded)
    if not any(row["better"] for row in found.splits["train"]):
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.dropped.items())
        raise rundir.RunFolderError(
            f"No comparison of {found.rows} is left to train on (left out: {reasons or 'none'}): "
            "add rows with split train, or raise max_length."
        )
    return found


def _reference(row: Mapping[str, Any], encoder: Encoder) -> Row:
    prompt, reply = encoder.exchange(row["prompt"], row["completion"])
    return {"input_ids": prompt + reply}


def _ranking(
    row: Mapping[str, Any], encoder: Encoder, config: RewardConfig, found: Splits, seen: set[str]
) -> Row:
    """A comparison; Dropped where fewer than two replies or no pair of it can be used."""
    weight = float(row.get("weight", 1.0))
    if weight == 0:
        raise Dropped("zero_weight")
    key = json.dumps([row["prompt"], row["replies"], row["tiers"], row.get("judgement")])
    if key in seen:
        raise Dropped("duplicate")
    seen.add(key)
    ranks = _ranks(row)
    kept, prompt, replies = _replies(row, encoder, found)
    encoded: Row = {
        "prompt_ids": prompt,
        "reply_ids": replies,
        "ranks": [ranks[place] for place in kept],
        "annotator": str(row.get("annotator") or ""),
        "weight": weight,
    }
    pairs, tied = _pairs(encoded["ranks"], replies, _soft(row, kept), config, row.get("strength"))
    if not pairs:
        raise Dropped("tie" if tied else "equal_replies")
    found.notes["pairs"] += len(pairs)
    found.notes["tied_pairs"] += tied
    for name, values in zip(_PAIR, zip(*pairs, strict=True), strict=True):
        encoded[name] = list(values)
    return encoded


_PAIR = ("better", "worse", "target", "margin")
Pair = tuple[int, int, float, float]


def _ranks(row: Mapping[str, Any]) -> list[int]:
    """Each reply's tier; RunFolderError if the tiers do not place each reply once."""
    ranks = {place: rank for rank, tier in enumerate(row["tiers"]) for place in tier}
    count = len(row["replies"])
    if set(ranks) != set(range(count)) or sum(map(len, row["tiers"])) != count:
        raise rundir.RunFolderError(
            f"{rundir.DATA}: tiers {row['tiers']} must place each of {count} replies once."
        )
    return [ranks[place] for place in range(count)]


def _replies(
    row: Mapping[str, Any], encoder: Encoder, found: Splits
) -> tuple[list[int], Ids, list[Ids]]:
    """The replies that can be used, by their places; the others are counted under `replies_...`.

    Raises Dropped with the last reply's reason where fewer than two are left.
    """
    kept: list[int] = []
    prompt: Ids = []
    replies: list[Ids] = []
    left_out: list[str] = []
    for place, reply in enumerate(row["replies"]):
        try:
            if not "".join(message["content"] for message in reply).strip():
                raise Dropped("empty_reply")
            head, tail = encoder.exchange(row["prompt"], reply)
            if kept and head != prompt:
                raise Dropped("template_changes_prompt")
        except Dropped as reason:
            left_out.append(str(reason))
            continue
        kept.append(place)
        prompt = head
        replies.append(tail)
    if len(kept) < 2:
        raise Dropped(left_out[-1] if left_out else "one_reply")
    for name in left_out:
        found.notes[f"replies_{name}"] += 1
    return kept, prompt, replies


def _soft(row: Mapping[str, Any], kept: list[int]) -> dict[tuple[int, int], float]:
    """How surely one reply is better than another, where the row tells, by places that are kept.

    `soft` is a list of [place, place, probability that the first is better]. RunFolderError for
    one that names no two replies or no probability.
    """
    places = {place: number for number, place in enumerate(kept)}
    told: dict[tuple[int, int], float] = {}
    for first, second, probability in row.get("soft") or ():
        count = len(row["replies"])
        if not (0 <= first < count and 0 <= second < count and first != second):
            raise rundir.RunFolderError(
                f"{rundir.DATA}: soft names replies {first} and {second} of {count}."
            )
        if not 0 <= probability <= 1:
            raise rundir.RunFolderError(
                f"{rundir.DATA}: soft has {probability}, which is no probability."
            )
        if first in places and second in places:
            told[places[first], places[second]] = float(probability)
    return told


def _pairs(
    ranks: list[int],
    replies: list[Ids],
    soft: dict[tuple[int, int], float],
    config: RewardConfig,
    strength: int | None,
) -> tuple[list[Pair], int]:
    """The pairs to learn from, better one first, and how many pairs were tied.

    A pair with a soft label is learned by that label, whatever the tiers say. Two replies with the
    same ids have one score: no pair.
    """
    pairs: list[Pair] = []
    tied = 0
    for first, second in permutations(range(len(ranks)), 2):
        if replies[first] == replies[second] or (second, first) in soft:
            continue
        if (first, second) in soft:
            pairs.append((first, second, soft[first, second], 0.0))
            continue
        gap = ranks[second] - ranks[first]
        if gap > 0:
            pairs.append((first, second, 1.0, _margin(config, gap, strength)))
        elif gap == 0 and first < second:
            tied += 1
            if config.ties == "half":
                pairs.append((first, second, 0.5, 0.0))
    return pairs, tied


def _margin(config: RewardConfig, gap: int, strength: int | None) -> float:
    """By how much the two scores should differ: by tiers, or by the strength that was told."""
    asked = {"off": 0, "rank_gap": gap, "strength": strength or 0}
    return config.margin_scale * asked[config.margin]
