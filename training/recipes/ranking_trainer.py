"""TRL's RewardTrainer on whole rankings: each candidate encoded once, batches of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from trl.trainer.reward_trainer import RewardTrainer

from training.recipes.grouping import GroupsByLength
from training.recipes.losses import RankedPairs, ranking_loss
from training.recipes.shared_prefix import Costs, pack, packed, padded, shares

Row = Mapping[str, Any]


class RankingCollator:
    """Encoded comparisons into one batch: a row a candidate, or a row a comparison.

    `shared` is "never", "always", or "auto" for whichever is less work by `costs`.
    """

    def __init__(self, pad: int, *, shared: str = "never", costs: Costs | None = None) -> None:
        self._pad = pad
        self._shared = shared
        self._costs = costs

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """The tensors of a batch: weights first, by which the Trainer counts its comparisons."""
        texts = self._shared_texts(rows) if self.shares(rows) else self._plain_texts(rows)
        weights = torch.tensor([row["weight"] for row in rows], dtype=torch.float32)
        return {"weights": weights, **texts, **_pairs(rows)}

    def shares(self, rows: Sequence[Row]) -> bool:
        """Whether the prompts of this batch are encoded once."""
        prompts = [len(row["prompt_ids"]) for row in rows]
        replies = [[len(ids) for ids in row["reply_ids"]] for row in rows]
        return shares(self._shared, self._costs, prompts, replies)

    def _plain_texts(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """A row a candidate, padded on the right; `ends` is each one's last token."""
        texts = [row["prompt_ids"] + ids for row in rows for ids in row["reply_ids"]]
        return {
            "input_ids": padded(texts, self._pad),
            "attention_mask": padded([[1] * len(ids) for ids in texts], 0),
            "ends": torch.tensor([[place, len(ids) - 1] for place, ids in enumerate(texts)]),
        }

    def _shared_texts(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """A row a comparison: its prompt, then its replies, whose positions begin anew."""
        packs = [pack(row["prompt_ids"], row["reply_ids"]) for row in rows]
        ids, segments, positions = packed(packs, self._pad)
        ends = [
            [place, start + len(reply) - 1]
            for place, (row, one) in enumerate(zip(rows, packs, strict=True))
            for start, reply in zip(one.starts, row["reply_ids"], strict=True)
        ]
        return {
            "input_ids": ids,
            "segments": segments,
            "position_ids": positions,
            "ends": torch.tensor(ends),
        }


def _pairs(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """The batch's pairs, their places counted over all candidates of the batch."""
    columns: dict[str, list[int]] = {"better": [], "worse": [], "comparisons": []}
    start = 0
    for number, row in enumerate(rows):
        columns["better"] += [start + place for place in row["better"]]
        columns["worse"] += [start + place for place in row["worse"]]
        columns["comparisons"] += [number] * len(row["better"])
        start += len(row["reply_ids"])
    tensors = {name: torch.tensor(column) for name, column in columns.items()}
    for name in ("target", "margin"):
        values = [value for row in rows for value in row[name]]
        tensors[name] = torch.tensor(values, dtype=torch.float32)
    return tensors


class RankingTrainer(GroupsByLength, RewardTrainer):
    """RewardTrainer whose batch elements are comparisons that are already token ids.

    Its arguments must say `remove_unused_columns=False`; everything else is TRL's: adapters,
    processes, checkpoints, the names of what is logged.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: int | torch.Tensor | None = None,
    ) -> Any:
        """The mean over the batch's comparisons of the mean over their pairs."""
        names = ("input_ids", "attention_mask", "position_ids", "segments", "ends")
        texts = {name: inputs[name] for name in names if name in inputs}
        outputs = model(**texts, use_cache=False)
        scores = outputs.logits.squeeze(-1).float()
        pairs = RankedPairs(
            better=inputs["better"],
            worse=inputs["worse"],
            comparisons=inputs["comparisons"],
            targets=inputs["target"],
            margins=inputs["margin"],
        )
        args: Any = self.args
        loss = ranking_loss(
            scores, pairs, inputs["weights"], centering=args.center_rewards_coefficient or 0.0
        )
        self._note(scores.detach(), pairs, _real_tokens(inputs))
        return (loss, outputs) if return_outputs else loss

    def _note(self, scores: torch.Tensor, pairs: RankedPairs, tokens: torch.Tensor) -> None:
        """Keep this batch's figures under TRL's names; one exchange between the processes."""
        network: Any = self.model
        mode = "train" if network.training else "eval"
        strict = pairs.targets != 0.5
        gaps = (scores[pairs.better] - scores[pairs.worse])[strict]
        toward = torch.where(pairs.targets[strict] > 0.5, gaps, -gaps)
        sums = [scores.sum(), (toward > 0).sum(), toward.sum(), strict.sum(), tokens]
        own = torch.stack([scores.min(), scores.max(), *(value.float() for value in sums)])
        own = torch.cat([own, own.new_tensor([len(scores)])])
        every = self.accelerator.gather(own[None])
        total, won, gap, count, read, number = every[:, 2:].sum(0).tolist()
        if mode == "train":
            self._total_train_tokens += int(read) // self._tp_size
        metrics = self._metrics[mode]
        metrics["num_tokens"] = [self._total_train_tokens]
        metrics["min_reward"].append(every[:, 0].min().item())
        metrics["max_reward"].append(every[:, 1].max().item())
        metrics["mean_reward"].append(total / number)
        if count:
            metrics["accuracy"].append(won / count)
            metrics["margin"].append(gap / count)


def _real_tokens(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """How many tokens were encoded, padding not counted."""
    if "segments" in inputs:
        return (inputs["segments"] >= 0).sum()
    return inputs["attention_mask"].sum()
