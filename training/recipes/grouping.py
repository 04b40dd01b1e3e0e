"""Rows of like length in one batch, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from datasets import Dataset
from torch.utils.data import Sampler, SequentialSampler

POOL = 50
"""Batches that are sorted together: enough to be even, few enough to leave the order random."""
BY_LENGTH = "group_by_length"


def tokens_of(row: Mapping[str, Any]) -> int:
    """How many tokens a row of SFT, DPO or rankings holds, each text counted once."""
    if "input_ids" in row:
        return len(row["input_ids"])
    replies = row.get("reply_ids") or (row["chosen_ids"], row["rejected_ids"])
    return len(row["prompt_ids"]) + sum(map(len, replies))


def by_length(lengths: Sequence[int], batch: int, rng: Random) -> list[int]:
    """All places in an order whose batches hold rows of like length and come in a random order.

    The places are shuffled, sorted by length in pools of POOL batches, cut into batches, and the
    batches shuffled. The one that is not full stands last, where it makes no other begin late.
    """
    places = list(range(len(lengths)))
    rng.shuffle(places)
    batches = []
    for start in range(0, len(places), POOL * batch):
        pool = sorted(places[start : start + POOL * batch], key=lengths.__getitem__)
        batches += [pool[first : first + batch] for first in range(0, len(pool), batch)]
    rest = [batches.pop()] if batches and len(batches[-1]) < batch else []
    rng.shuffle(batches)
    return [place for one in [*batches, *rest] for place in one]


class LengthSampler(Sampler[int]):
    """The order of an epoch, drawn by seed and epoch alone: a run that goes on draws it again."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths = lengths
        self._batch = batch
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw for this epoch from now on."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = Random(f"{self._seed} {self._epoch}")  # noqa: S311 - repeatable, nothing secret
        return iter(by_length(self._lengths, self._batch, rng))


class GroupsByLength:
    """Mixed in before a Trainer: its option `group_by_length` by the sampler above.

    The stock sampler draws from torch's common stream, which is elsewhere when a run goes on in a
    later epoch, and it keeps the batches sorted from long to short.
    """

    args: Any
    train_dataset: Dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        args = self.args
        if args.train_sampling_strategy != BY_LENGTH:
            above: Any = super()
            return above._get_train_sampler(train_dataset)
        lengths = [tokens_of(row) for row in self.train_dataset]
        return LengthSampler(lengths, args.train_batch_size * args.world_size, args.seed)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """Held-out rows in their own order: the stock sampler would sort them, too."""
        if self.args.train_sampling_strategy != BY_LENGTH:
            above: Any = super()
            return above._get_eval_sampler(eval_dataset)
        return SequentialSampler(eval_dataset) if self.args.world_size == 1 else None
