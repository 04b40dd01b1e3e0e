"""What each of several processes learned from and ended with, so that nobody need believe it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch

from training.recipes.running import Run, write_rank


class Drawn:
    """A collator that keeps a sha256 over every batch it makes in this process."""

    def __init__(self, collate: Callable[[Any], dict[str, Any]]) -> None:
        self._collate = collate
        self.digest = hashlib.sha256()

    def __call__(self, rows: Any) -> dict[str, Any]:
        """The batch, as the collator within makes it."""
        batch = self._collate(rows)
        for value in batch.values():
            if isinstance(value, torch.Tensor):
                self.digest.update(value.numpy().tobytes())
        return batch


def watched(run: Run, trainer: Any) -> Drawn | None:
    """Keep an eye on what a Trainer of several processes draws; None where there is but one."""
    if run.world == 1:
        return None
    drawn = Drawn(trainer.data_collator)
    trainer.data_collator = drawn
    return drawn


def tell(run: Run, trainer: Any, drawn: Drawn) -> None:
    """Write down this process's batches and the weights that it ended with."""
    digest = hashlib.sha256()
    model = trainer.accelerator.unwrap_model(trainer.model)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            digest.update(name.encode())
            digest.update(weight.detach().float().cpu().numpy().tobytes())
    write_rank(run, data=drawn.digest.hexdigest(), weights=digest.hexdigest())
