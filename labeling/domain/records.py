"""One JSON line <-> one prompt with its replies, ranked or not: the project's K-way format.

A line of an import holds `prompt` and one of `responses`, `ranked_responses`, `demonstrations`:

    {"prompt": "..." | [messages], "responses": [{"text", "model", "sampling"}]}
    {"prompt": ..., "ranked_responses": [{"rank": 0, "text", "model", "sampling"}, ...]}
    {"prompt": ..., "demonstrations": ["..."]}

with, optionally, `external_id`, `author` (the key by which data is split) and `tags`. An export
adds who judged, when and how (`JudgementRecord`), under names that an import understands again.
A reply that the annotator wrote while judging stands last and says `"written": true`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labeling.domain.content import (
    ContentError,
    Message,
    content_hash,
    parse_prompt,
    parse_reply,
    reply_text,
)
from labeling.domain.fields import (
    MAX_NUMBER,
    MAX_SMALL,
    RecordError,
    list_of,
    load_object,
    moment_of,
    name_of,
    number_of,
    object_of,
    text_field,
)
from labeling.domain.rankings import Tiers, tiers_from_ranks
from labeling.domain.sentences import sentence as _

__all__ = [
    "JudgementRecord",
    "Record",
    "RecordError",
    "Reply",
    "Source",
    "parse_line",
    "to_line",
    "to_row",
]

SoftLabel = tuple[int, int, float]
"""Two replies by their places, and how likely the first is the better one."""
VERDICTS = ("ranked", "tie", "both_bad", "unrankable")
ORDERED = {"ranked", "tie"}
MIN_RANKED, MAX_RANKED = 2, 9


@dataclass(frozen=True)
class Source:
    """How a reply came to be: the model's name and its sampling settings, as they were given."""

    model: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One distinct reply with all its sources; `rank` is None where nothing is ranked.

    A reply that was written while judging has no source but the annotator.
    """

    messages: list[Message]
    sources: tuple[Source, ...]
    rank: float | None = None
    written: bool = False


@dataclass(frozen=True)
class JudgementRecord:
    """Who judged, when and how: what a full export says of a ranking beside the order.

    `soft` holds an AI judge's labels of pairs, where it gave any.
    """

    judgement_id: str | None = None
    comparison_id: str | None = None
    annotator: str | None = None
    annotator_kind: str | None = None
    origin: str | None = None
    verdict: str = "ranked"
    unrankable_reason: str = ""
    strength: int | None = None
    confidence: int | None = None
    comment: str = ""
    ratings: Mapping[str, Any] = field(default_factory=dict)
    shown_order: tuple[int, ...] = ()
    active_ms: int | None = None
    guideline_version: int | None = None
    created_at: str | None = None
    soft: tuple[SoftLabel, ...] = ()


@dataclass(frozen=True)
class Record:
    """One line, understood. `judgement` is None where the replies are not ranked."""

    prompt: list[Message]
    replies: tuple[Reply, ...] = ()
    demonstrations: tuple[list[Message], ...] = ()
    external_id: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    judgement: JudgementRecord | None = None

    @property
    def shown(self) -> tuple[Reply, ...]:
        """The replies that were there to be judged: all but one that was written meanwhile."""
        return tuple(reply for reply in self.replies if not reply.written)

    @property
    def written(self) -> Reply | None:
        """The reply that the annotator wrote, None where there is none."""
        return next((reply for reply in self.replies if reply.written), None)

    @property
    def tiers(self) -> Tiers:
        """The ranking over the replies as slots; empty where there is none."""
        ranks = [reply.rank for reply in self.replies]
        if self.judgement is None or self.judgement.verdict not in ORDERED:
            return []
        return tiers_from_ranks([rank for rank in ranks if rank is not None])


def parse_line(line: str) -> Record:
    """Return the record of one JSON line.

    Raises RecordError, which names the field and says what would be right.
    """
    return _record(load_object(line))


def _record(value: dict[str, Any]) -> Record:
    if "prompt" not in value:
        raise RecordError("prompt", _("is missing."))
    try:
        prompt = parse_prompt(value["prompt"])
        replies, judgement = _replies_of(value)
        demonstrations = tuple(
            parse_reply(item, f"demonstrations[{n}]")
            for n, item in enumerate(list_of(value, "demonstrations"))
        )
    except ContentError as error:
        raise RecordError(error.field, error.reason) from None
    return Record(
        prompt=prompt,
        replies=replies,
        demonstrations=demonstrations,
        external_id=text_field(value, "external_id", 200),
        author=text_field(value, "author", 200),
        tags=tuple(_tags(value)),
        judgement=judgement,
    )


def _replies_of(value: dict[str, Any]) -> tuple[tuple[Reply, ...], JudgementRecord | None]:
    """Return the replies and, where they are ranked or a verdict is given, the judgement."""
    if "responses" in value and "ranked_responses" in value:
        raise RecordError("ranked_responses", _("stands beside `responses`: give one of the two."))
    if "ranked_responses" in value:
        replies = _distinct(list_of(value, "ranked_responses"), "ranked_responses", ranked=True)
        _check_count(replies, "ranked_responses")
        return replies, _judgement(value, "ranked", replies)
    replies = _distinct(list_of(value, "responses"), "responses", ranked=False)
    if value.get("verdict") is None:
        if any(reply.written for reply in replies):
            raise RecordError("responses", _("`written` is said of a reply in a judgement alone."))
        return replies, None
    _check_count(replies, "responses")
    return replies, _judgement(value, "", replies)


def _check_count(replies: tuple[Reply, ...], name: str) -> None:
    shown = sum(not reply.written for reply in replies)
    if not MIN_RANKED <= shown <= MAX_RANKED:
        raise RecordError(
            name,
            _(
                "holds {shown} distinct replies: a judgement is about {least} to {most}.",
                shown=shown,
                least=MIN_RANKED,
                most=MAX_RANKED,
            ),
        )
    if any(reply.written for reply in replies[:-1]):
        raise RecordError(name, _("a written reply stands last, and there is one at most."))


def _distinct(items: list[Any], name: str, *, ranked: bool) -> tuple[Reply, ...]:
    """Return the distinct replies; repeats of a text become further sources of the first."""
    found: dict[str, Reply] = {}
    for number, item in enumerate(items):
        where = f"{name}[{number}]"
        reply = _reply(item, where, ranked=ranked)
        key = content_hash(reply.messages)
        if key in found:
            first = found[key]
            if first.rank != reply.rank:
                raise RecordError(
                    where, _("is the same text as an earlier reply with another rank.")
                )
            if reply.written:
                raise RecordError(
                    where, _("is the same text as an earlier reply, and yet written.")
                )
            reply = Reply(first.messages, first.sources + reply.sources, first.rank)
        found[key] = reply
    return tuple(found.values())


def _reply(item: Any, where: str, *, ranked: bool) -> Reply:
    if isinstance(item, str) and not ranked:
        item = {"text": item}
    if not isinstance(item, dict):
        raise RecordError(where, _("must be an object with the field `text`."))
    if "text" not in item and "messages" not in item:
        raise RecordError(where, _("needs the field `text`."))
    rank = _rank(item, where) if ranked else None
    if _is_written(item, where):
        messages = parse_reply(item.get("messages", item.get("text")), where)
        return Reply(messages, (), rank, written=True)
    sources = [_source(item, where)]
    sources += [_source(other, where) for other in list_of(item, "other_sources")]
    return Reply(parse_reply(item.get("messages", item.get("text")), where), tuple(sources), rank)


def _is_written(item: dict[str, Any], where: str) -> bool:
    written = item.get("written", False)
    if not isinstance(written, bool):
        raise RecordError(f"{where}.written", _("must be true or false."))
    if written and any(item.get(name) for name in ("model", "sampling", "other_sources")):
        raise RecordError(f"{where}.written", _("is said of a person's reply: no model made it."))
    return written


def _rank(item: dict[str, Any], where: str) -> float:
    rank = item.get("rank")
    if isinstance(rank, bool) or not isinstance(rank, int | float) or abs(rank) > MAX_NUMBER:
        raise RecordError(f"{where}.rank", _("must be a number, 0 for the best."))
    return rank


def _source(item: dict[str, Any], where: str) -> Source:
    if not isinstance(item, dict):
        raise RecordError(f"{where}.other_sources", _("must hold objects."))
    model = text_field(item, "model", 200)
    try:
        return Source(model, object_of(item, "sampling"))
    except RecordError:
        raise RecordError(f"{where}.sampling", _("must be an object of settings.")) from None


def _judgement(
    value: dict[str, Any], default_verdict: str, replies: tuple[Reply, ...]
) -> JudgementRecord:
    return JudgementRecord(
        judgement_id=name_of(value, "judgement_id", 64),
        comparison_id=name_of(value, "comparison_id", 64),
        annotator=name_of(value, "annotator", 64),
        annotator_kind=name_of(value, "annotator_kind", 32),
        origin=name_of(value, "origin", 32),
        verdict=_verdict(value, default_verdict, replies),
        unrankable_reason=text_field(value, "unrankable_reason", 500),
        strength=number_of(value, "strength", MAX_SMALL),
        confidence=number_of(value, "confidence", MAX_SMALL),
        comment=text_field(value, "comment", 20_000),
        ratings=object_of(value, "ratings"),
        shown_order=_shown_order(value, sum(not reply.written for reply in replies)),
        active_ms=number_of(value, "active_ms", MAX_NUMBER),
        guideline_version=number_of(value, "guideline_version", MAX_NUMBER),
        created_at=moment_of(value, "created_at"),
        soft=tuple(_soft(value, len(replies))),
    )


def _soft(value: dict[str, Any], count: int) -> list[SoftLabel]:
    """Return the soft labels of a line; their places count the replies as they stand there."""
    rows = list_of(value, "soft")
    if rows and len(list_of(value, "ranked_responses")) != count:
        raise RecordError("soft", _("needs replies that differ: a text stands twice."))
    found = []
    for row in rows:
        whole = isinstance(row, list) and len(row) == 3 and set(map(type, row)) <= {int, float}
        first, second, chance = row if whole else (0, 0, 0)
        if not (first != second and {first, second} <= set(range(count)) and 0 <= chance <= 1):
            reason = _("must hold [reply, other reply, probability that the first is better].")
            raise RecordError("soft", reason)
        found.append((int(first), int(second), float(chance)))
    return found


def _verdict(value: dict[str, Any], default: str, replies: tuple[Reply, ...]) -> str:
    found = value.get("verdict")
    verdict = default if found is None else found
    if verdict not in VERDICTS:
        known = ", ".join(VERDICTS)
        reason = _("{verdict} is none of {known}.", verdict=repr(verdict), known=known)
        raise RecordError("verdict", reason)
    if (verdict in ORDERED) != ("ranked_responses" in value):
        needed = "ranked_responses" if verdict in ORDERED else "responses"
        reason = _(
            "{verdict} needs its replies in `{needed}`.", verdict=repr(verdict), needed=needed
        )
        raise RecordError("verdict", reason)
    if verdict == "tie" and len({reply.rank for reply in replies}) > 1:
        raise RecordError("verdict", _("'tie' needs equal ranks: write 'ranked', or leave it out."))
    return str(verdict)


def _shown_order(value: dict[str, Any], count: int) -> tuple[int, ...]:
    order = list_of(value, "shown_order")
    whole = all(isinstance(slot, int) and not isinstance(slot, bool) for slot in order)
    if order and not (whole and sorted(order) == list(range(count))):
        raise RecordError(
            "shown_order", _("must name each reply from 0 to {last} once.", last=count - 1)
        )
    return tuple(order)


def _tags(value: Mapping[str, Any]) -> list[str]:
    tags = list_of(value, "tags")
    if any(not isinstance(tag, str) or not tag.strip() or len(tag) > 60 for tag in tags):
        raise RecordError("tags", _("must be texts of 1 to 60 characters."))
    return sorted({tag.strip() for tag in tags})


def to_row(record: Record) -> dict[str, Any]:
    """Return the full K-way row of a record: the import format plus who judged, when and how."""
    row: dict[str, Any] = {
        "external_id": record.external_id or None,
        "author": record.author or None,
        "tags": list(record.tags),
        "prompt": [_message_row(message) for message in record.prompt],
    }
    if record.demonstrations:
        row["demonstrations"] = [_turn(messages) for messages in record.demonstrations]
    if record.judgement is None:
        row["responses"] = [_reply_row(reply) for reply in record.replies]
        return row
    judgement = record.judgement
    ranked = judgement.verdict in ORDERED
    row["ranked_responses" if ranked else "responses"] = [_reply_row(r) for r in record.replies]
    for name in JudgementRecord.__dataclass_fields__:
        found = getattr(judgement, name)
        if name == "soft" and not found:  # lines that were hashed before there were any stay
            continue
        row[name] = list(found) if isinstance(found, tuple) else found
    row["ratings"] = dict(judgement.ratings)
    return row


def _message_row(message: Message) -> dict[str, Any]:
    """Return a message with plain text, or with its parts where it has more than one."""
    parts = message["content"]
    content = parts[0]["text"] if len(parts) == 1 else parts
    return {"role": message["role"], "content": content}


def _turn(messages: list[Message]) -> str | list[dict[str, Any]]:
    """Return an assistant turn as plain text where a text says it all."""
    rows = [_message_row(message) for message in messages]
    content = rows[0]["content"]
    return content if len(rows) == 1 and isinstance(content, str) else rows


def _reply_row(reply: Reply) -> dict[str, Any]:
    first, *others = reply.sources or (Source(),)
    row: dict[str, Any] = {"text": reply_text(reply.messages)}
    row |= (
        {"written": True}
        if reply.written
        else {"model": first.model, "sampling": dict(first.sampling)}
    )
    turn = _turn(reply.messages)
    if not isinstance(turn, str):
        row["messages"] = turn
    if reply.rank is not None:
        row["rank"] = int(reply.rank) if float(reply.rank).is_integer() else reply.rank
    if others:
        row["other_sources"] = [{"model": s.model, "sampling": dict(s.sampling)} for s in others]
    return row


def to_line(row: Mapping[str, Any]) -> str:
    """Return the canonical JSON line of a row: sorted keys, no spaces, no escapes; it is hashed."""
    return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
