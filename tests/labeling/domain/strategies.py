"""Random weak orders and random records, for properties."""

from typing import Any

from hypothesis import strategies as st

from labeling.domain.content import content_hash
from labeling.domain.rankings import Tiers, tiers_from_ranks
from labeling.domain.records import JudgementRecord, Record, Reply, Source

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40
)
NAME = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=12)
_SETTINGS = st.dictionaries(NAME, st.none() | st.booleans() | st.integers() | TEXT, max_size=3)


@st.composite
def weak_orders(draw: st.DrawFn, min_size: int = 1, max_size: int = 9) -> Tiers:
    """Draw tiers over K slots, ties likely."""
    count = draw(st.integers(min_size, max_size))
    ranks = st.integers(0, count - 1)
    return tiers_from_ranks(draw(st.lists(ranks, min_size=count, max_size=count)))


def _message(role: str) -> st.SearchStrategy[dict[str, Any]]:
    part = st.fixed_dictionaries({"type": st.just("text"), "text": TEXT})
    return st.fixed_dictionaries(
        {"role": st.just(role), "content": st.lists(part, min_size=1, max_size=2)}
    )


def _turns() -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(_message("assistant"), min_size=1, max_size=2)


@st.composite
def prompts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a conversation whose last message is the user's and holds visible text."""
    before = draw(st.lists(st.sampled_from(["system", "user", "assistant"]), max_size=3))
    messages = [draw(_message(role)) for role in before]
    last = {"role": "user", "content": [{"type": "text", "text": "Q " + draw(TEXT)}]}
    return [*messages, last]


@st.composite
def records(draw: st.DrawFn, *, judged: bool) -> Record:
    """Draw a record of distinct replies, ranked or not, with every optional field in play."""
    turns = draw(st.lists(_turns(), min_size=2, max_size=5, unique_by=content_hash))
    source = st.builds(Source, model=st.just("") | NAME, sampling=_SETTINGS)
    sources = [tuple(draw(st.lists(source, min_size=1, max_size=2))) for _ in turns]
    verdict = draw(st.sampled_from(["ranked", "tie", "both_bad", "unrankable"]))
    ranks: list[Any] = [None] * len(turns)
    if judged and verdict in {"ranked", "tie"}:
        top = 0 if verdict == "tie" else 3
        ranks = [draw(st.integers(0, top)) for _ in turns]
    written = judged and len(turns) > 2 and draw(st.booleans())
    judgement = draw(_judgements(verdict, len(turns) - written)) if judged else None
    replies = [Reply(*row) for row in zip(turns, sources, ranks, strict=True)]
    if written:
        replies[-1] = Reply(turns[-1], (), ranks[-1], written=True)
    return Record(
        prompt=draw(prompts()),
        replies=tuple(replies),
        demonstrations=tuple(draw(st.lists(_turns(), max_size=2))),
        external_id=draw(st.just("") | NAME),
        author=draw(st.just("") | NAME),
        tags=tuple(sorted(draw(st.sets(NAME, max_size=3)))),
        judgement=judgement,
    )


def _judgements(verdict: str, count: int) -> st.SearchStrategy[JudgementRecord]:
    small = st.none() | st.integers(0, 9)
    return st.builds(
        JudgementRecord,
        judgement_id=st.none() | NAME,
        comparison_id=st.none() | NAME,
        annotator=st.none() | NAME,
        annotator_kind=st.none() | NAME,
        origin=st.none() | NAME,
        verdict=st.just(verdict),
        unrankable_reason=st.just("") | TEXT,
        strength=small,
        confidence=small,
        comment=st.just("") | TEXT,
        ratings=st.dictionaries(st.sampled_from("0123"), _SETTINGS, max_size=2),
        shown_order=st.just(()) | st.permutations(range(count)).map(tuple),
        active_ms=st.none() | st.integers(0, 2**31 - 1),
        guideline_version=small,
        created_at=st.none() | st.datetimes().map(lambda moment: moment.isoformat()),
    )
