"""PPO beside TRL 1.12's experimental PPOTrainer: `python -m bench.train_ppo`, or in bench-train.

Speed: the same policy, reward model, prompts and numbers on both sides, in turn, each run a process
of its own; what counts are the episodes a second from the end of the first step to the end of the
last, so imports, tokens and models are read before. Gold: runs of three demo worlds, some of whose
policies are kept and reply to the world's test prompts; gold is read here, at the KL that both
sides reach.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

from bench.methods_world import World, world_of
from bench.reporting import RESULTS, commit, machine, say, versions
from bench.train_ppo_gold import Curve, Point, difference, gold_at, in_standard_errors, matched_kl
from bench.train_ppo_runs import BATCH, SHARED, TRL, Job, Trace, baseline, in_torch, own
from labeling.demo.gold import gold_score
from training import rundir

SIDES = ("baseline", "own")
SPEED_SEED, SPEED_STEPS = 1, 5
GOLD_SEEDS, GOLD_STEPS, KEEP_EVERY = (1, 2, 3), 12, 4
REPLIES = 16
SHOWN = ("objective/kl", "objective/scores")


def main() -> None:
    """Measure and print the summary as the last line."""
    parser = argparse.ArgumentParser(prog="bench.train_ppo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="of the speed part")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--only", choices=("speed", "gold"))
    parser.add_argument("--threads", type=int, default=_cores(), help="on each side")
    given = parser.parse_args()
    if given.repeats < 1 or given.threads < 1:
        parser.error("--repeats and --threads must be 1 or more.")
    parts = (given.only,) if given.only else ("speed", "gold")
    found = measured(given.repeats, given.device, parts, given.threads)
    print(json.dumps(found), flush=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def measure(repeats: int = 5, device: str = "cpu") -> dict[str, float]:
    """`ppo_speedup`, the ratio of median episodes a second, ours over the baseline's, and
    `ppo_gold_gain`, our gold less the baseline's at matched KL in standard errors of the seeds.

    Raises RuntimeError where TRL 1.12 can't be installed or a run fails.
    """
    return measured(repeats, device, ("speed", "gold"), _cores())


def measured(repeats: int, device: str, parts: Sequence[str], threads: int) -> dict[str, float]:
    """The figures of the parts; everything behind them goes to bench/results."""
    summary: dict[str, float] = {}
    details: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-train-ppo-") as base:
        if "speed" in parts:
            details["speed"] = speed(Path(base), repeats, device, threads)
            summary["ppo_speedup"] = details["speed"]["ratio"]
        if "gold" in parts:
            details["gold"] = [
                gold(seed, Path(base) / f"gold-{seed}", device, threads) for seed in GOLD_SEEDS
            ]
            summary["ppo_gold_gain"] = told_gold(details["gold"])
    details |= {"summary": summary, "machine": machine(), "commit": commit(), "numbers": SHARED}
    details |= {"baseline": TRL, "versions": versions("torch", "transformers", "accelerate")}
    RESULTS.mkdir(exist_ok=True)
    rundir.write_json_atomic(RESULTS / "bench-train-ppo.json", details)
    return summary


# --- speed ---------------------------------------------------------------------------------------


def speed(base: Path, repeats: int, device: str, threads: int) -> dict[str, Any]:
    """Episodes a second of both sides in turn, and the ratio of their medians."""
    world = world_of(SPEED_SEED)
    ids = prompts_as_ids(world, base)
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for repeat in range(1, repeats + 1):
        job = Job(world=world, seed=repeat, steps=SPEED_STEPS, device=device, threads=threads)
        # Who begins changes, so that a machine that slows down harms both alike.
        for side in SIDES if repeat % 2 else SIDES[::-1]:
            trace = run(side, job, base / f"speed-{side}-{repeat}", ids)
            rates[side].append(trace.episodes_per_s)
            say(f"speed {repeat}/{repeats} {side}: {rates[side][-1]:.1f} episodes/s{logged(trace)}")
    for side in SIDES:
        low, high = min(rates[side]), max(rates[side])
        say(f"{side}: median {median(rates[side]):.1f} episodes/s, {low:.1f} to {high:.1f}")
    pairs = [mine / other for mine, other in zip(rates["own"], rates["baseline"], strict=True)]
    ratio = median(rates["own"]) / median(rates["baseline"])
    say(f"ppo_speedup {ratio:.2f}, of single repeats {min(pairs):.2f} to {max(pairs):.2f}")
    timed = {"steps": SPEED_STEPS - 1, "episodes": (SPEED_STEPS - 1) * BATCH, "threads": threads}
    return {"ratio": round(ratio, 3), "rates": rates, "timed": timed}


def run(side: str, job: Job, folder: Path, ids: Sequence[Sequence[int]]) -> Trace:
    """One run of a side."""
    return own(job, folder) if side == "own" else baseline(job, folder, ids)


def logged(trace: Trace) -> str:
    """What a run said of its last step."""
    last = trace.metrics[-1]
    return "".join(f", {name} {last[name]:.2f}" for name in SHOWN)


def prompts_as_ids(world: World, folder: Path) -> Any:
    """The prompts to learn from, as tokens."""
    prompts = [row["prompt"] for row in world.of_split(world.prompts, "train")]
    return in_torch("ids", question(world, prompts, 1), folder)


def question(world: World, prompts: Sequence[Any], threads: int) -> dict[str, Any]:
    """What the process with torch is told of a world."""
    return {
        "policy": str(world.sft),
        "prompts": list(prompts),
        "max_length": 256 - SHARED["max_new_tokens"],
        "threads": threads,
    }


# --- gold ----------------------------------------------------------------------------------------


def gold(seed: int, base: Path, device: str, threads: int) -> dict[str, Any]:
    """Both sides' curves of one seed, and how much more gold ours has at matched KL."""
    world = world_of(seed)
    ids = prompts_as_ids(world, base)
    job = Job(
        world=world,
        seed=seed,
        steps=GOLD_STEPS,
        keep_every=KEEP_EVERY,
        device=device,
        threads=threads,
    )
    kept = {side: run(side, job, base / side, ids).policies for side in SIDES}
    found = curves(world, kept, base, threads)
    shutil.rmtree(base)
    for side, curve in found.items():
        shown = ", ".join(f"{point.gold:.3f} at {point.kl:.2f}" for point in curve)
        say(f"gold, seed {seed}, {side}: {shown}")
    kl, more = (
        matched_kl(found["own"], found["baseline"]),
        difference(*(found[s] for s in SIDES[::-1])),
    )
    at = {side: gold_at(curve, kl) for side, curve in found.items()}
    say(f"gold, seed {seed}: {at['own']:.3f} against {at['baseline']:.3f} at a KL of {kl:.2f}")
    points = {side: [asdict(point) for point in curve] for side, curve in found.items()}
    return {"seed": seed, "kl": kl, "difference": more, "gold": at, "curves": points}


def curves(
    world: World, kept: Mapping[str, Mapping[int, Path]], base: Path, threads: int
) -> dict[str, Curve]:
    """Gold over KL of each side's kept policies, the policy they began as included."""
    rows = world.of_split(world.prompts, "test")
    messages = [row["prompt"] for row in rows for _ in range(REPLIES)]
    files = [None] + [str(file) for side in SIDES for file in kept[side].values()]
    job = question(world, [row["prompt"] for row in rows], threads) | {
        "weights": files,
        "replies": REPLIES,
        "seed": world.seed,
        "max_new_tokens": SHARED["max_new_tokens"],
    }
    said = in_torch("replies", job, base)
    points = [
        Point(
            kl=fmean(reply["kl"] for reply in replies),
            gold=fmean(
                gold_score(prompt, reply["text"])
                for prompt, reply in zip(messages, replies, strict=True)
            ),
        )
        for replies in said
    ]
    first, rest, each = points[:1], points[1:], GOLD_STEPS // KEEP_EVERY
    return {side: first + rest[at * each : (at + 1) * each] for at, side in enumerate(SIDES)}


def told_gold(rows: Sequence[Mapping[str, Any]]) -> float:
    """Print and return the difference over seeds in standard errors."""
    differences = [row["difference"] for row in rows]
    gain = round(in_standard_errors(differences), 3)
    shown = ", ".join(f"{one:+.3f}" for one in differences)
    say(f"ppo_gold_gain {gain}: gold {fmean(differences):+.4f} on the mean of seeds ({shown})")
    return gain


if __name__ == "__main__":
    main()
