"""`make bench-train`: our trainers beside bare TRL scripts, and PPO beside TRL 1.12's.

Both sides are processes that live through a case and train in turn, five times each after a round
that is not counted. They get the same model, rows, precision, threads and rows a step. What is
timed says bench/train_clock.py; the other side's settings stand in bench/train_baseline.py.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.reporting import finish, say, versions
from bench.train_cases import CASES, SHAPES, mean_interval, overhead, ratio
from bench.train_race import SIDES, Options, Race, race

PARTS = ("reward", "dpo", "sft", "ppo")
LIBRARIES = ("torch", "transformers", "trl", "accelerate", "datasets")
KEYS = {
    "reward_k4": "rm_speedup_k4",
    "reward_k9": "rm_speedup_k9",
    "reward_long": "rm_speedup_long",
    "dpo_short": "dpo_overhead",
    "dpo_long": "dpo_speedup_long",
    "sft_short": "sft_overhead",
}
GOALS = {
    "rm_speedup_k4": "at least 3.2",
    "rm_speedup_k9": "at least 9",
    "rm_speedup_long": "at least 8",
    "dpo_overhead": "at most 0.03",
    "dpo_speedup_long": "at least 1.5",
    "sft_overhead": "at most 0.03",
    "ppo_speedup": "at least 1.5",
    "ppo_gold_gain": "not below 0",
}


def figure(found: Race) -> float:
    """The case's figure: how many times faster we are, or by what part slower."""
    baseline, own = found.of("baseline"), found.of("own")
    if KEYS[found.case.name].endswith("overhead"):
        return round(overhead(baseline, own), 4)
    return round(ratio(baseline, own).of_medians, 3)


def tell(found: Race) -> None:
    """Print what a case came to."""
    key, case = KEYS[found.case.name], found.case
    faster = ratio(found.of("baseline"), found.of("own"))
    by_cpu = ratio(found.of("baseline", "cpu"), found.of("own", "cpu"))
    say(f"{case.name}: {faster} times faster by the clock, {by_cpu} by processor time")
    for side in SIDES:
        seconds = found.of(side)
        parts = [
            f"{side}: median {median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}"
        ]
        if found.accuracies[side]:
            parts.append(f"held-out accuracy {mean_interval(found.accuracies[side])}")
        share = peak_share(found, side)
        if share is not None:
            parts.append(f"{share:.0%} of the peak rate")
        say("  " + ", ".join(parts))
    say(f"  {key} {figure(found)}, goal {GOALS[key]}")


def peak_share(found: Race, side: str) -> float | None:
    """The part of a GPU's peak rate that is used: six operations a weight and token, or None.

    Tokens are those that the side read, padding not counted; the reference's pass is left out.
    """
    peak = found.models["peak"]
    if not peak:
        return None
    tokens, seconds = median(found.of(side, "tokens")), median(found.of(side))
    return float(6 * found.models["parameters"] * tokens / seconds / peak)


def measured(parts: list[str], base: Path, options: Options) -> tuple[dict[str, Any], list[Any]]:
    """The summary and the raw rows of the parts that are asked for."""
    summary: dict[str, Any] = {}
    raw: list[Any] = []
    for case in CASES[options.device]:
        if case.recipe in parts:
            found = race(case, base / case.name, options)
            tell(found)
            summary[KEYS[case.name]] = figure(found)
            raw.append(asdict(found))
    if "ppo" in parts:
        from_ppo = importlib.import_module("bench.train_ppo")
        told = from_ppo.measure(repeats=options.repeats, device=options.device)
        summary |= {name: told[name] for name in ("ppo_speedup", "ppo_gold_gain")}
    return summary, raw


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=tuple(CASES), default="cpu")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="on each side"
    )
    given = parser.parse_args()
    if given.repeats < 1 or given.threads < 1:
        parser.error("--repeats and --threads must be 1 or more.")
    return given


def main() -> None:
    """Measure, print and write the result."""
    given = arguments()
    options = Options(
        device=given.device,
        threads=given.threads,
        repeats=given.repeats,
        shape=SHAPES[given.device],
    )
    with tempfile.TemporaryDirectory(prefix="bench-train-") as base:
        summary, raw = measured(given.only, Path(base), options)
    details = {"options": asdict(options), "versions": versions(*LIBRARIES), "cases": raw}
    finish("bench-train", summary, details)


if __name__ == "__main__":
    main()
