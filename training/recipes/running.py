"""What every recipe does around its work: open the folder, hear a stop, write the result."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import torch
from transformers import set_seed

from training import rundir
from training.configs import Config, parse_config
from training.recipes.footprint import peak_device_memory_bytes, peak_memory_bytes

logger = logging.getLogger("prefloop")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as its folder describes it; `inputs` are the folders of its models, by what they are
    to it, `model` the one it starts from and `reward` the reward model that judges its replies.
    """

    folder: Path
    recipe: str
    run_id: str
    attempt: int
    seed: int
    config: Config
    inputs: Mapping[str, Path]
    data_sha256: str
    rank: int
    world: int
    started: float = field(default_factory=time.monotonic)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    @property
    def model(self) -> Path | None:
        """The model that the run starts from, if it has one."""
        return self.inputs.get("model")

    @property
    def reward(self) -> Path | None:
        """The reward model that judges its replies, if it has one."""
        return self.inputs.get("reward")


class StopSignal:
    """Knows whether the recipe should end: SIGTERM, the file `stop`, or a launcher that is gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._terminated = False
        launcher = os.environ.get("PREFLOOP_LAUNCHER_PID")
        self._launcher = int(launcher) if launcher else None
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    def reason(self) -> str | None:
        """Why to end, or None to go on."""
        if self._terminated or rundir.stop_requested(self._folder):
            return "asked to stop"
        if self._launcher is not None and self._launcher not in _parents():
            return "its launcher is gone"
        return None


def _parents() -> tuple[int, ...]:
    """The parent, and the parent's parent too where torchrun stands between."""
    parent = os.getppid()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return (parent,)
    try:
        return (parent, psutil.Process(parent).ppid())
    except psutil.NoSuchProcess:
        return (parent,)


def open_run(recipe: str, arguments: list[str] | None = None) -> Run:
    """Read and check the run's folder named on the command line, and set seeds and threads.

    Raises RunFolderError for a folder that isn't prepared, changed data or another recipe's
    config, RunFolderBusy if another process works in it, ConfigError for a bad config.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        raise SystemExit(f"usage: python -m training.recipes.{recipe} <run folder>")
    folder = Path(words[0]).resolve()
    head = rundir.read_json(folder / rundir.CONFIG)
    if head["recipe"] != recipe:
        raise rundir.RunFolderError(f"{folder} is prepared for {head['recipe']}, not for {recipe}.")
    config = parse_config(recipe, head["config"])
    world = _check_world(config)
    _own(folder, world)
    run = Run(
        folder=folder,
        recipe=recipe,
        run_id=str(head.get("run_id", "")),
        attempt=int(head.get("attempt", 1)),
        seed=int(head["seed"]),
        config=config,
        inputs={name: _input_model(name, given) for name, given in head["inputs"].items()},
        data_sha256=rundir.verify_data(folder),
        rank=int(os.environ.get("RANK", "0")),
        world=world,
    )
    if config.threads:
        torch.set_num_threads(config.threads)
    # Some hundred thousand objects of libraries stay to the end: the collector, which the Trainer
    # calls before its first step, need not look at each of them again.
    gc.freeze()
    set_seed(run.seed)
    return run


def _check_world(config: Config) -> int:
    """The number of processes; RunFolderError if it is not the one the config asks for."""
    asked = int(getattr(config, "processes", 1))
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if asked != found:
        raise rundir.RunFolderError(
            f"The config asks for {asked} processes and {found} run: start it with "
            f"torchrun --nproc_per_node={asked}, or set processes to {found}."
        )
    return found


def _own(folder: Path, world: int) -> None:
    """Take the folder's lock and rewind it, unless the launcher has done both."""
    if "PREFLOOP_RUN_LOCK" in os.environ:
        return
    if world > 1:
        raise rundir.RunFolderError("Several processes need the launcher to start them.")
    rundir.lock(folder)  # held by this process until it ends
    rundir.rewind(folder)


def _input_model(name: str, given: Mapping[str, str]) -> Path:
    """The folder of a model; RunFolderError if its weights are not those meant."""
    path = Path(given["path"])
    if not path.is_dir():
        raise rundir.RunFolderError(f"inputs.{name}.path {path} is not a folder on this machine.")
    meant = given.get("sha256")
    if meant and (found := rundir.weights_sha256(path)) != meant:
        raise rundir.RunFolderError(f"The weights in {path} have sha256 {found}, not {meant}.")
    return path


def needed_model(run: Run) -> Path:
    """The model to start from; RunFolderError if the run names none."""
    return needed_input(run, "model", "a model")


def needed_reward(run: Run) -> Path:
    """The reward model that judges; RunFolderError if the run names none."""
    return needed_input(run, "reward", "a reward model")


def needed_input(run: Run, name: str, what: str) -> Path:
    """A model of the run by what it is to it; RunFolderError if the run names none."""
    if name not in run.inputs:
        raise rundir.RunFolderError(f"{run.recipe} needs {what}: name one in inputs.{name}.path.")
    return run.inputs[name]


def write_rank(run: Run, *, data: str, weights: str) -> None:
    """Write down who this process was: what it learned from, and the weights it ended with."""
    body = {"rank": run.rank, "world": run.world, "data": data, "weights": weights}
    folder = run.folder / rundir.RANKS
    folder.mkdir(exist_ok=True)
    rundir.write_json_atomic(folder / f"rank-{run.rank}.json", body)


def write_result(
    run: Run,
    *,
    status: str,
    steps: int,
    total: int,
    metrics: Mapping[str, float],
    data: Mapping[str, Any],
    kind: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write result.json, the last thing a recipe does; `kind` tells what lies in `model/`."""
    if not run.first:
        return
    model = run.folder / rundir.MODEL
    made = None
    if kind:
        made = {"path": str(model), "sha256": rundir.weights_sha256(model), "kind": kind}
    body = {
        "status": status,
        "recipe": run.recipe,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "seed": run.seed,
        "steps": steps,
        "total_steps": total,
        "metrics": {name: value for name, value in metrics.items() if value - value == 0},
        "model": made,
        "data": {**data, "sha256": run.data_sha256},
        "seconds": round(time.monotonic() - run.started, 3),
        "threads": torch.get_num_threads(),
        "processes": run.world,
        "peak_memory_bytes": peak_memory_bytes(),
        "peak_device_memory_bytes": peak_device_memory_bytes(),
    }
    rundir.write_json_atomic(run.folder / rundir.RESULT, {**body, **(extra or {})})
