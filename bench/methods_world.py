"""The world that methods are compared in: one demo world a seed, made once and kept on disk.

`world_of(seed)` goes through the product's own services on a throw-away database: the demo is
seeded, simulated annotators judge, the labels are frozen, a reward model is trained. What a run's
folder would hold is then copied out, so that every method starts from the same models and rows and
needs no database. The hidden score is read by the annotators alone; no row carries it.

The prompts fall into three parts. `test`: those that the demo keeps from demonstrations and labels;
reports are made on them and nothing else is. `validation`: the others that the project's own split
keeps from training; numbers are chosen on them. `train`: the rest.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.empty_database import empty_database
from bench.reporting import say, versions
from labeling.demo.gold import GOLD_VERSION
from labeling.demo.world import WORLD_VERSION
from training import demo_presets, rundir

if TYPE_CHECKING:
    from labeling.models import Project, Snapshot
    from training.models import ModelVersion

Row = dict[str, Any]

JUDGEMENTS = 300
ANNOTATORS = 3
NOISE = 0.1
SPLITS = ("train", "validation", "test")
MODELS = ("base", "sft", "reward")
ROWS = ("rankings", "preferences", "demonstrations", "pretraining", "prompts")
_ROOT = Path(__file__).resolve().parent.parent
_DONE = "world.json"


@dataclass(frozen=True, kw_only=True)
class World:
    """What every method of one seed starts from.

    `base` was trained on the unrelated corpus, `sft` from it on replies half good and half bad;
    it is the policy that the methods start from, the reference of their KL and the model that
    drew the judged replies. Rows are as data.jsonl holds them (docs/run-protocol.md), each with
    its `split`: `rankings` for the recipe reward, `preferences` for dpo, `demonstrations` (what
    `sft` learned from) and `pretraining` (what `base` learned from) for sft, `prompts` for the
    recipes that draw replies. `facts` tells how the world came out.
    """

    seed: int
    folder: Path
    base: Path
    sft: Path
    reward: Path
    rankings: tuple[Row, ...]
    preferences: tuple[Row, ...]
    demonstrations: tuple[Row, ...]
    pretraining: tuple[Row, ...]
    prompts: tuple[Row, ...]
    facts: Mapping[str, Any]

    def of_split(self, rows: Iterable[Row], split: str) -> list[Row]:
        """Return the rows of one split, in their order."""
        return [row for row in rows if row["split"] == split]


def inputs_of(seed: int) -> Row:
    """Return everything that a world follows from but the code of the recipes.

    After a change of that code delete the kept worlds: nothing notices it.
    """
    names = ("PRETRAIN_CONFIG", "BASE_SFT_CONFIG", "SAMPLE_CONFIG", "REWARD_CONFIG")
    return {
        "seed": seed,
        "world": WORLD_VERSION,
        "gold": GOLD_VERSION,
        "labels": {"judgements": JUDGEMENTS, "annotators": ANNOTATORS, "noise": NOISE},
        "configs": {name: getattr(demo_presets, name) for name in names},
        "versions": versions("torch", "transformers", "trl"),
    }


def folder_of(seed: int) -> Path:
    """Return where a world lies: under the data folder, by a hash of its inputs."""
    text = json.dumps(inputs_of(seed), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    return kept_under() / f"world-{seed}-{key}"


def kept_under() -> Path:
    """Return the folder of all kept worlds and of what methods made from them."""
    return Path(os.environ.get("PREFLOOP_VAR") or _ROOT / "var").resolve() / "bench" / "methods"


def world_of(seed: int) -> World:
    """Return the world of a seed, made now (some minutes) unless it is kept from earlier.

    It is made in a process of its own, since that needs the web framework and a database. Several
    callers may ask at once. Raises RuntimeError where it can't be made.
    """
    folder = folder_of(seed)
    with _alone(folder):
        if not (folder / _DONE).exists():
            say(f"seed {seed}: making its world in {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            done = subprocess.run(
                [sys.executable, "-m", "bench.methods_world", "--seed", str(seed)],
                cwd=_ROOT,
            )
            if done.returncode:
                raise RuntimeError(f"The world of seed {seed} could not be made; see above.")
    return read_world(seed, folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time look for a world and make it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_world(seed: int, folder: Path) -> World:
    """Return a world that lies whole in a folder."""
    models = {name: folder / name for name in MODELS}
    rows = {name: read_lines(folder / f"{name}.jsonl") for name in ROWS}
    facts = rundir.read_json(folder / _DONE)
    return World(seed=seed, folder=folder, facts=facts, **models, **rows)


def read_lines(path: Path) -> tuple[Row, ...]:
    """Return the objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        return tuple(json.loads(line) for line in file)


def write_lines(path: Path, rows: Iterable[Row]) -> int:
    """Write one JSON object a line; returns how many."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
    rundir.write_text_atomic(path, "".join(lines))
    return len(lines)


def parts_of(rows: Iterable[Row], kept: frozenset[str]) -> list[Row]:
    """Return prompt rows with the split that the comparison of methods gives them.

    `kept` are the ids that the demo keeps from demonstrations and labels: they are `test`. Of the
    others `train` stays; what the project keeps from training for either purpose is `validation`.
    """
    return [{**row, "split": _part(row, kept)} for row in rows]


def _part(row: Row, kept: frozenset[str]) -> str:
    if row["prompt_id"] in kept:
        return "test"
    return "train" if row["split"] == "train" else "validation"


def main() -> None:
    """Make the world of one seed, from an empty database."""
    parser = argparse.ArgumentParser(prog="bench.methods_world", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    seed = parser.parse_args().seed
    folder = folder_of(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with empty_database():
        facts = make_world(seed, folder)
    rundir.write_json_atomic(folder / _DONE, {"inputs": inputs_of(seed), **facts})


def make_world(seed: int, folder: Path) -> Row:
    """Turn the loop as far as the reward model, write models and rows, and return the facts."""
    from django.core.management import call_command

    from bench.loop import trained
    from labeling.models import Project, User
    from labeling.services.simulation import simulate_annotators
    from labeling.services.snapshots import freeze_snapshot
    from training.models import ModelVersion

    call_command("seed_demo", seed=seed, inline=True)
    project = Project.objects.get(slug="demo")
    owner = User.objects.get(username="owner")
    sft = ModelVersion.objects.get(project=project, name="demo-policy")
    labels = simulate_annotators(
        actor=owner,
        project=project,
        annotators=ANNOTATORS,
        judgements=JUDGEMENTS,
        noise=NOISE,
        seed=seed,
    )
    snapshot = freeze_snapshot(actor=owner, project=project, note=f"seed {seed}")
    reward = trained(owner, project, "reward", sft, snapshot, demo_presets.REWARD_CONFIG, seed)
    for name, model in {"base": sft.run.base_model, "sft": sft, "reward": reward}.items():
        shutil.copytree(model.folder, folder / name, dirs_exist_ok=True)
    return {
        "agreement": labels.agreement,
        "judgements": labels.judgements,
        "reward_metrics": reward.run.result.get("metrics", {}),
        "rows": _write_rows(folder, project, snapshot, sft, reward),
    }


def _write_rows(
    folder: Path,
    project: "Project",
    snapshot: "Snapshot",
    sft: "ModelVersion",
    reward: "ModelVersion",
) -> dict[str, int]:
    """Write the rows of each kind; returns how many there are."""
    from labeling.selectors.snapshots import demonstration_rows, preference_rows
    from training.selectors import input_rows

    rows = {
        "rankings": input_rows(reward.run),
        "preferences": preference_rows(snapshot),
        "demonstrations": demonstration_rows(sft.run.snapshot),
        "pretraining": demonstration_rows(sft.run.base_model.run.snapshot),
        "prompts": _prompts(project),
    }
    return {name: write_lines(folder / f"{name}.jsonl", found) for name, found in rows.items()}


def _prompts(project: "Project") -> list[Row]:
    """Return every prompt of the world in the order of its ids, with its part."""
    from labeling.selectors.prompts import select_prompts
    from training.management.commands.seed_demo import HELD_OUT
    from training.selectors import prompt_rows

    kept = frozenset(str(one.pk) for one in select_prompts(project, tags=[HELD_OUT]))
    every = [one.pk for one in select_prompts(project)]
    return parts_of(prompt_rows(project, every), kept)


if __name__ == "__main__":
    main()
