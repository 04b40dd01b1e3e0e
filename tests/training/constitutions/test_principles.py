"""Principles: read from YAML with faults by line, hashed, drawn by a seed."""

from collections import Counter
from typing import Any

import pytest

from training.config_fields import ConfigError
from training.constitutions.principles import (
    LONGEST,
    MOST_PRINCIPLES,
    Principle,
    draw_principle,
    parse_principles,
    principles_from,
    sha256_of,
    shipped_text,
    to_yaml,
)

GOOD = """principles:
  - key: harm
    critique: What could hurt?
    revision: Write it again.
    comparison: Which hurts less?
  - key: truth
    critique: What is wrong?
    revision: Correct it.
    comparison: Which is true?
"""


def _faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as found:
        parse_principles(text)
    assert set(found.value.errors) == {"text"}
    return found.value.errors["text"]


def test_a_text_is_read_and_written_again():
    found = parse_principles(GOOD)
    assert [principle.key for principle in found] == ["harm", "truth"]
    assert found[0].critique == "What could hurt?"
    assert parse_principles(to_yaml(found)) == found
    assert principles_from([principle.to_json() for principle in found]) == found


def test_what_comes_with_the_project_can_be_read():
    found = parse_principles(shipped_text())
    assert len(found) >= 8
    assert parse_principles(to_yaml(found)) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("principles: [", "Line 1 is no YAML."),
        ("a: 1", "Line 1: a is no field here: use principles."),
        ("", "Begin with a line"),
        ("principles: 3", "Begin with a line"),
        ("[1, 2]", "Begin with a line"),
        ("principles: []", "Write at least one principle."),
        ("principles:\n  - harm\n", "Line 2: a principle has the fields key, "),
        (
            GOOD.replace("    critique: What is wrong?\n", ""),
            "Line 6: this principle lacks critique.",
        ),
        (GOOD.replace("critique: What is", "critic: What is"), "Line 7: critic is no field"),
        (GOOD.replace("key: truth", "key: harm"), "Line 6: two principles have the key harm."),
        (GOOD.replace("key: truth", "key: Truth!"), "Line 6: a key has up to 60"),
        (GOOD.replace("Correct it.", ""), "Line 8: write a text for revision."),
        (GOOD.replace("Correct it.", "[1]"), "Line 8: write a text for revision."),
        (GOOD.replace("Correct it.", "x" * (LONGEST + 1)), "Line 8: revision is longer than"),
        (GOOD.replace("Correct it.", '"\\0"'), "Line 8: revision holds a character"),
        (GOOD.replace("Correct it.", '"\\ud800"'), "Line 8: revision holds a character"),
        (GOOD.replace("    revision: Correct it.", "    key: again"), "Line 8: key stands twice"),
        (GOOD.replace("critique: What is", "? [1]\n    : What is"), "is no field"),
        ("x" * 500_001, "The text is longer than"),
        ("a: &a [*a]", "is no field here"),
        ("principles: &a [*a]", "a principle has the fields"),
    ],
)
def test_a_fault_is_told_by_its_line(text: str, line: str):
    assert any(line in said for said in _faults(text)), _faults(text)


def test_all_faults_are_told_at_once():
    text = GOOD.replace("key: truth", "key: T").replace("What could hurt?", "")
    assert len(_faults(text)) == 2


def test_there_is_a_most():
    row = "  - {key: p%d, critique: a, revision: b, comparison: c}\n"
    text = "principles:\n" + "".join(row % number for number in range(MOST_PRINCIPLES + 1))
    assert "at most" in _faults(text)[0]


def test_the_hash_knows_every_word_and_the_order():
    found = parse_principles(GOOD)
    hashes = {
        sha256_of(found),
        sha256_of(found[::-1]),
        sha256_of(parse_principles(GOOD.replace("Correct it.", "Correct this."))),
    }
    assert len(hashes) == 3
    assert sha256_of(parse_principles(to_yaml(found))) == sha256_of(found)


def test_a_draw_depends_on_seed_and_key_alone():
    found = _numbered(4)
    again = [draw_principle(7, f"item {n}", found) for n in range(40)]
    assert again == [draw_principle(7, f"item {n}", found) for n in range(40)]
    assert again != [draw_principle(8, f"item {n}", found) for n in range(40)]


def test_draws_are_even():
    counts = Counter(draw_principle(1, str(n), _numbered(4)).key for n in range(4000))
    # Of a binomial of 4000 at 1/4, five standard deviations are 137.
    assert all(abs(count - 1000) < 140 for count in counts.values())


def _numbered(count: int) -> list[Principle]:
    words: dict[str, Any] = {"critique": "a", "revision": "b", "comparison": "c"}
    return [Principle(key=f"p{n}", **words) for n in range(count)]
