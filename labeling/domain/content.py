"""Chat messages with content parts: one canonical form, one hash.

Canonical: `[{"role": "user", "content": [{"type": "text", "text": "..."}]}]`. Input may give a
plain string as content; files and tool calls have their place in the form as parts to come.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from labeling.domain.sentences import sentence as _

ROLES = ("system", "user", "assistant")
# Names that other projects' files use for the same three roles.
_ROLE_NAMES = {"human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant"}

Message = dict[str, Any]


class ContentError(ValueError):
    """The value is no list of chat messages. `field` names the part at fault, `reason` says why."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(f"{field_name}: {reason}")
        self.field = field_name
        self.reason = reason


def _parts(content: Any, where: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise ContentError(where, _("content must be a text or a list of content parts."))
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            raise ContentError(where, _("only text parts are understood so far."))
        if not isinstance(part.get("text"), str):
            raise ContentError(where, _("a text part needs the field `text`."))
        check_text(part["text"], where)
    return [{"type": "text", "text": part["text"]} for part in content]


def check_text(text: str, where: str) -> None:
    """Raise ContentError for a text that no database text can keep."""
    if "\x00" in text:
        raise ContentError(where, _("holds a NUL character, which no database text can keep."))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ContentError(where, _("holds half of a surrogate pair; re-encode it.")) from None


def parse_messages(value: Any, where: str = "prompt") -> list[Message]:
    """Return the canonical messages of a plain text or of a list of `{"role", "content"}`.

    Raises ContentError.
    """
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise ContentError(where, _("must be a text or a list of messages that is not empty."))
    messages = []
    for number, message in enumerate(value):
        place = f"{where}[{number}]"
        if not isinstance(message, Mapping):
            raise ContentError(place, _("a message is an object with `role` and `content`."))
        role = _ROLE_NAMES.get(str(message.get("role")), message.get("role"))
        if role not in ROLES:
            raise ContentError(
                place,
                _("role {role} is none of {known}.", role=repr(role), known=", ".join(ROLES)),
            )
        messages.append({"role": role, "content": _parts(message.get("content"), place)})
    return messages


def parse_prompt(value: Any) -> list[Message]:
    """Return canonical messages that a reply can follow: the last one is the user's."""
    messages = parse_messages(value)
    if messages[-1]["role"] != "user":
        raise ContentError("prompt", _("the last message must be the user's."))
    if not any(text_of(m).strip() for m in messages):
        raise ContentError("prompt", _("holds no text."))
    return messages


def parse_reply(value: Any, where: str) -> list[Message]:
    """Return one assistant turn from a plain text or from messages."""
    if isinstance(value, str):
        value = [{"role": "assistant", "content": value}]
    messages = parse_messages(value, where)
    if any(m["role"] != "assistant" for m in messages):
        raise ContentError(where, _("a reply holds assistant messages alone."))
    return messages


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message's text, its parts joined by a blank line."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content)


def reply_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of an assistant turn."""
    return "\n\n".join(text_of(m) for m in messages)


def plain_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return messages with plain string contents, as trainers and exports want them."""
    return [{"role": m["role"], "content": text_of(m)} for m in messages]


def content_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the sha256 of the canonical JSON of the messages, after Unicode NFC."""
    text = json.dumps(list(messages), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()


def first_user_hash(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the hash of the first user message's text: half of the key to split by."""
    first = next(m for m in messages if m["role"] == "user")
    text = unicodedata.normalize("NFC", text_of(first)).strip()
    return hashlib.sha256(text.encode()).hexdigest()
