"""PPO by our recipe and by TRL 1.12's experimental trainer: the same job, each in its own process.

Both get the models and prompts of one demo world, and the numbers below. TRL 1.12 is the last one
with a PPO trainer; it is installed into a folder of its own and stands first on the path of the
baseline's process alone, so it runs on the transformers and torch that we run on.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.methods_world import World
from bench.reporting import say
from training import launcher, rundir
from training.configs import parse_config, to_json

Numbers = Mapping[str, Any]

TRL = "trl==1.12.0"
BATCH = 128
SHARED: Numbers = {
    # demo_presets.PPO_CONFIG, but for the rule of replies without an end, of which TRL knows one,
    # and the length of the gradient, which TRL's PPO doesn't limit.
    "batch_size": BATCH,
    "per_device_batch_size": 32,
    "rollout_batch_size": BATCH,
    "minibatches": 1,
    "inner_epochs": 4,
    "max_new_tokens": 64,
    "temperature": 1.0,
    "missing_eos_penalty": 1.0,
    "beta": 0.1,
    "clip": 0.2,
    "value_clip": 0.2,
    "value_coefficient": 0.1,
    "discount": 1.0,
    "gae_lambda": 0.95,
    "learning_rate": 2e-4,
    "adam_epsilon": 1e-5,
}
_OWN: Numbers = {
    "missing_eos": "subtract",
    "max_grad_norm": 0.0,
    "lr_schedule": "constant",
    "max_length": 256,
    "logging_steps": 1,
    "sample_steps": 0,
    "keep_checkpoints": 1000,
}
_ROOT = Path(__file__).resolve().parent.parent
_TRL_SCRIPT = _ROOT / "bench" / "train_ppo_trl.py"
_LAST_LINES = 4000


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run: `steps` steps of BATCH episodes; `keep_every` keeps the policy of such steps."""

    world: World
    seed: int
    steps: int
    keep_every: int = 0
    device: str = "cpu"
    threads: int = 1

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """The prompts to learn from."""
        return self.world.of_split(self.world.prompts, "train")

    @property
    def precision(self) -> str:
        """What both sides compute in."""
        return "fp32" if self.device == "cpu" else "bf16"

    @property
    def kept(self) -> range:
        """The steps whose policies are kept."""
        return range(self.keep_every, self.steps + 1, self.keep_every or self.steps + 1)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """When each step of a run ended, in seconds since 1970, what it logged, and the weights of
    the policies that were kept, by step.
    """

    ended: Sequence[float]
    metrics: Sequence[Mapping[str, float]]
    policies: Mapping[int, Path]

    @property
    def episodes_per_s(self) -> float:
        """From the end of the first step to the end of the last one."""
        return (len(self.ended) - 1) * BATCH / (self.ended[-1] - self.ended[0])


def own(job: Job, folder: Path) -> Trace:
    """Run our recipe as the product does."""
    config = {**SHARED, **_OWN, "total_episodes": job.steps * BATCH, "threads": job.threads}
    config |= {"device": "cpu" if job.device == "cpu" else "auto", "precision": job.precision}
    config |= {"checkpoint_steps": job.keep_every}
    models = {"model": job.world.sft, "reward": job.world.reward}
    inputs = {
        name: {"path": str(at), "sha256": rundir.weights_sha256(at)} for name, at in models.items()
    }
    rundir.prepare(
        folder,
        recipe="ppo",
        config=to_json(parse_config("ppo", config)),
        inputs=inputs,
        rows=job.prompts,
        seed=job.seed,
    )
    outcome = launcher.launch(
        folder,
        "ppo",
        on_metrics=lambda rows: None,
        should_stop=lambda: None,
        heartbeat=lambda: None,
    )
    if outcome.status != "succeeded":
        raise RuntimeError(f"Our PPO {outcome.status}: {outcome.reason}\n{outcome.log_tail}")
    rows = rundir.read_metrics_from(folder)[0]
    return Trace(
        ended=[row.time for row in rows],
        metrics=[row.values for row in rows],
        policies={
            step: rundir.checkpoint_path(folder, step) / "policy.safetensors" for step in job.kept
        },
    )


def baseline(job: Job, folder: Path, ids: Sequence[Sequence[int]]) -> Trace:
    """Run TRL's trainer; `ids` are the prompts as tokens, the template's opening included."""
    folder.mkdir(parents=True)
    shared = {name: getattr(job, name) for name in ("seed", "device", "precision", "threads")}
    written = {
        **SHARED,
        **shared,
        "policy": str(job.world.sft),
        "reward": str(job.world.reward),
        "prompts": list(map(list, ids)),
        "total_episodes": job.steps * BATCH,
        "keep_every": job.keep_every,
    }
    (folder / "job.json").write_text(json.dumps(written), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(trl_folder())}
    _python([str(_TRL_SCRIPT), str(folder)], "The baseline", environment)
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return Trace(
        ended=found["ended"],
        metrics=found["metrics"],
        policies={step: folder / f"step-{step}" / "model.safetensors" for step in job.kept},
    )


def in_torch(task: str, job: Mapping[str, Any], folder: Path) -> Any:
    """What bench.train_ppo_replies answers to a task: this process loads no torch."""
    folder.mkdir(parents=True, exist_ok=True)
    question, answer = folder / f"{task}.json", folder / f"{task}-answer.json"
    question.write_text(json.dumps(job), encoding="utf-8")
    _python(["-m", "bench.train_ppo_replies", task, str(question), str(answer)], task, os.environ)
    return json.loads(answer.read_text(encoding="utf-8"))


def _python(arguments: list[str], what: str, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=_ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"{what} failed:\n{done.stdout[-_LAST_LINES:]}{done.stderr[-_LAST_LINES:]}"
        )


def trl_folder() -> Path:
    """The folder that holds TRL 1.12, installed now by pip unless it is there.

    PIP_ARGS is handed on to pip, as `make` does. Raises RuntimeError where pip can't.
    """
    kept = Path(os.environ.get("PREFLOOP_VAR") or _ROOT / "var").resolve() / "bench"
    folder = kept / TRL.replace("==", "-")
    if (folder / "trl" / "experimental" / "ppo").is_dir():
        return folder
    say(f"installing {TRL} into {folder}, beside the environment")
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    command += ["--no-deps", "--target", str(folder), *shlex.split(os.environ.get("PIP_ARGS", ""))]
    done = subprocess.run([*command, TRL], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"pip could not install {TRL}, the baseline of PPO, into {folder}:\n{done.stderr}"
            "Set PIP_ARGS so that pip reaches a package index, or put the package there by hand."
        )
    return folder
