"""English sentences that keep their parts."""

import json

from labeling.domain.sentences import Sentence, parts_of, sentence


def test_a_sentence_is_english_text_that_knows_its_parts() -> None:
    said = sentence("{name} holds {count} lines.", name="a.jsonl", count=3)
    assert said == "a.jsonl holds 3 lines."
    assert json.dumps(said) == '"a.jsonl holds 3 lines."'
    assert parts_of(said) == {
        "pattern": "{name} holds {count} lines.",
        "values": {"name": "a.jsonl", "count": 3},
    }


def test_without_values_braces_are_text() -> None:
    assert sentence("Write {} for nothing.") == "Write {} for nothing."


def test_a_sentence_within_a_sentence_keeps_its_own_parts() -> None:
    inner = sentence("{path} is missing.", path="model")
    outer = sentence("The result can't be read: {problem}", problem=inner)
    assert outer == "The result can't be read: model is missing."
    assert parts_of(outer)["values"] == {"problem": inner.parts()}


def test_any_other_text_has_no_parts() -> None:
    assert parts_of("just so") == {}
    assert not isinstance("just so", Sentence)
