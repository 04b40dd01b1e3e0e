"""make bench-estimate: how far the start form's forecast lies from what two runs really take.

Measures the machine first, then trains two models in processes of their own as the product does:
a policy of 0.7 million weights by SFT and a reward model of 10 million from rankings of four. Both
compute with one thread. A run's time is its own on the processor, start included: on an idle
machine that is the time on the clock, and on a busy one the others' turns don't count.
"""

import argparse
import random
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.reporting import finish, machine, say, versions
from training import launcher, rundir
from training.configs import parse_config, to_json
from training.encoding import Encoder
from training.forecast import OnDevice, forecast
from training.machine import Machine, machines_in
from training.model_shape import shape_of
from training.tokenizing import LightTokenizer
from training.workload import Row, Texts

GOAL = 0.25
ROWS = 300
SHARED = {"device": "cpu", "threads": 1, "max_length": 256, "checkpoint_steps": 0}
SCRATCH = {
    **SHARED,
    "init": "scratch",
    "max_positions": 256,
    "max_steps": 1,
    "per_device_batch_size": 2,
}
BASES: dict[str, dict[str, Any]] = {
    "small": {**SCRATCH, "architecture": "llama", "intermediate_size": 256},
    "large": {
        **SCRATCH,
        "architecture": "qwen3",
        "vocab_size": 4096,
        "hidden_size": 320,
        "layers": 7,
        "heads": 8,
        "kv_heads": 4,
        "intermediate_size": 960,
    },
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("sft", {**SHARED, "per_device_batch_size": 32, "max_steps": 30}),
    "large": ("reward", {**SHARED, "per_device_batch_size": 8, "max_steps": 6}),
}


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a run took: bytes at its highest, seconds on the processor and on the clock."""

    peak_bytes: int
    processor_s: float
    clock_s: float


def main() -> None:
    """Measure, forecast, run, compare."""
    parser = argparse.ArgumentParser(prog="bench.estimate", description=__doc__)
    parser.parse_args()
    say(f"machine: {machine()}")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        known = calibrated(place)
        say(f"measured: {known.devices[0]}")
        rows = {size: one(place, size, known) for size in RUNS}
    summary = {
        f"{what}_ratio_{size}": row[f"{what}_ratio"]
        for what in ("memory", "time")
        for size, row in rows.items()
    }
    finish("bench-estimate", summary, {"rows": rows, "versions": versions("torch", "trl")})
    if any(abs(ratio - 1) > GOAL for ratio in summary.values()):
        sys.exit(1)


def calibrated(place: Path) -> Machine:
    """This machine as it is now."""
    launched = launcher.environment()
    words = [sys.executable, "-m", "training.recipes.calibrate", str(place)]
    subprocess.run(words, cwd=launcher.PROJECT, env=launched, check=True)
    return machines_in(place)[0]


def one(place: Path, size: str, known: Machine) -> dict[str, Any]:
    """Forecast and run one of the two, on a base made for it."""
    base = made(place / f"base-{size}", "sft", demonstrations(ROWS), BASES[size])[0]
    recipe, config = RUNS[size]
    rows = demonstrations(ROWS) if recipe == "sft" else rankings(ROWS)
    said = said_of(recipe, config, rows, base, known)
    taken = made(place / size, recipe, rows, config, model=base)[1]
    time = said.duration.total if said.duration else 0.0
    row = {
        "recipe": recipe,
        "config": config,
        "memory_ratio": round(said.takes_bytes / taken.peak_bytes, 3),
        "time_ratio": round(time / taken.processor_s, 3),
        "forecast_bytes": round(said.takes_bytes),
        "peak_bytes": taken.peak_bytes,
        "forecast_s": round(time, 1),
        "processor_s": round(taken.processor_s, 1),
        "clock_s": round(taken.clock_s, 1),
        "memory": dict(said.memory.parts()),
        "duration": dict(said.duration.parts()) if said.duration else None,
    }
    say(f"{size}: {row}")
    return row


def said_of(
    recipe: str, config: Mapping[str, Any], rows: list[dict[str, Any]], base: Path, known: Machine
) -> OnDevice:
    """What the form would say of this run on this machine."""
    parsed = parse_config(recipe, config)
    encoder = Encoder(LightTokenizer.in_folder(base), parsed.max_length)
    texts = Texts(train=tuple(_lengths(row, encoder) for row in rows))
    return forecast(parsed, texts, shape_of(base), None, [known]).on[0]


def _lengths(row: dict[str, Any], encoder: Encoder) -> Row:
    replies = row["replies"] if "replies" in row else [row["completion"]]
    both = [encoder.exchange(row["prompt"], reply) for reply in replies]
    return Row(prompt=len(both[0][0]), replies=tuple(len(ids) for _, ids in both))


def made(
    folder: Path,
    recipe: str,
    rows: list[dict[str, Any]],
    config: Mapping[str, Any],
    *,
    model: Path | None = None,
) -> tuple[Path, Taken]:
    """Run a recipe in a process of its own; its model, and what it took."""
    inputs = {"model": {"path": str(model)}} if model else {}
    resolved = to_json(parse_config(recipe, config))
    rundir.prepare(folder, recipe=recipe, config=resolved, inputs=inputs, rows=rows, seed=1)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = launcher.launch(
        folder,
        recipe,
        on_metrics=lambda _: None,
        should_stop=lambda: None,
        heartbeat=lambda: None,
        poll_s=0.1,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if outcome.status != "succeeded" or outcome.result is None:
        raise SystemExit(f"{recipe} did not succeed: {outcome.reason}\n{outcome.log_tail}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return folder / rundir.MODEL, Taken(
        peak_bytes=int(outcome.result["peak_memory_bytes"]),
        processor_s=spent,
        clock_s=float(outcome.result["seconds"]),
    )


_RNG = random.Random(9)
_SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in "aeiou"]
_WORDS = ["".join(_RNG.choices(_SYLLABLES, k=_RNG.randint(1, 4))) for _ in range(6000)]


def _text(rng: random.Random, fewest: int, most: int) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(fewest, most)))


def _turn(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def demonstrations(count: int) -> list[dict[str, Any]]:
    """Replies of 8 to 40 made-up words to prompts of 3 to 10."""
    rng = random.Random(1)
    return [
        {
            "prompt": _turn("user", _text(rng, 3, 10)),
            "completion": _turn("assistant", _text(rng, 8, 40)),
            "split": "train",
        }
        for _ in range(count)
    ]


def rankings(count: int) -> list[dict[str, Any]]:
    """Four such replies to each prompt, in an order of no meaning."""
    rng = random.Random(2)
    return [
        {
            "prompt": _turn("user", _text(rng, 3, 10)),
            "replies": [_turn("assistant", _text(rng, 8, 40)) for _ in range(4)],
            "tiers": [[0], [1], [2], [3]],
            "strength": None,
            "weight": 1.0,
            "judgement": str(number),
            "annotator": "a",
            "split": "train",
        }
        for number in range(count)
    ]


if __name__ == "__main__":
    main()
