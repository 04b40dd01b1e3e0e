"""What a run would leave out, counted before it starts."""

from pathlib import Path
from typing import Any

from tests.training.machines import write_tokenizer
from training.preview import MOST_ROWS, preview


def _message(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def _pair(better: str, worse: str, judgement: str = "one", **more: Any) -> dict[str, Any]:
    return {
        "prompt": _message("user", "What then?"),
        "chosen": _message("assistant", better),
        "rejected": _message("assistant", worse),
        "judgement": judgement,
        "split": "train",
        **more,
    }


def test_pairs_left_out_are_counted_by_reason_and_add_up() -> None:
    rows = [
        _pair("yes", "no"),
        _pair("yes", "no"),
        _pair("no", "yes", "two"),
        _pair("yes", "perhaps", tie=True),
        _pair("same", "same"),
        _pair(" ", "no"),
        _pair("good", "bad", split="validation"),
    ]
    found = preview(rows, pairs=True, model=None, max_length=8)
    assert dict(found.dropped) == {
        "duplicate": 1,
        "tie": 1,
        "equal_replies": 1,
        "empty_reply": 1,
    }
    assert found.used == {"train": 2, "validation": 1, "test": 0}
    assert found.rows == sum(found.used.values()) + sum(count for _, count in found.dropped)
    assert found.contradicted == 3  # the pair, its repeat, and the judgement that turns it round
    assert not found.lengths_known


def test_a_tie_with_a_soft_label_is_used_where_the_recipe_learns_from_soft_labels() -> None:
    rows = [_pair("yes", "no", tie=True, target=0.5)]
    for soft, used in ((True, 1), (False, 0)):
        found = preview(rows, pairs=True, model=None, max_length=8, soft=soft)
        assert found.used["train"] == used


def test_demonstrations_left_out_are_counted() -> None:
    row = {
        "prompt": _message("user", "What then?"),
        "completion": _message("assistant", "This."),
        "split": "train",
    }
    found = preview([row, row], pairs=False, model=None, max_length=8)
    assert (found.dropped, found.used["train"]) == ([("duplicate", 1)], 1)


def test_only_the_first_rows_are_looked_at_and_that_is_said() -> None:
    rows = [_pair("yes", "no", str(number)) for number in range(MOST_ROWS + 5)]
    found = preview(rows, pairs=True, model=None, max_length=8)
    assert (found.rows, found.cut) == (MOST_ROWS, True)


def test_a_model_without_a_tokenizer_leaves_lengths_unknown(tmp_path: Path) -> None:
    found = preview([_pair("yes", "no")], pairs=True, model=tmp_path, max_length=8)
    assert (found.lengths_known, found.used["train"]) == (False, 1)


def test_a_model_from_scratch_is_counted_by_the_tokenizer_it_would_learn() -> None:
    rows = [
        {
            "prompt": _message("user", "one two three"),
            "completion": _message("assistant", f"one two three number {number}"),
            "split": "train",
        }
        for number in range(30)
    ]
    found = preview(rows, pairs=False, model=None, max_length=32, new_words=280)
    assert found.lengths_known
    assert found.vocabulary == 280
    assert found.texts is not None
    assert len(found.texts.train) == 30
    # Its marks of turns and ends are tokens too: begin, role, text, end, role; text and end.
    assert found.texts.train[0].prompt >= 5
    assert found.texts.train[0].longest <= 32


def test_lengths_are_grouped_as_the_recipe_reads_them(tmp_path: Path) -> None:
    """Three replies of one ranking are three pairs, one comparison, or three replies alone."""
    write_tokenizer(tmp_path)
    rows = [
        _pair(better, worse) for better, worse in (("aa", "bbb"), ("aa", "cccc"), ("bbb", "cccc"))
    ]
    grouped = {}
    for recipe in ("dpo", "reward", "kto"):
        found = preview(rows, pairs=True, model=tmp_path, max_length=99, recipe=recipe)
        assert found.texts is not None
        grouped[recipe] = [row.replies for row in found.texts.train]
    # A reply's mark of its end counts too.
    assert grouped["dpo"] == [(3, 4), (3, 5), (4, 5)]
    assert grouped["reward"] == [(3, 4, 5)]
    assert sorted(grouped["kto"]) == [(3,), (4,), (5,)]
