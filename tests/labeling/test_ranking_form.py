"""What the ranking page sends, read into a submission, and filled in again."""

from typing import Any

import pytest
from django.http import QueryDict

from labeling.exceptions import InvalidInput
from labeling.ranking_form import fields_of, submission_of
from labeling.selectors.revisions import Said
from labeling.services.submissions import OWN


def _sent(**fields: object) -> QueryDict:
    data = QueryDict(mutable=True)
    for name, value in fields.items():
        dashed = name.startswith(("rank", "quality", "flag"))
        data.setlist(
            name.replace("_", "-") if dashed else name,
            [str(item) for item in (value if isinstance(value, list) else [value])],
        )
    return data


def test_submission_orders_tiers_by_rank_and_ties_equal_ranks() -> None:
    """Ranks 3, 1, 3, 2 of positions 0 to 3: position 1 first, then 3, then 0 and 2 tied."""
    submission = submission_of(_sent(rank_0=3, rank_1=1, rank_2=3, rank_3=2))
    assert submission.tiers == [[1], [3], [0, 2]]
    assert submission.touched


def test_submission_closes_gaps_between_ranks() -> None:
    """Ranks 1, 4, 4 say the same as 1, 2, 2."""
    gaps = submission_of(_sent(rank_0=1, rank_1=4, rank_2=4))
    assert gaps.tiers == submission_of(_sent(rank_0=1, rank_1=2, rank_2=2)).tiers


def test_submission_without_a_rank_is_untouched() -> None:
    submission = submission_of(_sent(rank_0="", rank_1=" "))
    assert not submission.touched
    assert submission.tiers == []


def test_submission_keeps_time_and_events() -> None:
    submission = submission_of(_sent(rank_0=1, active_ms=1234, events='[[5, "k1", 0]]'))
    assert submission.active_ms == 1234
    assert submission.events == [[5, "k1", 0]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rank-0", "first"),
        ("rank-own", "1.5"),
        ("quality-3", "good"),
        ("strength", "much"),
        ("confidence", "sure"),
        ("line", "2:1"),
        ("line", "0"),
        ("active_ms", "1.5"),
        ("events", "{}"),
        ("events", "["),
        ("events", "[" * 100_000),
        ("events", "[NaN]"),
        ("events", '["a\\u0000"]'),
        ("events", '[[1, "\\ud800"]]'),
    ],
)
def test_submission_names_the_field_that_can_not_be_read(field: str, value: str) -> None:
    data = QueryDict(mutable=True)
    data["rank-1"] = "2"
    data[field] = value
    with pytest.raises(InvalidInput) as refused:
        submission_of(data)
    assert list(refused.value.errors) == [field]


@pytest.mark.parametrize(
    ("line", "verdict", "tiers", "strength"),
    [
        ("0:2", "ranked", [[0], [1]], 2),
        ("1:4", "ranked", [[1], [0]], 4),
        ("1:", "ranked", [[1], [0]], None),
        ("tie", "ranked", [[0, 1]], None),
        ("both_bad", "both_bad", [], None),
    ],
)
def test_point_on_the_line_is_an_order_with_its_strength(
    line: str, verdict: str, tiers: Any, strength: int | None
) -> None:
    said = submission_of(_sent(line=line))
    assert (said.verdict, said.tiers, said.strength) == (verdict, tiers, strength)


def test_verdict_of_a_button_holds_over_what_was_chosen_before() -> None:
    said = submission_of(_sent(line="0:2", verdict="unrankable", unrankable_reason="Other"))
    assert (said.verdict, said.tiers, said.strength) == ("unrankable", [], None)
    assert said.unrankable_reason == "Other"
    assert submission_of(_sent(line="0:2", unrankable_reason="Other")).unrankable_reason == ""


def test_strength_is_left_out_of_a_tie() -> None:
    assert submission_of(_sent(rank_0=1, rank_1=2, strength=3)).strength == 3
    assert submission_of(_sent(rank_0=1, rank_1=1, strength=3)).strength is None
    assert submission_of(_sent(verdict="both_bad", strength=3)).strength is None


def test_written_reply_stands_above_the_others_or_where_it_was_placed() -> None:
    text = "Mine.\r\nYes."
    above = submission_of(_sent(rank_0=1, rank_1=2, own_text=text))
    assert (above.tiers, above.own_text) == ([[OWN], [0], [1]], "Mine.\nYes.")
    placed = submission_of(_sent(rank_0=1, rank_1=2, rank_own=2, own_text=text))
    assert placed.tiers == [[0], [1, OWN]]
    assert submission_of(_sent(rank_0=1, own_text=" \n")).tiers == [[0]]
    assert not submission_of(_sent(own_text=text)).touched


def test_ratings_by_position_boxes_left_empty_mean_no() -> None:
    sent = _sent(quality_0=5, flag_0=["made_up", "rude"], quality_1=1, flag_3="rude")
    assert submission_of(sent).ratings == {
        "0": {"quality": 5, "flags": ["made_up", "rude"]},
        "1": {"quality": 1, "flags": []},
        "3": {"flags": ["rude"]},
    }


def _said(**fields: Any) -> Said:
    plain: dict[str, Any] = {
        "verdict": "ranked",
        "ranks": {},
        "own_rank": None,
        "own_text": "",
        "strength": None,
        "confidence": None,
        "ratings": {},
        "comment": "",
        "unrankable_reason": "",
    }
    return Said(**(plain | fields))


@pytest.mark.parametrize(
    ("said", "count", "fields"),
    [
        (_said(ranks={0: 1, 1: 3, 2: 1}), 3, {"rank-0": "1", "rank-1": "2", "rank-2": "1"}),
        (
            _said(ranks={0: 3, 1: 2, 2: 3}, own_rank=1, own_text="Mine."),
            3,
            {"rank-0": "2", "rank-1": "1", "rank-2": "2", "own_text": "Mine."},
        ),
        (_said(ranks={0: 2, 1: 1}, strength=3), 2, {"line": "1:3"}),
        (_said(ranks={0: 1, 1: 2}), 2, {"line": "0:"}),
        (_said(ranks={0: 1, 1: 1}), 2, {"line": "tie"}),
        (_said(verdict="both_bad", confidence=2), 2, {"line": "both_bad", "confidence": "2"}),
        (_said(verdict="both_bad"), 4, {}),
        (
            _said(verdict="unrankable", unrankable_reason="Other", comment="why"),
            2,
            {"unrankable_reason": "Other", "comment": "why"},
        ),
    ],
)
def test_fields_of_what_was_said(said: Said, count: int, fields: dict[str, str]) -> None:
    assert dict(fields_of(said, count)) == fields


def test_fields_of_ratings_repeat_the_name_of_flags() -> None:
    said = _said(ratings={1: {"quality": 6, "flags": ["a", "b"]}, 2: {"flags": []}})
    assert fields_of(said, 4) == [("quality-1", "6"), ("flag-1", "a"), ("flag-1", "b")]
