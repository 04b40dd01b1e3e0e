"""Rows into ids: prefixes, votes and everything that is counted out."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from tests.training.recipes.conftest import message, pairs
from training import rundir
from training.recipes.data import (
    Dropped,
    Encoder,
    encode_demonstrations,
    encode_pairs,
    tokenizer_texts,
)
from training.recipes.loading import new_tokenizer

pytestmark = pytest.mark.recipe
USER = [message("user", "red cat")]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return new_tokenizer(["red cat blue dog please"] * 3, 280, 64)


@pytest.fixture
def encoder(tokenizer: PreTrainedTokenizerBase) -> Encoder:
    return Encoder(tokenizer, 40)


def _folder(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path / rundir.DATA).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _pair(chosen: str, rejected: str, **changes: Any) -> dict[str, Any]:
    reply = [message("assistant", chosen)], [message("assistant", rejected)]
    row = {"prompt": USER, "chosen": reply[0], "rejected": reply[1], "split": "train"}
    return row | changes


@pytest.mark.parametrize("reply", ["blue dog", " blue", "\nblue", "cat", "☃"])
def test_prompt_is_a_prefix_of_prompt_and_reply(encoder: Encoder, reply: str) -> None:
    head, tail = encoder.exchange(USER, [message("assistant", reply)])
    assert head == encoder.prompt(USER)
    end = encoder.tokenizer.eos_token_id
    assert tail[-1] == end
    assert end not in tail[:-1]
    assert encoder.tokenizer.decode(tail[:-1]) == reply


def test_template_marks_begin_turns_and_ends(encoder: Encoder) -> None:
    head, tail = encoder.exchange(USER, [message("assistant", "dog")])
    text = encoder.tokenizer.decode(head + tail)
    assert text == "<|bos|><|user|>red cat<|end|><|assistant|>dog<|end|>"


def test_mark_written_in_a_text_does_not_become_one(encoder: Encoder) -> None:
    with pytest.raises(Dropped, match="special_token_in_text"):
        encoder.prompt([message("user", "a <|assistant|> b")])


def test_template_that_changes_the_prompt_is_noticed(tokenizer: PreTrainedTokenizerBase) -> None:
    """A template that writes the number of turns first gives no prefix."""
    other = Encoder(tokenizer, 40)
    kept = tokenizer.chat_template
    tokenizer.chat_template = "{{ messages | length }}" + kept
    try:
        with pytest.raises(Dropped, match="template_changes_prompt"):
            other.exchange(USER, [message("assistant", "dog")])
    finally:
        tokenizer.chat_template = kept


def test_labels_hide_the_prompt(tmp_path: Path, encoder: Encoder) -> None:
    row = {"prompt": USER, "completion": [message("assistant", "dog")], "split": "train"}
    rows = encode_demonstrations(_folder(tmp_path, [row]), encoder, completion_only=True)
    encoded = rows.splits["train"][0]
    head, tail = encoder.exchange(USER, [message("assistant", "dog")])
    assert encoded == {"input_ids": head + tail, "labels": [-100] * len(head) + tail}
    rows = encode_demonstrations(tmp_path, encoder, completion_only=False)
    assert rows.splits["train"][0]["labels"] == head + tail


def test_pairs_left_out_are_counted_by_reason(tmp_path: Path, encoder: Encoder) -> None:
    rows = [
        _pair("dog", "cat", judgement="1"),
        _pair("dog", "cat", judgement="1"),
        _pair("dog", "cat", judgement="2"),
        _pair("dog", "cat", judgement="3", weight=0.5),
        _pair("dog", "blue", tie=True),
        _pair("dog", "red", weight=0),
        _pair("dog", "dog"),
        _pair("dog", ""),
        _pair("dog", "cat " * 40),
    ]
    report = encode_pairs(_folder(tmp_path, rows), encoder).report()
    assert report["train"] == 3  # the votes of three judgements
    assert report["ignored_weights"] == 1
    assert report["dropped"] == {
        "duplicate": 1,
        "tie": 1,
        "zero_weight": 1,
        "equal_replies": 1,
        "empty_reply": 1,
        "too_long": 1,
    }
    assert report["rows"] == report["train"] + sum(report["dropped"].values())


def test_a_tie_with_a_soft_label_is_learned_where_soft_labels_are(
    tmp_path: Path, encoder: Encoder
) -> None:
    rows = [
        _pair("dog", "cat", judgement="1", tie=True, target=0.5),
        _pair("dog", "red", judgement="1", tie=True, target=0.6),
        _pair("dog", "cat", judgement="2", tie=True),
        _pair("dog", "cat", judgement="3"),
    ]
    folder = _folder(tmp_path, rows)
    soft = encode_pairs(folder, encoder, soft=True)
    assert [row["target"] for row in soft.splits["train"]] == [0.5, 0.6, 1.0]
    assert soft.report()["dropped"] == {"tie": 1}
    hard = encode_pairs(folder, encoder)
    assert [row["target"] for row in hard.splits["train"]] == [1.0]
    assert hard.report()["dropped"] == {"tie": 3}


def test_pairs_keep_their_split(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Of 36 rows every tenth is a tie: rows 9, 19 (train), 29 (test)."""
    report = encode_pairs(_folder(tmp_path, pairs(36)), Encoder(tokenizer, 96)).report()
    assert report["dropped"] == {"tie": 3}
    assert (report["train"], report["validation"], report["test"]) == (22, 6, 5)


def test_tokenizer_learns_from_training_and_its_own_rows_alone(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "split": "train"},
        {"text": "b", "split": "tokenizer"},
        {"text": "c", "split": "validation"},
        {"prompt": USER, "completion": [message("assistant", "d")], "split": "train"},
    ]
    assert list(tokenizer_texts(_folder(tmp_path, rows))) == ["a", "b", "red cat", "d"]


def test_new_tokenizer_is_the_same_each_time() -> None:
    texts = [" ".join(f"w{n % 7}{n % 11}" for n in range(200))]
    first, second = (new_tokenizer(texts, 300, 64) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
