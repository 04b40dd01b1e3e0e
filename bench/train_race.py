"""Two processes that train the same case in turn, and what was measured of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.reporting import say
from bench.train_cases import WORDS, Case, Rows, Shape, rows_a_step, rows_of, trl_rows
from training import rundir
from training.configs import parse_config, to_json

REPOSITORY = Path(__file__).resolve().parent.parent
SIDES = ("own", "baseline")
MARK = "@@ "
VOCABULARY = 640


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a race is run with; one repeat more is run before, and not counted."""

    device: str
    threads: int
    repeats: int
    shape: Shape


@dataclass
class Race:
    """What was measured of a case: an entry a repeat, on each side."""

    case: Case
    models: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, list[dict[str, float]]] = field(
        default_factory=lambda: {side: [] for side in SIDES}
    )
    accuracies: dict[str, list[dict[str, float]]] = field(
        default_factory=lambda: {side: [] for side in SIDES}
    )

    def of(self, side: str, what: str = "wall") -> list[float]:
        """A figure of each repeat."""
        return [one[what] for one in self.seconds[side]]


class Side:
    """A process that trains on demand."""

    def __init__(self, name: str, log: Path) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.train_side", name],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            env=os.environ | {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"},
        )
        self._answer()

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """One order and its answer; SystemExit with the log's end if the process has died."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                return dict(json.loads(line.removeprefix(MARK)))
        raise SystemExit(f"a side has failed:\n{self._log.read_text()[-3000:]}")

    def close(self) -> None:
        """Let the process end, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def own_job(folder: Path, case: Case, rows: Rows, seed: int, options: Options) -> None:
    """A run's folder for our side: the config's own defaults but for what both sides share."""
    config = {
        "device": "cpu" if options.device == "cpu" else "auto",
        "precision": "fp32" if options.device == "cpu" else "bf16",
        "threads": options.threads,
        "max_length": options.shape.max_positions,
        "learning_rate": case.learning_rate,
        "lr_schedule": "constant",
        "per_device_batch_size": case.batch,
        "checkpoint_steps": 0,
        "group_by_length": True,
        **case.config,
    }
    model = model_of(folder.parents[1], case)
    rundir.prepare(
        folder,
        recipe=case.recipe,
        config=to_json(parse_config(case.recipe, config)),
        inputs={"model": {"path": str(model), "sha256": rundir.weights_sha256(model)}},
        rows=rows,
        seed=seed,
    )


def baseline_job(
    folder: Path,
    case: Case,
    rows: Rows,
    seed: int,
    options: Options,
    *,
    order: list[int] | None = None,
    logging_steps: int = 10,
) -> None:
    """A job for TRL: rankings as all their pairs, so many a step as the other side has in one."""
    trained = [row for row in rows if row["split"] == "train"]
    folder.mkdir(parents=True)
    job = {
        "recipe": case.recipe,
        "model": str(model_of(folder.parents[1], case)),
        "rows": trl_rows(case, trained),
        "batch": rows_a_step(case) // case.share,
        "accumulation": case.share,
        "learning_rate": case.learning_rate,
        "seed": seed,
        "max_length": options.shape.max_positions,
        "threads": options.threads,
        "device": options.device,
        "order": order,
        "logging_steps": logging_steps,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def model_of(base: Path, case: Case) -> Path:
    """The model that a case begins with."""
    return base / "models" / ("judge" if case.recipe == "reward" else "policy")


def race(case: Case, base: Path, options: Options) -> Race:
    """Let both sides train a case in turn; which of them goes first changes with each repeat."""
    base.mkdir(parents=True)
    rows = rows_of(case)
    held = [row for row in rows if row["split"] == "test"]
    (base / "held.json").write_text(json.dumps(held), encoding="utf-8")
    found = Race(case)
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(closing(Side(name, base / f"{name}.log"))) for name in SIDES
        }
        found.models = sides["own"].ask(
            "models",
            folder=str(base / "models"),
            texts=[" ".join(WORDS)] * 8,
            vocab_size=VOCABULARY,
            shape=asdict(options.shape),
        )
        for repeat in range(options.repeats + 1):
            own, baseline = (base / name / str(repeat) for name in SIDES)
            own_job(own, case, rows, repeat, options)
            order = sides["own"].ask("order", folder=str(own)).get("order")
            baseline_job(baseline, case, rows, repeat, options, order=order)
            for name in SIDES[:: 1 if repeat % 2 else -1]:
                folder = base / name / str(repeat)
                told = sides[name].ask("train", recipe=case.recipe, folder=str(folder))
                if repeat == 0:
                    continue
                found.seconds[name].append(told)
                if held:
                    found.accuracies[name].append(_accuracy(sides["own"], folder, base))
            shutil.rmtree(base / "own" / str(repeat))
            shutil.rmtree(base / "baseline" / str(repeat))
            _tell(found, repeat)
    return found


def _accuracy(judge: Side, folder: Path, base: Path) -> dict[str, float]:
    """Of both sides' models by the same program on the same comparisons."""
    return judge.ask("accuracy", model=str(folder / "model"), rows=str(base / "held.json"))


def _tell(found: Race, repeat: int) -> None:
    if repeat == 0:
        say(f"{found.case.name}: both sides are warm")
        return
    own, baseline = (found.seconds[side][-1] for side in SIDES)
    say(
        f"{found.case.name}, repeat {repeat}: ours {own['wall']:.2f} s (cpu {own['cpu']:.2f}), "
        f"TRL {baseline['wall']:.2f} s (cpu {baseline['cpu']:.2f})"
    )
