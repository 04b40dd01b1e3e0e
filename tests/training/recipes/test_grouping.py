"""Rows of like length together: each comes once, with little padding, in an order of its seed."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard, skip_first_batches
from torch.utils.data import BatchSampler

from tests.training.recipes.conftest import (
    SCRATCH,
    Chain,
    demonstrations,
    pairs,
    prepare,
    rankings,
)
from training import rundir
from training.recipes import dpo, reward, sft
from training.recipes.callbacks import set_epoch
from training.recipes.grouping import POOL, LengthSampler, by_length, tokens_of

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]


def test_one_pool_by_hand() -> None:
    """Five lengths in batches of two: the short ones, the long ones, and the longest alone."""
    order = by_length([9, 1, 5, 2, 6], 2, Random(0))
    assert {frozenset(order[:2]), frozenset(order[2:4])} == {frozenset({1, 3}), frozenset({2, 4})}
    assert order[4:] == [0]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 8 * POOL, 8 * POOL * 2 + 3])
def test_every_row_comes_once(count: int) -> None:
    rng = Random(1)
    lengths = [rng.randint(1, 300) for _ in range(count)]
    assert sorted(by_length(lengths, 8, rng)) == list(range(count))


def test_batches_hold_like_lengths_and_come_in_any_order() -> None:
    rng = Random(2)
    lengths = [rng.randint(10, 300) for _ in range(800)]
    sampler = LengthSampler(lengths, 8, 5)

    def padded(batches: list[list[int]]) -> int:
        return sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)

    grouped = list(BatchSampler(sampler, 8, drop_last=False))
    drawn = list(BatchSampler(range(800), 8, drop_last=False))
    assert padded(drawn) > 1.5 * sum(lengths)
    assert padded(grouped) < 1.05 * sum(lengths)
    longest = [max(lengths[place] for place in batch) for batch in grouped]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_order_hangs_on_seed_and_epoch_alone() -> None:
    sampler, other = (LengthSampler(list(range(40)), 4, seed) for seed in (5, 6))
    first = list(sampler)
    assert list(sampler) == first != list(other)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(LengthSampler(list(range(40)), 4, 5)) == first


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("skipped", [0, 3])
def test_a_run_that_goes_on_draws_its_epoch_s_own_order(processes: int, skipped: int) -> None:
    """Whatever wraps the sampler; of two processes each takes every other batch."""
    sampler = LengthSampler(list(range(40)), 4, 5)
    batches: Any = BatchSampler(sampler, 4, drop_last=False)
    if processes == 2:
        batches = BatchSamplerShard(batches, num_processes=2, process_index=0)
    loader = skip_first_batches(DataLoaderShard(list(range(40)), batch_sampler=batches), skipped)
    set_epoch(loader, 2)
    fresh = LengthSampler(list(range(40)), 4, 5)
    fresh.set_epoch(2)
    expected = list(BatchSampler(fresh, 4, drop_last=False))[::processes][skipped:]
    assert list(loader.batch_sampler) == expected


def test_tokens_of_rows() -> None:
    assert tokens_of({"input_ids": [1, 2, 3]}) == 3
    assert tokens_of({"prompt_ids": [1], "chosen_ids": [2, 3], "rejected_ids": [4]}) == 4
    assert tokens_of({"prompt_ids": [1], "reply_ids": [[2], [3, 4], [5]]}) == 5


@pytest.mark.parametrize(
    ("module", "rows"), [(sft, demonstrations(60)), (dpo, pairs(60)), (reward, rankings(60))]
)
def test_run_draws_its_batches_by_length(
    module: Any,
    rows: list[dict[str, Any]],
    chain: Chain,
    tmp_path: Path,
    in_process: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two epochs are two orders of the same rows."""
    orders: list[list[int]] = []
    drawn = LengthSampler.__iter__

    def tell(sampler: LengthSampler) -> Iterator[int]:
        orders.append(list(drawn(sampler)))
        return iter(orders[-1])

    monkeypatch.setattr(LengthSampler, "__iter__", tell)
    name = module.__name__.rpartition(".")[2]
    config = {"group_by_length": True, "epochs": 2.0, "checkpoint_steps": 0}
    config |= SCRATCH if module is sft else {}
    model = None if module is sft else chain.model("sft")
    module.main([str(prepare(tmp_path, name, rows, config, model=model))])
    result = rundir.read_result(tmp_path)
    assert result is not None
    assert result["status"] == "succeeded"
    assert len(orders) == 2
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(result["data"]["train"]))
    assert orders[0] != orders[1]
