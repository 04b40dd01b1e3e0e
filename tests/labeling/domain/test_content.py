"""Messages: one canonical form, one hash, refusals that name the place."""

import hashlib
from typing import Any

import pytest
from hypothesis import given

from labeling.domain.content import (
    ContentError,
    content_hash,
    first_user_hash,
    parse_messages,
    parse_prompt,
    parse_reply,
    plain_messages,
    reply_text,
    text_of,
)
from tests.labeling.domain.strategies import prompts


def _text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def test_parse_prompt_of_a_plain_text() -> None:
    assert parse_prompt("Hello") == [{"role": "user", "content": _text("Hello")}]


def test_parse_prompt_knows_other_names_of_roles() -> None:
    value = [
        {"role": "prompter", "content": "a"},
        {"role": "gpt", "content": "b"},
        {"role": "human", "content": "c"},
    ]
    assert [m["role"] for m in parse_prompt(value)] == ["user", "assistant", "user"]


@given(prompts())
def test_parse_prompt_leaves_canonical_messages_as_they_are(messages: list[Any]) -> None:
    assert parse_prompt(messages) == messages


def test_parse_messages_drops_unknown_keys() -> None:
    value = [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}], "name": "me"}]
    assert parse_messages(value) == [{"role": "user", "content": _text("a")}]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "prompt: must be a text or a list"),
        ([], "prompt: must be a text or a list"),
        (["hi"], r"prompt\[0\]: a message is an object"),
        ([{"role": "robot", "content": "a"}], r"prompt\[0\]: role 'robot' is none of"),
        ([{"role": ["user"], "content": "a"}], r"prompt\[0\]: role \['user'\] is none of"),
        ([{"content": "a"}], r"prompt\[0\]: role None is none of"),
        ([{"role": "user"}], r"prompt\[0\]: content must be"),
        ([{"role": "user", "content": []}], r"prompt\[0\]: content must be"),
        ([{"role": "user", "content": ["a"]}], r"prompt\[0\]: only text parts"),
        ([{"role": "user", "content": [{"type": "image"}]}], r"prompt\[0\]: only text parts"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "needs the field `text`"),
        ("a\x00b", "NUL"),
        ("a\ud800b", "surrogate"),
        ("  \n", "holds no text"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "the user's"),
    ],
)
def test_parse_prompt_refuses(value: Any, said: str) -> None:
    with pytest.raises(ContentError, match=said):
        parse_prompt(value)


def test_parse_reply_of_text_and_of_messages() -> None:
    said = [{"role": "assistant", "content": _text("Hi")}]
    assert parse_reply("Hi", "x") == said
    assert parse_reply([{"role": "bot", "content": "Hi"}], "x") == said


def test_parse_reply_refuses_a_user_turn() -> None:
    with pytest.raises(ContentError, match=r"responses\[3\]: a reply holds assistant"):
        parse_reply([{"role": "user", "content": "Hi"}], "responses[3]")


def test_texts_join_parts_and_messages_by_a_blank_line() -> None:
    parts = {"role": "assistant", "content": [*_text("a"), *_text("b")]}
    assert text_of(parts) == "a\n\nb"
    assert text_of({"role": "user", "content": "plain"}) == "plain"
    assert reply_text([parts, {"role": "assistant", "content": _text("c")}]) == "a\n\nb\n\nc"
    assert plain_messages([parts]) == [{"role": "assistant", "content": "a\n\nb"}]


def test_content_hash_by_hand() -> None:
    """The canonical JSON, keys sorted, no spaces, no escapes, is what is hashed."""
    line = '[{"content":[{"text":"é","type":"text"}],"role":"user"}]'
    assert content_hash(parse_prompt("é")) == hashlib.sha256(line.encode()).hexdigest()


def test_content_hash_is_the_same_for_composed_and_decomposed_letters() -> None:
    assert content_hash(parse_prompt("e\u0301")) == content_hash(parse_prompt("\u00e9"))
    assert content_hash(parse_prompt("e")) != content_hash(parse_prompt("\u00e9"))


def test_first_user_hash_reads_the_first_user_message_alone() -> None:
    long = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "  Hello "},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "more"},
    ]
    assert first_user_hash(parse_prompt(long)) == hashlib.sha256(b"Hello").hexdigest()
    assert first_user_hash(parse_prompt(long)) == first_user_hash(parse_prompt("Hello"))
