"""The protocol of chat completions: what is sent, and what an answer must look like.

What comes back is read as if it were hostile: each part is looked at before it is used, and a part
that is not what the protocol says makes the answer nonsense.

Pure: no Django, no torch.
Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeling.domain.sentences import sentence as _
from training.endpoints.errors import Dropped, Nonsense

Messages = Sequence[Mapping[str, Any]]
SHOWN = 120
"""So many characters of what a server said are shown in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One reply to ask for. `top_k` 0 and a `seed` of None are left out of the request."""

    messages: Messages
    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token of a reply with its log-probability in nats, and the likeliest ones in its place."""

    text: str
    logprob: float
    alternatives: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server replied. Counts are None where it does not say them; `tokens` is empty where
    it gives no log-probabilities."""

    text: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens: tuple[Token, ...] = ()
    model: str = ""
    tries: int = 1

    @property
    def logprob(self) -> float | None:
        """Sum of the tokens' log-probabilities in nats, where the server gives them."""
        return math.fsum(token.logprob for token in self.tokens) if self.tokens else None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a streamed reply; the last one has a `finish_reason`, and counts where given.

    One that holds nothing is a sign of life of a server that has nothing to say yet.
    """

    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def body_of(ask: Ask, model: str, *, limit_name: str, stream: bool) -> dict[str, Any]:
    """Return the request's body; what is left at its default is not sent, as few know it all."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [dict(message) for message in ask.messages],
        limit_name: ask.max_new_tokens,
        "temperature": ask.temperature,
    }
    optional = {
        "top_p": ask.top_p if ask.top_p < 1 else None,
        "top_k": ask.top_k or None,
        "seed": ask.seed,
        "stop": list(ask.stop) or None,
        "logprobs": ask.logprobs or None,
        "top_logprobs": (ask.top_logprobs or None) if ask.logprobs else None,
        "stream": stream or None,
        "stream_options": {"include_usage": True} if stream else None,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def shown(text: str) -> str:
    """Return the beginning of what a server said, as a sentence can quote it."""
    flat = " ".join(text.split())
    return repr(flat[:SHOWN] + ("…" if len(flat) > SHOWN else ""))


def read_json(raw: bytes) -> Any:
    """Return what a body says. Raises Nonsense for anything but JSON."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Nonsense(
            _(
                "The server answered with something other than JSON ({start}): check that the base "
                "URL leads to an OpenAI-compatible API, mostly one that ends in /v1.",
                start=shown(raw[:1000].decode("utf-8", "replace")),
            )
        ) from None


def read_reply(raw: bytes) -> Reply:
    """Return the reply in the body of a chat completion. Raises Nonsense."""
    body = _object(read_json(raw), "answer")
    choice = _choice(body)
    message = _object(choice.get("message"), "message")
    prompt, completion = _usage(body)
    return Reply(
        text=_text(message.get("content"), "content"),
        finish_reason=_text(choice.get("finish_reason"), "finish_reason")[:40],
        prompt_tokens=prompt,
        completion_tokens=completion,
        tokens=_tokens(choice.get("logprobs")),
        model=_text(body.get("model"), "model")[:200],
    )


def read_piece(raw: bytes) -> Piece:
    """Return the piece in the data of one event of a stream. Raises Nonsense, and Dropped where
    the server says within the stream that it failed."""
    body = _object(read_json(raw), "event")
    if body.get("error"):
        raise Dropped(
            _(
                "The server failed in the middle of its answer ({said}): try again, or look into "
                "the server's log.",
                said=shown(said_in(raw)),
            )
        )
    prompt, completion = _usage(body)
    if body.get("choices") == []:  # the last event, which holds the counts alone
        return Piece(prompt_tokens=prompt, completion_tokens=completion)
    choice = _choice(body)
    delta = _object(choice.get("delta"), "delta")
    return Piece(
        text=_text(delta.get("content"), "content"),
        finish_reason=_text(choice.get("finish_reason"), "finish_reason")[:40],
        prompt_tokens=prompt,
        completion_tokens=completion,
    )


def events(chunks: Iterable[bytes]) -> Iterator[bytes | None]:
    """Yield the data of each server-sent event, the closing `[DONE]` among them.

    None stands for a comment, by which a server says that it is still there.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            name, colon, data = line.partition(b":")
            if name == b"data":
                yield data.strip()
            elif colon and not name:
                yield None


def said_in(raw: bytes) -> str:
    """Return the message in the body of a refusal, else the beginning of the body."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return raw[:1000].decode("utf-8", "replace")
    error = body.get("error", body) if isinstance(body, dict) else body
    said = error.get("message", error) if isinstance(error, dict) else error
    return said if isinstance(said, str) else json.dumps(said)[:1000]


def read_models(raw: bytes) -> list[str]:
    """Return the names in the body of a list of models. Raises Nonsense."""
    rows = _object(read_json(raw), "answer").get("data")
    if not isinstance(rows, list):
        raise _wrong("data")
    return [_text(_object(row, "data").get("id"), "id") for row in rows]


def _wrong(part: str) -> Nonsense:
    return Nonsense(
        _(
            "The server's answer holds no usable {part}: check that the base URL leads to an "
            "OpenAI-compatible API.",
            part=part,
        )
    )


def _object(value: Any, part: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(part)
    return value


def _text(value: Any, part: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(part)
    # Half of a surrogate pair, and a NUL, can't be stored by anybody.
    return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _wrong("choices")
    return _object(choices[0], "choices")


def _usage(body: dict[str, Any]) -> tuple[int | None, int | None]:
    usage = body.get("usage")
    if usage is None:
        return None, None
    given = _object(usage, "usage")
    return _count(given.get("prompt_tokens")), _count(given.get("completion_tokens"))


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise _wrong("usage")
    return value


def _tokens(value: Any) -> tuple[Token, ...]:
    rows = _object(value, "logprobs").get("content") if value is not None else None
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise _wrong("logprobs")
    return tuple(_token(_object(row, "logprobs")) for row in rows)


def _token(row: dict[str, Any]) -> Token:
    others = row.get("top_logprobs") or []
    if not isinstance(others, list):
        raise _wrong("top_logprobs")
    found = [_object(other, "top_logprobs") for other in others]
    return Token(
        text=_text(row.get("token"), "token"),
        logprob=_logprob(row.get("logprob")),
        alternatives={
            _text(one.get("token"), "token"): _logprob(one.get("logprob")) for one in found
        },
    )


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong("logprobs")
    if not value <= 1e-3:  # also for what is no number
        raise _wrong("logprobs")
    return float(max(value, -9999))  # as servers write a token of no probability at all
