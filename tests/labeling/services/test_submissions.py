"""What a project asks for: taken by its own scale, asked of pages; refusals name their field."""

from typing import Any

import pytest

from labeling.exceptions import InvalidInput, InvalidRanking
from labeling.selectors.queue import Asked
from labeling.services.submissions import (
    OWN,
    CheckedSubmission,
    Submission,
    check_submission,
)

FLAGS = (("made_up", "Hallucination"), ("rude", "Inappropriate"))
ALL = Asked(strength_scale=3, ratings=True, confidence=True, demonstrations=True, flags=FLAGS)
RATED = {"0": {"quality": 6, "flags": []}, "1": {"quality": 2, "flags": ["rude"]}}


def check(
    *tiers: list[int],
    asked: Asked = ALL,
    order: tuple[int, ...] = (1, 0),
    complete: bool = False,
    **said: Any,
) -> CheckedSubmission:
    submission = Submission(tiers=list(tiers), touched=bool(tiers), **said)
    return check_submission(submission, list(order), asked, complete=complete)


def test_ratings_go_to_slots_with_flags_in_the_order_of_their_set() -> None:
    """Position 0 shows slot 1: what is said of it is kept under "1"."""
    ratings = {"0": {"quality": 7, "flags": ["rude", "made_up", "rude"]}, "1": {"flags": []}}
    checked = check([0], [1], ratings=ratings)
    assert checked.ratings == {
        "1": {"quality": 7, "flags": ["made_up", "rude"]},
        "0": {"flags": []},
    }


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"ratings": {"0": {"quality": 8}}}, "ratings.0.quality"),
        ({"ratings": {"1": {"quality": 0}}}, "ratings.1.quality"),
        ({"ratings": {"0": {"quality": True}}}, "ratings.0.quality"),
        ({"ratings": {"0": {"quality": "5"}}}, "ratings.0.quality"),
        ({"ratings": {"0": {"flags": ["wordy"]}}}, "ratings.0.flags"),
        ({"ratings": {"0": {"flags": "rude"}}}, "ratings.0.flags"),
        ({"ratings": {"2": {"quality": 5}}}, "ratings"),
        ({"ratings": {"²": {"quality": 5}}}, "ratings"),
        ({"ratings": {"0": {"beauty": 5}}}, "ratings"),
        ({"confidence": 4}, "confidence"),
        ({"confidence": 0}, "confidence"),
        ({"strength": 4}, "strength"),
        ({"strength": 0}, "strength"),
        ({"comment": "a\x00b"}, "comment"),
        ({"comment": "\ud800"}, "comment"),
        ({"own_text": "x" * 100_001}, "own_text"),
        ({"verdict": "unrankable", "unrankable_reason": "x" * 501}, "unrankable_reason"),
        ({"verdict": "unrankable", "unrankable_reason": " "}, "unrankable_reason"),
    ],
)
def test_what_can_not_be_taken_is_named(said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check([0], [1], **said)
    assert list(caught.value.errors) == [field]


@pytest.mark.parametrize(("scale", "top"), [(3, 3), (9, 4)])
def test_strength_has_the_project_s_own_scale(scale: int, top: int) -> None:
    asked = Asked(strength_scale=scale)
    for strength in range(1, top + 1):
        check([0], [1], asked=asked, strength=strength)
    with pytest.raises(InvalidInput, match=f"from 1 to {top}"):
        check([0], [1], asked=asked, strength=top + 1)


@pytest.mark.parametrize(
    ("tiers", "said"),
    [
        ([[0, 1]], {}),
        ([], {"verdict": "both_bad"}),
        ([], {"verdict": "unrankable", "unrankable_reason": "nonsense"}),
        ([[0], [1], [2]], {"order": (0, 1, 2)}),
        ([[OWN], [0, 1]], {"own_text": "Mine."}),
        ([[0], [1]], {"asked": Asked()}),
    ],
    ids=["tie", "both bad", "unrankable", "three", "own above a tie", "not asked"],
)
def test_strength_is_taken_only_where_one_of_two_is_better(tiers: Any, said: Any) -> None:
    check(*tiers, **said)
    with pytest.raises(InvalidInput) as caught:
        check(*tiers, strength=1, **said)
    assert list(caught.value.errors) == ["strength"]


def test_page_must_answer_what_the_project_asks() -> None:
    check([0], [1], complete=True, ratings=RATED, confidence=2, strength=1)
    with pytest.raises(InvalidInput) as caught:
        check([0], [1], complete=True, ratings={"0": {"quality": 6}, "1": {"flags": ["rude"]}})
    assert set(caught.value.errors) == {"quality-1", "strength", "confidence"}
    assert "Rate the quality of each reply" in caught.value.message


def test_what_the_project_asks_may_be_left_out_by_programs() -> None:
    assert check([0], [1]).ratings == {}


def test_verdicts_without_an_order_are_asked_less() -> None:
    """Replies that are all bad are rated nevertheless; of what can't be ranked nothing is asked."""
    check(complete=True, verdict="both_bad", ratings=RATED, confidence=3)
    with pytest.raises(InvalidInput) as caught:
        check(complete=True, verdict="both_bad")
    assert set(caught.value.errors) == {"quality-0", "quality-1", "confidence"}
    check(complete=True, verdict="unrankable", unrankable_reason="nonsense")


def test_strength_is_not_asked_of_ties_of_more_than_two_and_beside_a_written_reply() -> None:
    asked = Asked(strength_scale=9, demonstrations=True)
    check([0, 1], asked=asked, complete=True)
    check([0], [1], [2], asked=asked, order=(2, 0, 1), complete=True)
    check([OWN], [0], [1], asked=asked, complete=True, own_text="Mine.")


def test_written_reply_is_slot_k_and_ranked_with_the_others() -> None:
    """By the page it is OWN, by the API position K; both become slot 2 of K = 2."""
    for own in (OWN, 2):
        checked = check([own], [0], [1], own_text="\nMine.\r\n\n")
        assert checked.tiers == [[2], [1], [0]]
        assert checked.own_text == "Mine."
    assert check([OWN, 0, 1], own_text="Mine.").verdict == "tie"


def test_written_reply_goes_with_verdicts_without_an_order() -> None:
    checked = check(verdict="both_bad", own_text="Better so.")
    assert (checked.tiers, checked.own_text) == ([], "Better so.")


@pytest.mark.parametrize(
    ("tiers", "said", "error", "field"),
    [
        ([[0], [1]], {"own_text": "Mine."}, InvalidRanking, "tiers"),
        ([[OWN], [0], [1]], {"own_text": " \n"}, InvalidRanking, "own_text"),
        ([[2], [0], [1]], {}, InvalidRanking, "tiers"),
        ([[OWN], [2], [0], [1]], {"own_text": "Mine."}, InvalidRanking, "tiers"),
        ([[OWN], [0], [1]], {"own_text": "Mine.", "asked": Asked()}, InvalidInput, "own_text"),
    ],
    ids=["not placed", "placed and not written", "position K", "twice", "not asked"],
)
def test_written_reply_that_can_not_be_taken(
    tiers: Any, said: Any, error: type[InvalidInput], field: str
) -> None:
    with pytest.raises(error) as caught:
        check(*tiers, **said)
    assert list(caught.value.errors) == [field]
