"""What a run does at each step of a Trainer: metrics out, a wish to stop in, checkpoints marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training import rundir
from training.recipes.running import Run, StopSignal


class Diverged(Exception):
    """The loss is no number any more."""


class RunCallback(TrainerCallback):
    """Writes metrics.jsonl, stops when asked to, and makes checkpoints count.

    `trainer` is set once the trainer is made; its token count goes into the checkpoint, because
    TRL begins to count anew when it goes on from one.
    """

    def __init__(self, run: Run, stop: StopSignal, keep: int) -> None:
        self.trainer: Any = None
        self.stopped: str | None = None
        self._run = run
        self._stop = stop
        self._keep = keep

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: Any = None,
        **_: Any,
    ) -> None:
        set_epoch(train_dataloader, int(state.epoch or 0))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        reason = self._agreed(self._stop.reason())
        if reason and state.global_step < state.max_steps:
            self.stopped = reason
            control.should_training_stop = True
            control.should_save = True
        if control.should_save:
            # A logged mean begins anew after each row. With a row at every checkpoint, a run that
            # goes on from there logs the same numbers as one that was never interrupted.
            control.should_log = True

    def _agreed(self, reason: str | None) -> str | None:
        """The wish of any process, so that all of them leave at the same step."""
        if self._run.world == 1:
            return reason
        flag = torch.tensor(int(reason is not None), device=self.trainer.accelerator.device)
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
        return (reason or "another process was asked to stop") if flag.item() else None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if "train_runtime" in (logs or {}):
            return
        values = measures(logs or {})
        if self._run.first:
            rundir.append_metric(
                self._run.folder, step=state.global_step, total=state.max_steps, values=values
            )
        if not math.isfinite(values.get("loss", 0.0)):
            raise Diverged(
                f"The loss is {values['loss']} at step {state.global_step}: lower learning_rate, "
                "or lengthen warmup_ratio."
            )

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not self._run.first:
            return
        path = rundir.checkpoint_path(self._run.folder, state.global_step)
        tokens = int(getattr(self.trainer, "_total_train_tokens", 0))
        rundir.mark_complete(
            path, {"step": state.global_step, "total": state.max_steps, "tokens": tokens}
        )
        rundir.remove_checkpoints(self._run.folder, keep=self._keep)


def set_epoch(loader: Any, epoch: int) -> None:
    """Let the sampler behind a loader draw for this epoch, however many others wrap it.

    A Trainer tells its loader, and that one looks two samplers deep. With several processes a run
    that goes on in mid-epoch has a third around a sampler that is not torch's own, and would draw
    the epoch in the order of the first.
    """
    holder: Any = getattr(loader, "batch_sampler", None)
    while hasattr(holder, "batch_sampler"):
        holder = holder.batch_sampler
    sampler: Any = getattr(holder, "sampler", None)
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)


def measures(logs: Mapping[str, Any]) -> dict[str, float]:
    """The numbers a Trainer logs, without its own clockwork."""
    clockwork = ("step", "step_time", "runtime", "per_second", "total_flos")
    return {
        name: float(value)
        for name, value in logs.items()
        if isinstance(value, int | float) and not name.endswith(clockwork)
    }
