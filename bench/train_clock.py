"""What both sides of bench.train are timed by, in the same places of the same library.

The clock starts with the first text that the reference reads (DPO) or with `Trainer.train`,
whichever comes first, and stops when `Trainer.train` returns. Imports, tokenization, the loading
of models and the saving of the result lie outside on both sides.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Trainer
from trl.trainer.dpo_trainer import DPOTrainer


@dataclass
class Clock:
    """Seconds on the wall, and of all processors this process used."""

    began: tuple[float, float] | None = None
    ended: tuple[float, float] = (0.0, 0.0)
    tokens: float = 0.0

    def start(self) -> None:
        """Begin, if it has not begun."""
        self.began = self.began or _now()

    def stop(self) -> None:
        """End; what a GPU still works at is waited for."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ended = _now()

    def read(self) -> dict[str, float]:
        """The seconds of one training and the tokens it read, and a clock that is new again."""
        began = self.began or self.ended
        wall, cpu = (end - start for start, end in zip(began, self.ended, strict=True))
        self.began = None
        return {"wall": wall, "cpu": cpu, "tokens": self.tokens}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def install() -> Clock:
    """Let all trainers of this process be timed."""
    clock = Clock()
    trainer, dpo = Trainer.train, DPOTrainer.compute_ref_log_probs

    @functools.wraps(trainer)
    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        clock.start()
        done = trainer(self, *args, **kwargs)
        clock.stop()
        clock.tokens = float(self._total_train_tokens)
        return done

    # What a class is given here counts for all that inherit from it, on both sides.
    setattr(Trainer, "train", train)  # noqa: B010 - types know no replaced method
    setattr(DPOTrainer, "compute_ref_log_probs", _starting(clock, dpo))  # noqa: B010
    return clock


def _starting(clock: Clock, asked: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(asked)
    def ask(*args: Any, **kwargs: Any) -> Any:
        clock.start()
        return asked(*args, **kwargs)

    return ask
