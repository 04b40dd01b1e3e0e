"""Rankings into ids and pairs: which pairs are kept, and everything that is counted out."""

import json
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from tests.training.recipes.conftest import message
from training import rundir
from training.configs import RewardConfig
from training.recipes.data import Encoder, Splits
from training.recipes.loading import new_tokenizer
from training.recipes.rankings import encode_rankings

pytestmark = pytest.mark.recipe
USER = [message("user", "red cat")]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return new_tokenizer(["red cat blue dog please"] * 3, 280, 64)


def _row(replies: list[str], tiers: list[list[int]], **changes: Any) -> dict[str, Any]:
    row = {
        "prompt": USER,
        "replies": [[message("assistant", text)] for text in replies],
        "tiers": tiers,
        "split": "train",
    }
    return row | changes


def _encode(
    path: Path, tokenizer: PreTrainedTokenizerBase, rows: list[dict[str, Any]], **config: Any
) -> Splits:
    (path / rundir.DATA).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return encode_rankings(path, Encoder(tokenizer, 40), RewardConfig(**config))


def _pairs(row: dict[str, Any]) -> set[tuple[int, int]]:
    return set(zip(row["better"], row["worse"], strict=True))


def test_ranking_of_four_with_a_tie(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    row = _row(["a", "b", "c", "d"], [[2], [0, 3], [1]])
    found = _encode(tmp_path, tokenizer, [row])
    (encoded,) = found.splits["train"]
    assert encoded["ranks"] == [1, 2, 0, 1]
    assert _pairs(encoded) == {(2, 0), (2, 3), (2, 1), (0, 1), (3, 1)}
    assert found.report()["pairs"] == 5
    assert found.report()["tied_pairs"] == 1
    encoder = Encoder(tokenizer, 40)
    for ids, text in zip(encoded["reply_ids"], "abcd", strict=True):
        assert (encoded["prompt_ids"], ids) == encoder.exchange(USER, [message("assistant", text)])


def test_tie_is_half_a_win_where_that_is_asked_for(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = [_row(["a", "b", "c"], [[2], [0, 1]]), _row(["a", "b"], [[0, 1]])]
    found = _encode(tmp_path, tokenizer, rows, ties="half", margin="rank_gap")
    first, second = found.splits["train"]
    told = zip(first["better"], first["worse"], first["target"], first["margin"], strict=True)
    assert set(told) == {(2, 0, 1.0, 1.0), (2, 1, 1.0, 1.0), (0, 1, 0.5, 0.0)}
    assert second["target"] == [0.5]


@pytest.mark.parametrize(("margin", "expected"), [("off", [0, 0, 0]), ("rank_gap", [0.5, 1, 0.5])])
def test_margin_by_rank_gap(
    margin: str, expected: list[float], tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    row = _row(["a", "b", "c"], [[0], [1], [2]])
    found = _encode(tmp_path, tokenizer, [row], margin=margin, margin_scale=0.5)
    assert found.splits["train"][0]["margin"] == expected  # of 0-1, 0-2, 1-2


def test_margin_by_strength_is_zero_where_none_was_told(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = [_row(["a", "b"], [[0], [1]], strength=3), _row(["b", "c"], [[0], [1]], strength=None)]
    found = _encode(tmp_path, tokenizer, rows, margin="strength", margin_scale=1 / 3)
    assert [row["margin"] for row in found.splits["train"]] == [[1.0], [0.0]]


def test_soft_label_replaces_the_order_of_its_pair(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Named from the worse one's side it is learned from there; other pairs stay as ranked."""
    row = _row(["a", "b", "c"], [[0], [1], [2]], soft=[[1, 0, 0.3]])
    (encoded,) = _encode(tmp_path, tokenizer, [row]).splits["train"]
    told = zip(encoded["better"], encoded["worse"], encoded["target"], strict=True)
    assert set(told) == {(1, 0, 0.3), (0, 2, 1.0), (1, 2, 1.0)}


@pytest.mark.parametrize("soft", [[0, 0, 0.5], [0, 2, 0.5], [0, 1, 1.5]])
def test_soft_label_that_says_nothing_is_refused(
    soft: list[float], tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(rundir.RunFolderError, match="soft"):
        _encode(tmp_path, tokenizer, [_row(["a", "b"], [[0], [1]], soft=[soft])])


@pytest.mark.parametrize("tiers", [[[0]], [[0], [1, 1]], [[0], [1], [2]]])
def test_tiers_that_do_not_place_each_reply_once_are_refused(
    tiers: list[list[int]], tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(rundir.RunFolderError, match="must place each of 2 replies once"):
        _encode(tmp_path, tokenizer, [_row(["a", "b"], tiers)])


def test_comparisons_left_out_are_counted_by_reason(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    good = _row(["dog", "cat"], [[0], [1]], judgement="1")
    rows = [
        good,
        good,
        {**good, "judgement": "2"},  # another vote
        _row(["dog", "cat"], [[0, 1]], judgement="3"),
        _row(["dog", "cat"], [[0], [1]], judgement="4", weight=0),
        _row(["dog", "dog"], [[0], [1]], judgement="5"),
        _row(["dog", " "], [[0], [1]], judgement="6"),
        _row(["dog", "cat " * 40], [[0], [1]], judgement="7"),
    ]
    report = _encode(tmp_path, tokenizer, rows).report()
    assert report["train"] == 2
    assert report["dropped"] == {
        "duplicate": 1,
        "tie": 1,
        "zero_weight": 1,
        "equal_replies": 1,
        "empty_reply": 1,
        "too_long": 1,
    }
    assert report["rows"] == report["train"] + sum(report["dropped"].values())


def test_a_reply_that_is_too_long_takes_none_of_the_others_with_it(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    row = _row(["a", "cat " * 40, "c"], [[2], [1], [0]])
    found = _encode(tmp_path, tokenizer, [row])
    (encoded,) = found.splits["train"]
    assert encoded["ranks"] == [2, 0]
    assert _pairs(encoded) == {(1, 0)}
    assert found.report()["replies_too_long"] == 1
    assert found.report()["dropped"] == {}


def test_nothing_left_to_train_on_says_why(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(rundir.RunFolderError, match=r"No comparison of 1 .*1 tie"):
        _encode(tmp_path, tokenizer, [_row(["a", "b"], [[0, 1]])])


def test_random_weak_orders_give_all_pairs_but_the_tied(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Antisymmetric, C(K,2) less the tied ones, and the pairs give the order back."""
    rng = random.Random(5)
    for _ in range(30):
        size = rng.randint(2, 9)
        ranks = [rng.randint(0, size - 1) for _ in range(size)]
        levels = sorted(set(ranks))
        if len(levels) == 1:
            continue
        tiers = [[n for n in range(size) if ranks[n] == level] for level in levels]
        (row,) = _encode(tmp_path, tokenizer, [_row(list("abcdefghi"[:size]), tiers)]).splits[
            "train"
        ]
        pairs = _pairs(row)
        tied = sum(ranks[a] == ranks[b] for a, b in combinations(range(size), 2))
        assert len(pairs) == len(row["better"]) == size * (size - 1) // 2 - tied
        assert not pairs & {(worse, better) for better, worse in pairs}
        beaten = [sum(pair[0] == n for pair in pairs) for n in range(size)]
        assert all(beaten[a] > beaten[b] for a, b in pairs)
        assert all(
            beaten[a] == beaten[b]
            for a, b in combinations(range(size), 2)
            if (a, b) not in pairs and (b, a) not in pairs
        )
