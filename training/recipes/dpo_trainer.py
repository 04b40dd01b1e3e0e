"""TRL's DPOTrainer on pairs that are ids already, with soft labels and a reference that is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from training import rundir
from training.recipes.dpo_loss import smoothed, soft_label_loss

SOFT = ("target", "weight")
SPOT_SHARE, SPOT_MOST = 0.01, 64


@dataclass
class SoftCollator(DataCollatorForPreference):
    """TRL's collator, with the target and the weight of each pair beside it."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of 2 x pairs rows, and `target` and `weight` of shape (pairs,)."""
        batch = super().torch_call(examples)
        for name in SOFT:
            batch[name] = torch.tensor([example[name] for example in examples])
        return batch


_Trainer: Any = DPOTrainer  # TRL's methods have no types


class PairTrainer(_Trainer):  # type: ignore[misc]
    """TRL's trainer on pairs that are already token ids.

    TRL encodes prompt and reply together, cuts where tokens merge across the boundary and drops
    rows without a count; its other two trainers take ready ids, this one has no switch for it.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        kept: Dataset = super()._precompute_ref_logps(dataset, name, batch_size)
        self._check_reference(kept, batch_size)
        return kept

    def _check_reference(self, rows: Dataset, batch_size: int) -> None:
        """Ask the reference again about one row in a hundred; RunFolderError if it differs."""
        count = min(SPOT_MOST, math.ceil(len(rows) * SPOT_SHARE))
        picked = Random(0).sample(range(len(rows)), count)  # noqa: S311 - repeatable
        for start in range(0, count, batch_size):
            examples = [rows[index] for index in picked[start : start + batch_size]]
            batch = self._prepare_inputs(self.data_collator(examples))
            found = self.compute_ref_log_probs(self.ref_model or self.model, batch)
            names = ("ref_chosen_logps", "ref_rejected_logps")
            if not all(self._agree(batch[k], v) for k, v in zip(names, found, strict=True)):
                raise rundir.RunFolderError(
                    "The kept log-probabilities of the reference are not what it says now: remove "
                    f"{rundir.CACHE}/ from the run's folder and start it again."
                )

    def _agree(self, kept: torch.Tensor, now: torch.Tensor) -> bool:
        """Equal but for rounding, which other rows in the batch may change."""
        loose = 1e-2 if self.args.bf16 else 1e-4
        return torch.allclose(kept.float(), now.float(), rtol=loose, atol=100 * loose)


class SoftPairTrainer(PairTrainer):
    """Pairs with soft labels and weights, in the place of TRL's loss `sigmoid`.

    TRL's `sigmoid` drops `label_smoothing` without a word and knows no label or weight of a pair.
    Its own terms keep their weights: give `sigmoid` the weight 0.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.precompute_ref_logps = True  # from here on read: they are in the batch

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: list[str] = self._signature_columns  # type: ignore[has-type]
        self._signature_columns = [*columns, *(name for name in SOFT if name not in columns)]

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        batch = {name: value for name, value in inputs.items() if name not in SOFT}
        if "ref_chosen_logps" not in batch:
            found = self.compute_ref_log_probs(self.ref_model or self.model, batch)
            batch["ref_chosen_logps"], batch["ref_rejected_logps"] = found
        heard: list[Any] = []

        def hear(**asked: Any) -> Any:
            heard.append(model(**asked))
            return heard[0]

        rest = super()._compute_loss(hear, batch, return_outputs=False)
        length = batch["completion_mask"].shape[1] - 1
        chosen, rejected = heard[0].log_probs[:, -length:].sum(1).chunk(2)
        chosen_gain = chosen - batch["ref_chosen_logps"]
        rejected_gain = rejected - batch["ref_rejected_logps"]
        targets = smoothed(inputs["target"], self.label_smoothing)
        loss = rest + soft_label_loss(
            self.beta * (chosen_gain - rejected_gain), targets, inputs["weight"]
        )
        return (loss, heard[0]) if return_outputs else loss
