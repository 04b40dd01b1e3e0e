"""TRL's DPOTrainer on pairs that are ids already: a prompt encoded once for both replies, soft
labels, and a reference that is kept.
"""

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
from training.recipes.grouping import GroupsByLength
from training.recipes.shared_prefix import (
    Costs,
    Pack,
    pack,
    packed,
    padded,
    shares,
    teach_trunk,
)

SOFT = ("target", "weight")
SPOT_SHARE, SPOT_MOST = 0.01, 64


REPLIES = ("chosen", "rejected")


@dataclass
class PairCollator(DataCollatorForPreference):
    """TRL's collator, or a row a pair where the prompts of a batch are encoded once.

    `shared` is "never", "always", or "auto" for whichever is less work by `costs`.
    """

    shared: str = "never"
    costs: Costs | None = None

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of 2 x pairs texts, the chosen ones first."""
        if not self.shares(examples):
            batch: dict[str, Any] = super().torch_call(examples)
            return batch
        packs = [
            pack(one["prompt_ids"], [one[f"{name}_ids"] for name in REPLIES]) for one in examples
        ]
        ids, segments, positions = packed(packs, self.pad_token_id)
        return {
            **self._texts(examples, packs),
            "attention_mask": (segments >= 0).long(),  # by which TRL counts the tokens it read
            "shared_ids": ids,
            "segments": segments,
            "position_ids": positions,
            **_reference(examples),
        }

    def shares(self, examples: list[dict[str, Any]]) -> bool:
        """Whether the prompts of this batch are encoded once."""
        prompts = [len(one["prompt_ids"]) for one in examples]
        replies = [[len(one[f"{name}_ids"]) for name in REPLIES] for one in examples]
        return shares(self.shared, self.costs, prompts, replies)

    def _texts(self, examples: list[dict[str, Any]], packs: list[Pack]) -> dict[str, Any]:
        """What TRL scores: each reply behind the prompt's last token, which foretells its first.

        `places` tells where in its pack each of these tokens stands.
        """
        texts, places = [], []
        for number, name in enumerate(REPLIES):
            for one, row in zip(examples, packs, strict=True):
                reply, start = one[f"{name}_ids"], row.starts[number]
                texts.append([one["prompt_ids"][-1], *reply])
                places.append([len(one["prompt_ids"]) - 1, *range(start, start + len(reply))])
        return {
            "input_ids": padded(texts, self.pad_token_id),
            "completion_mask": padded([[0] + [1] * (len(text) - 1) for text in texts], 0),
            "places": padded(places, 0),
        }


def _reference(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """What the reference said, where it was asked before, of shape (pairs,) for each reply."""
    names = [f"ref_{name}_logps" for name in REPLIES if f"ref_{name}_logps" in examples[0]]
    return {name: torch.tensor([one[name] for one in examples]) for name in names}


@dataclass
class SoftCollator(PairCollator):
    """The same, with the target and the weight of each pair beside it."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of 2 x pairs texts, and `target` and `weight` of shape (pairs,)."""
        batch = super().torch_call(examples)
        for name in SOFT:
            batch[name] = torch.tensor([example[name] for example in examples])
        return batch


_Trainer: Any = DPOTrainer  # TRL's methods have no types


class PairTrainer(GroupsByLength, _Trainer):  # type: ignore[misc]
    """TRL's trainer on pairs that are already token ids.

    TRL encodes prompt and reply together, cuts where tokens merge across the boundary and drops
    rows without a count; its other two trainers take ready ids, this one has no switch for it.
    Losses and figures are TRL's: of a batch whose prompts are encoded once it is shown the replies,
    each behind one token of its prompt. Only the balance of a mixture of experts counts otherwise.
    """

    def __init__(self, model: Any, ref_model: Any = None, **kwargs: Any) -> None:
        for each in filter(None, (model, ref_model)):
            teach_trunk(each)
        super().__init__(model=model, ref_model=ref_model, **kwargs)

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
