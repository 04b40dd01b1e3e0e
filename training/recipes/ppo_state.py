"""PPO's checkpoints: all that a step leaves to the next one, written whole or not counted."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from training import rundir
from training.recipes.actors import kept, put_back, trained
from training.recipes.ppo_trainer import PPOTrainer
from training.recipes.running import Run

POLICY, CRITIC, AVERAGE = "policy.safetensors", "critic.safetensors", "average.safetensors"
OPTIMIZERS, STATE, RANDOM = "optimizers.pt", "state.json", "random-{rank}.pt"


def save_checkpoint(run: Run, trainer: PPOTrainer, accelerator: Accelerator, keep: int) -> None:
    """Write the state after the trainer's last whole step; all processes take part."""
    path = rundir.checkpoint_path(run.folder, trainer.step)
    path.mkdir(parents=True, exist_ok=True)
    torch.save(_random_state(), path / RANDOM.format(rank=run.rank))
    if run.first:
        _save(trainer, path)
    accelerator.wait_for_everyone()
    if run.first:
        state = {"step": trainer.step, "total": trainer.config.steps, "world": run.world}
        rundir.mark_complete(path, state)
        rundir.remove_checkpoints(run.folder, keep=keep)
    accelerator.wait_for_everyone()


def _save(trainer: PPOTrainer, path: Path) -> None:
    save_file(kept(trained(trainer.actors.policy)), path / POLICY)
    save_file(kept(trained(trainer.actors.critic)), path / CRITIC)
    if trainer.average is not None:
        save_file(kept(trainer.average), path / AVERAGE)
    states = {name: optimizer.state_dict() for name, optimizer in trainer.optimizers.items()}
    torch.save(states, path / OPTIMIZERS)
    counts = {name: getattr(trainer, name) for name in ("step", "updates", "texts_read")}
    rundir.write_json_atomic(path / STATE, {**counts, "beta": trainer.controller.beta})


def load_checkpoint(run: Run, trainer: PPOTrainer) -> bool:
    """Take up the newest whole checkpoint; False where there is none."""
    checkpoint = rundir.newest_checkpoint(run.folder)
    if checkpoint is None:
        return False
    path = checkpoint.path
    put_back(trained(trainer.actors.policy), load_file(path / POLICY))
    put_back(trained(trainer.actors.critic), load_file(path / CRITIC))
    if trainer.average is not None:
        put_back(trainer.average, load_file(path / AVERAGE))
    states = torch.load(path / OPTIMIZERS, weights_only=True)
    for name, optimizer in trainer.optimizers.items():
        optimizer.load_state_dict(states[name])
    state = rundir.read_json(path / STATE)
    for name in ("step", "updates", "texts_read"):
        setattr(trainer, name, state[name])
    trainer.controller.beta = state["beta"]
    _restore_random(torch.load(path / RANDOM.format(rank=run.rank), weights_only=True))
    return True


def _random_state() -> dict[str, Any]:
    """Every generator's state. PPO draws from none of them, but a library may."""
    state: Any = np.random.get_state()
    kind, keys, *rest = state
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
    }


def _restore_random(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
