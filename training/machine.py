"""What is known of a machine that trains: its memory, and how fast it has been measured to be.

`training.recipes.calibrate` measures and writes one file a machine beside the models. Pure, and
without torch: pages read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from training import rundir

FOLDER = ".machines"
FORMAT = 1

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a device computes with so many threads, in one precision.

    `learning` and `drawing` are points (width of the model, FLOP a second): of a forward and a
    backward pass over many tokens, and of one more token for many replies. `layer_s` is what a
    layer of forward and backward takes whatever its size, `logit_s` a logit's softmax with its
    gradient, `parameter_s` a weight's step of AdamW.
    """

    threads: int
    precision: str
    learning: Curve
    drawing: Curve
    layer_s: float
    logit_s: float
    parameter_s: float


@dataclass(frozen=True, kw_only=True)
class Device:
    """A CPU or a GPU: `runtime_bytes` are what Python and torch hold there without a model,
    `start_s` what a recipe needs to come up.
    """

    kind: str
    name: str
    memory_bytes: int
    runtime_bytes: int
    start_s: float
    speeds: tuple[Speed, ...]

    def speed(self, threads: int, precision: str) -> Speed | None:
        """The speed measured nearest to so many threads (0 takes all), if its precision was."""
        found = [one for one in self.speeds if one.precision == precision]
        wanted = threads or max((one.threads for one in found), default=0)
        return min(found, key=lambda one: abs(one.threads - wanted), default=None)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine's devices, and when they were measured (ISO 8601, UTC)."""

    name: str
    measured_at: str
    devices: tuple[Device, ...]

    def device(self, asked: str) -> Device:
        """The device that a config's `device` means here: auto takes a GPU where there is one."""
        gpus = [one for one in self.devices if one.kind != "cpu"]
        if asked != "cpu" and gpus:
            return gpus[0]
        return next(one for one in self.devices if one.kind == "cpu")


def at_width(curve: Curve, width: float) -> float:
    """The rate at a width, between the measured ones on logarithmic scales, level beyond them.

    Raises ValueError for an empty curve.
    """
    points = sorted(curve)
    if not points:
        raise ValueError("Nothing was measured.")
    if width <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in pairwise(points):
        if width <= right:
            share = math.log(width / left) / math.log(right / left)
            return math.exp(math.log(low) + share * math.log(high / low))
    return points[-1][1]


def machines_in(folder: Path) -> list[Machine]:
    """The machines measured so far, the newest first; what can't be read counts as not measured."""
    found = []
    for path in (folder / FOLDER).glob("*.json"):
        try:
            found.append(machine_from(rundir.read_json(path)))
        except (rundir.RunFolderError, OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda one: one.measured_at, reverse=True)


def path_of(folder: Path, name: str) -> Path:
    """Where a machine's file lies in the folder of the models."""
    return folder / FOLDER / f"{name}.json"


def machine_from(body: Mapping[str, Any]) -> Machine:
    """A machine from its file. Raises ValueError for another format, KeyError or TypeError."""
    if body["format"] != FORMAT:
        raise ValueError(f"This is format {body['format']}, not {FORMAT}.")
    return Machine(
        name=body["name"],
        measured_at=body["measured_at"],
        devices=tuple(_device(one) for one in body["devices"]),
    )


def _device(body: Mapping[str, Any]) -> Device:
    speeds = tuple(
        Speed(
            **{
                **one,
                "learning": [tuple(point) for point in one["learning"]],
                "drawing": [tuple(point) for point in one["drawing"]],
            }
        )
        for one in body["speeds"]
    )
    return Device(**{**body, "speeds": speeds})
