"""KTO: replies for themselves, and a loss that begins where policy and reference are equal."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.recipes.conftest import Chain, pairs, prepare
from training import rundir
from training.recipes import kto
from training.recipes.data import Splits
from training.recipes.kto import unpaired

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
LEARN = {"max_steps": 6, "learning_rate": 1e-3}


def _ranked(judgement: str, order: str) -> list[dict[str, Any]]:
    return [
        {
            "judgement": judgement,
            "prompt_ids": [1],
            "chosen_ids": [ord(a)],
            "rejected_ids": [ord(b)],
        }
        for place, a in enumerate(order)
        for b in order[place + 1 :]
    ]


def test_each_reply_of_a_ranking_counts_once() -> None:
    rows = Splits()
    rows.splits["train"] = _ranked("one", "abc") + _ranked("two", "ca")
    found = unpaired(rows, seed=0).splits["train"]
    labels = sorted((chr(row["completion_ids"][0]), row["label"]) for row in found)
    assert labels == [("a", False), ("a", True), ("c", False), ("c", True)]
    assert rows.notes["undecided"] == 1  # b won one pair and lost one


def test_order_is_drawn_by_the_seed() -> None:
    def order(seed: int) -> list[int]:
        rows = Splits()
        rows.splits["train"] = _ranked("one", "abcdefgh")
        return [row["completion_ids"][0] for row in unpaired(rows, seed).splits["train"]]

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.mark.parametrize("changes", [{}, {"lora_r": 2}, {"loss_type": "apo_zero_unpaired"}])
def test_kto_begins_at_one_half_and_learns(
    chain: Chain, tmp_path: Path, in_process: None, changes: dict[str, Any]
) -> None:
    """Policy = reference: every value is sigmoid(0), so every loss is 1/2 (2402.01306, eq. 8)."""
    folder = prepare(tmp_path, "kto", pairs(), LEARN | changes, model=chain.model("sft"))
    kto.main([str(folder)])
    values = [dict(row.values) for row in rundir.read_metrics_from(folder)[0]]
    assert values[0]["loss"] == pytest.approx(0.5, abs=1e-5)
    assert values[5]["loss"] < 0.5
    result = rundir.read_result(folder)
    assert result is not None
    assert result["model"]["kind"] == "policy"
    assert result["data"]["dropped"]["tie"] > 0
