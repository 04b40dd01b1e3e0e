"""Sentences in the reader's language."""

from collections.abc import Iterator

import pytest
from django.utils import translation

from labeling.domain.sentences import parts_of, sentence
from labeling.language import all_said, said

TOO_LONG = sentence("is longer than {limit} characters.", limit=200)


@pytest.fixture
def chinese() -> Iterator[None]:
    with translation.override("zh-hans"):
        yield


@pytest.mark.usefixtures("chinese")
def test_a_sentence_is_said_with_its_values() -> None:
    assert said(TOO_LONG) == "超过 200 个字符。"


@pytest.mark.usefixtures("chinese")
def test_a_stored_sentence_is_said_by_the_parts_beside_it() -> None:
    assert said(str(TOO_LONG), parts_of(TOO_LONG)) == "超过 200 个字符。"


@pytest.mark.usefixtures("chinese")
def test_a_sentence_within_is_said_too() -> None:
    outer = sentence("The result can't be read: {problem}", problem=TOO_LONG)
    assert said("", parts_of(outer)) == "无法读取结果：超过 200 个字符。"


@pytest.mark.usefixtures("chinese")
def test_what_no_catalogue_knows_stays_as_it_is() -> None:
    assert said("Zog the 3rd") == "Zog the 3rd"
    assert said("") == ""


@pytest.mark.usefixtures("chinese")
def test_errors_are_said_field_by_field() -> None:
    assert all_said({"name": [TOO_LONG, "x"]}) == {"name": ["超过 200 个字符。", "x"]}


def test_in_english_it_stands_as_it_was_written() -> None:
    assert said(TOO_LONG) == "is longer than 200 characters."
