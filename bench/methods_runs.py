"""Runs of recipes in folders that are kept: what was once finished is not run again.

A run is known by its recipe, the settings it was given, seed, rows and the weights of its models,
so another number anywhere is another folder. After a change of the recipes' code, or of what they
take where nothing is given, delete the kept worlds: nothing notices it.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bench import methods_settings as settings
from bench.methods_world import Row, World
from bench.reporting import say
from training import launcher, rundir
from training.configs import parse_config, to_json

_ROOT = Path(__file__).resolve().parent.parent
_LOSS = "loss.json"
_DRAWN = ("device", "max_length", "max_new_tokens", "batch_size")
THREADS = 1
_asking = threading.Lock()


def finished(
    world: World,
    label: str,
    recipe: str,
    *,
    config: Mapping[str, Any],
    rows: Sequence[Row],
    models: Mapping[str, Path],
) -> Path:
    """Run a recipe to its end in a folder of the world and return the folder.

    A folder that is already finished is returned as it is; one that was stopped goes on. Raises
    RuntimeError with the end of the log where the run fails.
    """
    resolved = to_json(parse_config(recipe, {**config, "threads": THREADS}))
    inputs = {name: {"path": str(at), "sha256": weights_of(at)} for name, at in models.items()}
    known_by = [recipe, dict(config), world.seed, [of["sha256"] for of in inputs.values()], rows]
    folder = world.folder / "runs" / f"{label}-{hash_of(known_by)}"
    result = rundir.read_result(folder) if folder.exists() else None
    if result is not None and result.get("status") == "succeeded":
        return folder
    say(f"seed {world.seed}: {label} ...")
    rundir.prepare(
        folder, recipe=recipe, config=resolved, inputs=inputs, rows=rows, seed=world.seed
    )
    outcome = launcher.launch(
        folder,
        recipe,
        on_metrics=lambda rows: None,
        should_stop=lambda: None,
        heartbeat=lambda: None,
    )
    if outcome.status != "succeeded":
        raise RuntimeError(f"{label} {outcome.status}: {outcome.reason}\n{outcome.log_tail}")
    return folder


def hash_of(value: Any) -> str:
    """Return a short hash of what can be written as JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def weights_of(model: Path) -> str:
    """Return the sha256 of a model's folder, read once."""
    return rundir.weights_sha256(model)


def evaluated(
    world: World, label: str, policy: Path, prompts: Sequence[Row], replies: int
) -> list[Row]:
    """Return a policy's replies as the evaluation recipe measured them, by the ids it drew.

    KL is to the SFT policy and the reward that of the world's reward model. Each row carries its
    prompt's `messages`.
    """
    config = {name: settings.SAMPLE[name] for name in _DRAWN} | {"replies_per_prompt": replies}
    models = {"model": policy, "reference": world.sft, "reward": world.reward}
    folder = finished(world, label, "evaluate", config=config, rows=prompts, models=models)
    messages = {row["prompt_id"]: row["prompt"] for row in prompts}
    with (folder / rundir.EVALUATIONS).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [{**row, "messages": messages[row["prompt_id"]]} for row in rows]


def loss_on(world: World, label: str, policy: Path, texts: Sequence[Row]) -> float:
    """Return the mean negative log-likelihood of a token of the texts' replies, asked once."""
    job = {"policy": str(policy), "texts": list(texts)}
    folder = world.folder / "losses" / f"{label}-{hash_of([weights_of(policy), job])}"
    if not (folder / _LOSS).exists():
        say(f"seed {world.seed}: loss of {label} ...")
        folder.mkdir(parents=True, exist_ok=True)
        rundir.write_json_atomic(folder / "job.json", job)
        with _asking:
            _answered(folder, label)
    return float(rundir.read_json(folder / _LOSS)["loss"])


def _answered(folder: Path, label: str) -> None:
    """Have the process with torch measure a folder; RuntimeError where it can't."""
    process = _scores()
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process that measures has no pipes")
    process.stdin.write(f"{folder}\n")
    process.stdin.flush()
    if process.stdout.readline().strip() != str(folder):
        raise RuntimeError(f"Measuring {label} failed; see above.")


@cache
def _scores() -> "subprocess.Popen[str]":
    """Return the process that measures, started at first need; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench.methods_scores"],
        cwd=_ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
