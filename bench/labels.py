"""make bench-labels: how many labels each way of choosing what is asked needs.

In each demo world (bench/methods_world.py) the SFT policy replies sixteen times to every prompt.
Pairs of the training prompts' replies are the pool; a simulated annotator judges what a strategy
asks, a batch at a time, chosen over the whole pool by `training.acquisition.strategies`. After
each batch a Bradley-Terry head is solved to its optimum, and held against gold on all pairs of
replies to the held-out prompts. The strategy is chosen on two seeds and measured on three others.
At the final size the product's recipe trains a reward model from the same labels, and the best of
sixteen replies to the held-out prompts by its scores is read by gold.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from bench.labels_head import Array, fit, represent
from bench.methods_runs import finished, hash_of
from bench.methods_world import Row, World, world_of
from bench.reporting import finish, machine, say, versions
from labeling.demo.gold import GOLD_VERSION, JUST_NOTICEABLE, gold_score, noisy_order
from labeling.demo.world import WORLD_VERSION
from training import demo_presets, rundir
from training.acquisition.strategies import RANDOM, STRATEGIES, Pool, choose

TUNED, MEASURED = (1, 2), (3, 4, 5)
REPLIES = 16
LABELS, BATCH = 400, 20
MEMBERS = 8
NOISE = 0.1
GOAL = 0.5
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Asked:
    """One label: two replies by their places, and the tiers that the annotator put them in."""

    first: int
    second: int
    tiers: list[list[int]]

    @property
    def target(self) -> float:
        """The share of a win that the first reply has."""
        return 0.5 if len(self.tiers) == 1 else float(self.tiers[0] == [0])


class Replies:
    """All distinct replies of a world's policy to the prompts of two parts, with their gold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows = [row for split in ("train", "test") for row in _sampled(world, split)]
        self.gold = [gold_score(row["messages"], row["text"]) for row in self.rows]
        self.prompts = np.array([int(row["prompt_id"]) for row in self.rows])
        self.in_pool = np.array([row["split"] == "train" for row in self.rows])

    @cached_property
    def features(self) -> Array:
        """What the head reads, an array of shape (replies, weights)."""
        exchanges = [(row["messages"], row["text"]) for row in self.rows]
        job = {"policy": str(self.world.sft), "exchanges": exchanges}
        folder = self.world.folder / "features" / hash_of(job)
        if not (folder / "features.npy").exists():
            say(f"seed {self.world.seed}: features ...")
            folder.mkdir(parents=True, exist_ok=True)
            rundir.write_json_atomic(folder / "job.json", job)
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "bench.labels_features", str(folder)]
            subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=True)
        states = np.load(folder / "features.npy")
        return represent(states, self.prompts, self.in_pool)

    def of_prompts(self, *, in_pool: bool) -> dict[int, list[int]]:
        """Return the places of the replies to each prompt of a part."""
        found: dict[int, list[int]] = {}
        for place in np.flatnonzero(self.in_pool == in_pool).tolist():
            found.setdefault(int(self.prompts[place]), []).append(place)
        return found

    @cached_property
    def held_out(self) -> tuple[Array, Array]:
        """The better and the worse replies of all pairs that gold tells apart."""
        pairs = [
            (a, b) if self.gold[a] > self.gold[b] else (b, a)
            for places in self.of_prompts(in_pool=False).values()
            for a, b in combinations(places, 2)
            if round(self.gold[a] / JUST_NOTICEABLE) != round(self.gold[b] / JUST_NOTICEABLE)
        ]
        better, worse = zip(*pairs, strict=True)
        return np.array(better), np.array(worse)

    def accuracy(self, weights: Array) -> float:
        """Return the share of the held-out pairs that a head puts as gold does."""
        scores = self.features @ weights
        better, worse = self.held_out
        return float((scores[better] > scores[worse]).mean())


def _sampled(world: World, split: str) -> list[Row]:
    """Return the distinct replies to the prompts of a part, drawn once by the recipe."""
    prompts = world.of_split(world.prompts, split)
    config = {**demo_presets.SAMPLE_CONFIG, "candidates_per_prompt": REPLIES}
    models = {"model": world.sft}
    folder = finished(world, f"pool-{split}", "sample", config=config, rows=prompts, models=models)
    messages = {row["prompt_id"]: row["prompt"] for row in prompts}
    lines = (folder / rundir.SAMPLES).read_text(encoding="utf-8").splitlines()
    said = {(row["prompt_id"], row["text"]) for row in map(json.loads, lines)}
    return [
        {"split": split, "prompt_id": prompt, "messages": messages[prompt], "text": text}
        for prompt, text in sorted(said)
        if text.strip()
    ]


def label_by(strategy: str, replies: Replies, seed: int) -> tuple[Curve, list[Asked]]:
    """Ask for all labels by a strategy; return the accuracy after each batch, and the labels.

    The first batch is by chance, the same for every strategy.
    """
    noise = random.Random(seed)
    draws = np.random.default_rng(seed)
    left = replies.of_prompts(in_pool=True)
    features = replies.features
    asked: list[Asked] = []
    curve: Curve = []
    scores: Array | None = None
    while len(asked) < LABELS:
        by = RANDOM if scores is None else strategy
        pools = [
            Pool(
                prompt=prompt,
                candidates=places,
                scores={} if scores is None else {at: scores[at].tolist() for at in places},
            )
            for prompt, places in left.items()
        ]
        chosen = choose(
            pools,
            strategy=by,
            count=BATCH,
            size=2,
            control_share=0.0,
            seed=1000 * seed + len(asked),
        )
        for one in chosen:
            first, second = one.candidates
            tiers = noisy_order([replies.gold[first], replies.gold[second]], NOISE, noise)
            asked.append(Asked(first, second, tiers))
            left[one.prompt] = [at for at in left[one.prompt] if at not in one.candidates]
        head = fit(
            np.array([features[one.first] - features[one.second] for one in asked]),
            np.array([one.target for one in asked]),
        )
        curve.append((len(asked), replies.accuracy(head.weights)))
        scores = features @ head.members(MEMBERS, draws)
    return curve, asked


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean of several curves over the same numbers of labels."""
    return [
        (points[0][0], fmean(accuracy for _, accuracy in points))
        for points in zip(*curves, strict=True)
    ]


def ratio(curve: Curve, control: Curve) -> float | None:
    """Return at how many labels a curve reaches the control's last figure, over the control's.

    By interpolation on the first crossing; None where it never does.
    """
    labels, wanted = control[-1]
    before = (0, 0.5)
    for at, accuracy in curve:
        if accuracy >= wanted:
            share = (wanted - before[1]) / (accuracy - before[1])
            return (before[0] + share * (at - before[0])) / labels
        before = (at, accuracy)
    return None


def ratios(curves: Mapping[str, Mapping[int, Curve]], seeds: Sequence[int]) -> dict[str, Any]:
    """Return each strategy's ratio on the mean curve of some seeds."""
    means = {name: mean_curve([of[seed] for seed in seeds]) for name, of in curves.items()}
    return {name: ratio(mean, means[RANDOM]) for name, mean in means.items() if name != RANDOM}


def best_of(found: Mapping[str, float | None]) -> str:
    """Return the strategy that needs the fewest labels; one that never arrives comes last."""
    return min(found, key=lambda name: (found[name] is None, found[name] or 0.0))


def policy_gold(replies: Replies, strategy: str, asked: Sequence[Asked]) -> float:
    """Return gold of the best of sixteen, by a reward model that the recipe trains from labels."""
    world = replies.world
    rankings = [_ranking(replies, number, one) for number, one in enumerate(asked)]
    trained = finished(
        world,
        f"reward-{strategy}",
        "reward",
        config=demo_presets.REWARD_CONFIG,
        rows=rankings,
        models={"model": world.sft},
    )
    places = [at for group in replies.of_prompts(in_pool=False).values() for at in group]
    scored = finished(
        world,
        f"score-{strategy}",
        "score",
        config={name: demo_presets.SAMPLE_CONFIG[name] for name in ("device", "max_length")},
        rows=[_exchange(replies, at) for at in places],
        models={"reward": trained / rundir.MODEL},
    )
    lines = (scored / rundir.SCORES).read_text(encoding="utf-8").splitlines()
    rewards = {int(row["candidate_id"]): row["scores"][0] for row in map(json.loads, lines)}
    groups = replies.of_prompts(in_pool=False).values()
    best = [max((at for at in group if at in rewards), key=rewards.__getitem__) for group in groups]
    return fmean(replies.gold[at] for at in best)


def _ranking(replies: Replies, number: int, one: Asked) -> Row:
    texts = [replies.rows[at]["text"] for at in (one.first, one.second)]
    return {
        "prompt": replies.rows[one.first]["messages"],
        "replies": [[{"role": "assistant", "content": text}] for text in texts],
        "tiers": one.tiers,
        "strength": None,
        "weight": 1.0,
        "comparison": str(number),
        "judgement": str(number),
        "annotator": "simulated",
        "split": "train",
    }


def _exchange(replies: Replies, at: int) -> Row:
    row = replies.rows[at]
    completion = [{"role": "assistant", "content": row["text"]}]
    return {"candidate_id": str(at), "prompt": row["messages"], "completion": completion}


def main() -> None:
    """Measure every strategy on every seed, and print the figures."""
    parser = argparse.ArgumentParser(prog="bench.labels", description=__doc__)
    parser.add_argument("--tuned", type=int, nargs="+", default=list(TUNED))
    parser.add_argument("--measured", type=int, nargs="+", default=list(MEASURED))
    parser.add_argument("--draws", type=int, default=1, help="of labels and choices, a seed")
    given = parser.parse_args()
    say(f"machine: {machine()}")
    curves: dict[str, dict[int, Curve]] = {name: {} for name in STRATEGIES}
    labels: dict[tuple[str, int], list[Asked]] = {}
    replies: dict[int, Replies] = {}
    for seed in [*given.tuned, *given.measured]:
        replies[seed] = Replies(world_of(seed))
        for name in STRATEGIES:
            drawn = [label_by(name, replies[seed], seed + 100 * n) for n in range(given.draws)]
            curves[name][seed] = mean_curve([curve for curve, _ in drawn])
            labels[name, seed] = drawn[0][1]
            say(f"seed {seed}, {name}: {[round(a, 3) for _, a in curves[name][seed]]}")
    tuned, measured = ratios(curves, given.tuned), ratios(curves, given.measured)
    best = best_of(tuned)
    say(f"ratios on the seeds that choose: {tuned}")
    say(f"ratios on the others: {measured}")
    gold = {
        name: {
            seed: policy_gold(replies[seed], name, labels[name, seed]) for seed in given.measured
        }
        for name in (RANDOM, best)
    }
    say(f"policy gold: {gold}")
    means = {name: fmean(of.values()) for name, of in gold.items()}
    found = measured[best]
    say(f"labels_ratio {found}, goal {GOAL} or less")
    summary = {
        "labels_ratio": None if found is None else round(found, 3),
        "gold_ratio": round(means[best] / means[RANDOM], 3),
        "best_strategy": best,
    }
    details = {
        "curves": curves,
        "ratios": {"tuned": tuned, "measured": measured},
        "gold": gold,
        "seeds": {"tuned": given.tuned, "measured": given.measured},
        "labels": {"count": LABELS, "batch": BATCH, "noise": NOISE, "members": MEMBERS},
        "draws": given.draws,
        "world": {"world": WORLD_VERSION, "gold": GOLD_VERSION},
        "versions": versions("torch", "transformers", "trl", "numpy"),
    }
    finish("bench-labels", summary, details)


if __name__ == "__main__":
    main()
