"""One line <-> one record: what is written is read back equal; what is wrong is named."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from labeling.domain.records import (
    JudgementRecord,
    Record,
    RecordError,
    Reply,
    Source,
    parse_line,
    to_line,
    to_row,
)
from tests.labeling.domain.strategies import records

_slow_to_draw = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def _line(**fields: Any) -> str:
    return json.dumps({"prompt": "Q?", **fields})


def _ranked(*ranks: Any) -> list[dict[str, Any]]:
    return [{"text": f"reply {n}", "rank": rank} for n, rank in enumerate(ranks)]


@_slow_to_draw
@given(records(judged=True))
def test_round_trip_of_judged_records(record: Record) -> None:
    assert parse_line(to_line(to_row(record))) == record


@_slow_to_draw
@given(records(judged=False))
def test_round_trip_of_unjudged_records(record: Record) -> None:
    assert parse_line(to_line(to_row(record))) == record


@_slow_to_draw
@given(records(judged=True))
def test_rows_are_equal_after_a_second_trip(record: Record) -> None:
    row = to_row(record)
    assert to_row(parse_line(to_line(row))) == row


def test_parse_line_of_plain_responses() -> None:
    line = _line(
        responses=["a", {"text": "b", "model": "m", "sampling": {"seed": 1}}, {"text": "a"}],
        tags=[" y ", "x", "y"],
        external_id=7,
        author="p",
    )
    record = parse_line(line)
    assert [reply.sources for reply in record.replies] == [
        (Source(), Source()),
        (Source("m", {"seed": 1}),),
    ]
    assert (record.tags, record.external_id, record.author) == (("x", "y"), "7", "p")
    assert record.judgement is None
    assert record.tiers == []


def test_parse_line_of_ranked_responses() -> None:
    """Ranks 2, 0, 2, 1 of replies 0 to 3: reply 1, then 3, then 0 and 2 together."""
    record = parse_line(_line(ranked_responses=_ranked(2, 0, 2, 1)))
    assert record.tiers == [[1], [3], [0, 2]]
    assert record.judgement == JudgementRecord()


def test_parse_line_of_demonstrations() -> None:
    record = parse_line(_line(demonstrations=["Do so."]))
    assert record.demonstrations == (
        [{"role": "assistant", "content": [{"type": "text", "text": "Do so."}]}],
    )


def test_parse_line_of_a_reply_that_was_written_while_judging() -> None:
    """It is not among those that were shown, and has a rank beside them: it is slot 2 of K = 2."""
    ranked = [*_ranked(1, 2), {"text": "mine", "rank": 0, "written": True}]
    record = parse_line(_line(ranked_responses=ranked, shown_order=[1, 0]))
    assert record.tiers == [[2], [0], [1]]
    assert [reply.written for reply in record.replies] == [False, False, True]
    assert record.written == record.replies[2]
    assert len(record.shown) == 2
    assert record.replies[2].sources == ()
    bad = [{"text": "a"}, {"text": "b"}, {"text": "mine", "written": True}]
    assert parse_line(_line(responses=bad, verdict="both_bad")).written is not None


@pytest.mark.parametrize("verdict", ["both_bad", "unrankable"])
def test_a_verdict_without_an_order_has_no_tiers(verdict: str) -> None:
    record = parse_line(_line(responses=["a", "b"], verdict=verdict))
    assert record.judgement is not None
    assert record.judgement.verdict == verdict
    assert record.tiers == []


def test_to_row_writes_a_fractional_rank_and_an_unknown_source() -> None:
    turn = [{"role": "assistant", "content": [{"type": "text", "text": "a"}]}]
    record = Record(
        prompt=[{"role": "user", "content": [{"type": "text", "text": "Q"}]}],
        replies=(Reply(turn, (), 0.5), Reply(turn, (), 2.0)),
        judgement=JudgementRecord(),
    )
    assert [(r["rank"], r["model"]) for r in to_row(record)["ranked_responses"]] == [
        (0.5, ""),
        (2, ""),
    ]


def test_to_line_is_canonical() -> None:
    assert to_line({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'


@pytest.mark.parametrize(
    ("line", "field", "said"),
    [
        ("{", "line", "is no JSON: .* at column 2"),
        ("[]", "line", "one JSON object"),
        ("[" * 100_000, "line", "nested too deeply"),
        ('{"prompt": 1' + "0" * 5000 + "}", "line", "too many digits"),
        ('{"prompt": NaN}', "line", "NaN"),
        ('{"prompt": "a", "x": [1e999]}', "line", "1e999"),
        ("{}", "prompt", "missing"),
        ('{"prompt": ""}', "prompt", "holds no text"),
        (_line(author="a\x00b"), "author", "NUL"),
        (_line(responses=[{"text": "a", "sampling": {"k\x00": [1]}}]), "responses", "NUL"),
        (_line(comment={"a": ["\ud800"]}), "comment", "surrogate"),
        (_line(responses="a"), "responses", "must be a list"),
        (_line(responses=[1]), "responses[0]", "an object with the field `text`"),
        (_line(responses=[{}]), "responses[0]", "needs the field `text`"),
        (_line(responses=[{"text": 3}]), "responses[0]", "a text or a list"),
        (_line(responses=[{"text": "a", "sampling": 3}]), "responses[0].sampling", "an object"),
        (_line(responses=[{"text": "a", "model": True}]), "model", "must be a text"),
        (
            _line(responses=[{"text": "a", "other_sources": [1]}]),
            "responses[0].other_sources",
            "objects",
        ),
        (
            _line(responses=["a"], ranked_responses=_ranked(0, 1)),
            "ranked_responses",
            "one of the two",
        ),
        (_line(ranked_responses=_ranked(0)), "ranked_responses", "1 distinct replies"),
        (_line(ranked_responses=_ranked(*range(10))), "ranked_responses", "10 distinct"),
        (_line(ranked_responses=["a", "b"]), "ranked_responses[0]", "must be an object"),
        (_line(ranked_responses=_ranked(0, None)), "ranked_responses[1].rank", "a number"),
        (_line(ranked_responses=_ranked(0, True)), "ranked_responses[1].rank", "a number"),
        (_line(ranked_responses=_ranked(0, 10**400)), "ranked_responses[1].rank", "a number"),
        (
            _line(ranked_responses=[{"text": "a", "rank": 0}, {"text": "a", "rank": 1}]),
            "ranked_responses[1]",
            "another rank",
        ),
        (_line(responses=["a", {"text": "b", "written": True}]), "responses", "in a judgement"),
        (_line(responses=[{"text": "b", "written": 1}]), "responses[0].written", "true or false"),
        (
            _line(responses=[{"text": "b", "written": True, "model": "m"}]),
            "responses[0].written",
            "no model made it",
        ),
        (
            _line(ranked_responses=[{"text": "b", "rank": 0, "written": True}, *_ranked(0, 1)]),
            "ranked_responses",
            "stands last",
        ),
        (
            _line(ranked_responses=[*_ranked(0), {"text": "b", "rank": 0, "written": True}]),
            "ranked_responses",
            "1 distinct",
        ),
        (
            _line(ranked_responses=[*_ranked(0), {"text": "reply 0", "rank": 0, "written": True}]),
            "ranked_responses[1]",
            "and yet written",
        ),
        (_line(responses=["a", "b"], verdict="so-so"), "verdict", "is none of"),
        (_line(responses=["a", "b"], verdict=["tie"]), "verdict", "is none of"),
        (_line(responses=["a", "b"], verdict="ranked"), "verdict", "`ranked_responses`"),
        (_line(ranked_responses=_ranked(0, 1), verdict="both_bad"), "verdict", "`responses`"),
        (_line(ranked_responses=_ranked(0, 1), verdict="tie"), "verdict", "equal ranks"),
        (_line(responses=["a"], verdict="both_bad"), "responses", "1 distinct"),
        (_line(ranked_responses=_ranked(0, 1), shown_order=[0, 0]), "shown_order", "0 to 1 once"),
        (_line(ranked_responses=_ranked(0, 1), shown_order=[0, True]), "shown_order", "once"),
        (_line(ranked_responses=_ranked(0, 1), shown_order=["0", 1]), "shown_order", "once"),
        (_line(ranked_responses=_ranked(0, 1), strength=-1), "strength", "from 0 to 32767"),
        (_line(ranked_responses=_ranked(0, 1), confidence=10**6), "confidence", "to 32767"),
        (_line(ranked_responses=_ranked(0, 1), active_ms=1.5), "active_ms", "whole number"),
        (_line(ranked_responses=_ranked(0, 1), ratings=[1]), "ratings", "must be an object"),
        (_line(ranked_responses=_ranked(0, 1), annotator=[1]), "annotator", "must be a text"),
        (_line(ranked_responses=_ranked(0, 1), created_at="soon"), "created_at", "a moment"),
        (_line(external_id="x" * 201), "external_id", "longer than 200"),
        (_line(tags=["ok", " "]), "tags", "1 to 60 characters"),
        (_line(demonstrations=[{"a": 1}]), "demonstrations[0]", "a text or a list"),
    ],
)
def test_parse_line_refuses_and_names_the_field(line: str, field: str, said: str) -> None:
    with pytest.raises(RecordError, match=said) as caught:
        parse_line(line)
    assert caught.value.field == field
