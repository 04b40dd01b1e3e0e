"""What tests of training are made of: snapshots of real judgements, models, runs, tiny recipes."""

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from labeling.models import Project, Snapshot
from labeling.services.assignments import claim_next
from labeling.services.judgements import Submission, submit_judgement
from labeling.services.prompts import ensure_demonstrations
from labeling.services.snapshots import freeze_snapshot
from tests.factories import make_comparison, make_project, make_prompt, owner_of
from training import launcher
from training.models import ModelVersion, TrainingRun
from training.services.evaluations import create_evaluation
from training.services.models import register_model
from training.services.runs import create_run
from training.services.sampling import create_sampling_run

_numbers = count(1)

# What every stand-in for a recipe begins with: it keeps the protocol's names and rules.
HEAD = """
import json, os, signal, sys, time
from pathlib import Path
from training import rundir
folder = Path(sys.argv[1])
head = rundir.read_json(folder / rundir.CONFIG)
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
def leaves():
    orphan = str(os.getppid()) != os.environ["PREFLOOP_LAUNCHER_PID"]
    return asked or orphan or rundir.stop_requested(folder)
def end(status, steps, model=None):
    rundir.write_json_atomic(folder / rundir.RESULT, {
        "status": status, "steps": steps, "total_steps": 6,
        "metrics": {"loss": 0.5}, "model": model})
    sys.exit(0)
"""

# Six steps with a checkpoint each, PAUSE seconds apart, then a model of one file of weights; a stop
# leaves one too.
STEPS = (
    HEAD
    + """
def model(step):
    place = folder / rundir.MODEL
    place.mkdir()
    (place / "model.safetensors").write_text(f"{head['run_id']} at step {step}")
    (place / "config.json").write_text("{}")
    return {"path": str(place), "sha256": rundir.weights_sha256(place), "kind": "policy"}
last = rundir.newest_checkpoint(folder)
for step in range((last.step if last else 0) + 1, 7):
    values = {"loss": 1 / step, "accuracy": step / 6}
    rundir.append_metric(folder, step=step, total=6, values=values)
    print("step", step, "of attempt", head["attempt"], flush=True)
    time.sleep(float(PAUSE))
    place = rundir.checkpoint_path(folder, step)
    place.mkdir(parents=True)
    rundir.mark_complete(place, {"step": step})
    if leaves():
        end("stopped", step, model(step))
end("succeeded", 6, model(6))
"""
)
# Four replies to each prompt, of which DISTINCT are distinct.
SAMPLES = (
    HEAD
    + """
with (folder / rundir.SAMPLES).open("w") as file:
    for line in (folder / rundir.DATA).read_text().splitlines():
        prompt = json.loads(line)["prompt_id"]
        for n in range(4):
            file.write(json.dumps({"prompt_id": prompt, "candidate": n, "seed": n,
                "text": f"fresh {n % DISTINCT}\\x00", "finish_reason": "stop", "logprob": -1.5,
                "temperature": 1.0, "top_p": 0.9, "max_new_tokens": 8, "top_k": 0}) + "\\n")
end("succeeded", 6)
"""
)
FAILS = HEAD + 'print("\\n".join(f"line {n}" for n in range(60)))\nsys.exit(3)'
SILENT = HEAD + 'print("nothing to say")'


def use_recipe(
    monkeypatch: pytest.MonkeyPatch, folder: Path, script: str, **numbers: float
) -> None:
    """Let the launcher start a ten-line program in place of the recipes."""
    for name, value in {"PAUSE": 0.0, "DISTINCT": 4, **numbers}.items():
        script = script.replace(name, str(value))
    path = folder / "recipe.py"
    path.write_text(script)
    monkeypatch.setattr(
        launcher, "_command", lambda folder, *_: [sys.executable, str(path), str(folder)]
    )


def make_weights(text: str = "weights") -> Path:
    """Return a folder with what a registered model needs, unlike any other."""
    folder = Path(settings.MODEL_DIR) / f"outside-{next(_numbers)}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(f"{text} {folder.name}")
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def make_model(project: Project, kind: str = "policy", name: str = "base") -> ModelVersion:
    """Return a registered model from outside, with files that are no real weights."""
    return register_model(
        actor=owner_of(project), project=project, name=name, folder=make_weights(), kind=kind
    )


def make_snapshot(project: Project, labels: int = 3) -> Snapshot:
    """Return a snapshot of that many judgements, all made by the project's owner."""
    owner = owner_of(project)
    for _ in range(labels):
        make_comparison(project)
        card = claim_next(actor=owner, project=project)
        assert card is not None
        submission = Submission(tiers=[[0], [1], [2, 3]], touched=True)
        submit_judgement(
            actor=owner,
            assignment_uid=card.assignment_uid,
            submission=submission,
            idempotency_key=str(card.assignment_uid),
        )
    return freeze_snapshot(actor=owner, project=project, kind="preferences")


def make_demonstrations(project: Project, count: int = 3) -> Snapshot:
    """Return a snapshot of that many demonstrations."""
    reply = [{"role": "assistant", "content": [{"type": "text", "text": "Gladly, here it is."}]}]
    ensure_demonstrations(rows=[(make_prompt(project), reply) for _ in range(count)])
    return freeze_snapshot(actor=owner_of(project), project=project, kind="demonstrations")


def make_run(project: Project, **fields: Any) -> TrainingRun:
    """Return a queued DPO run from a model and a snapshot, both made where none is given."""
    fields.setdefault("recipe", "dpo")
    fields.setdefault("preset_name", "tiny-cpu")
    fields["snapshot"] = fields.get("snapshot") or make_snapshot(project)
    fields["base_model"] = fields.get("base_model") or make_model(project)
    return create_run(actor=owner_of(project), project=project, **fields)


def make_rewarded_run(project: Project, prompts: int = 6, **fields: Any) -> TrainingRun:
    """Return a queued PPO run on that many new prompts, judged by a model from outside."""
    for _ in range(prompts):
        make_prompt(project, candidates=0)
    fields.setdefault("base_model", make_model(project))
    fields.setdefault("reward_model", make_model(project, "reward", name="judge"))
    fields = {"recipe": "ppo", "preset_name": "tiny-cpu", "snapshot": None, **fields}
    return create_run(actor=owner_of(project), project=project, **fields)


def make_sampling_run(project: Project, prompts: int = 2, **fields: Any) -> TrainingRun:
    """Return a queued sampling run over that many new prompts without candidates."""
    for _ in range(prompts):
        make_prompt(project, candidates=0)
    model = fields.pop("model", None) or make_model(project)
    fields.setdefault("preset_name", "tiny-cpu")
    return create_sampling_run(actor=owner_of(project), project=project, model=model, **fields)


def make_held_out_project(**settings: Any) -> Project:
    """Return a project all of whose prompts fall into the split validation, as no form allows."""
    project = make_project(**settings)
    project.validation_share, project.test_share = 1.0, 0.0
    project.save(update_fields=["validation_share", "test_share"])
    return project


def make_evaluation(project: Project, prompts: int = 2, **fields: Any) -> TrainingRun:
    """Return a queued evaluation of a new policy on that many new prompts and the earlier ones."""
    for _ in range(prompts):
        make_prompt(project, candidates=0)
    fields["policy"] = fields.get("policy") or make_model(project)
    fields["reward_model"] = fields.get("reward_model") or make_model(project, "reward", "judge")
    fields.setdefault("preset_name", "tiny-cpu")
    return create_evaluation(actor=owner_of(project), project=project, **fields)


def data_rows(run: TrainingRun) -> list[dict[str, Any]]:
    """Return the rows that were written into the run's folder."""
    lines = (run.folder / "data.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
