"""What a served model is asked and how it answers, in the protocol of chat completions.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jinja2
import torch
from transformers import PreTrainedTokenizerBase

from labeling.domain.content import ContentError, parse_prompt, plain_messages
from training.configs import ConfigError, SampleConfig, parse_config
from training.recipes.data import Dropped, Encoder, Ids
from training.recipes.generation import Sampler
from training.recipes.loading import load_policy, load_tokenizer, need_template

DEFAULT_TOKENS = 256
MAX_CONTEXT = 32_768
# What would change the reply and can't be done here is refused: a reply without it would mislead.
_UNKNOWN = ("tools", "functions", "logprobs", "logit_bias", "stop", "response_format")


class Refused(Exception):
    """A request that can't be met; the text names the remedy."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text

    def body(self) -> dict[str, Any]:
        """The answer's body."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.text, "type": kind, "code": self.code}}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One reply to give: to which ids, by which settings, whole or as a stream."""

    ids: Ids
    config: SampleConfig
    seed: int
    stream: bool
    tells_usage: bool


class Talker:
    """A policy in memory. `context` is how many tokens prompt and reply may have together."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        self.name = name
        self._model = model
        self._tokenizer = tokenizer
        limit = int(getattr(model.config, "max_position_embeddings", MAX_CONTEXT))
        self.context = min(limit, MAX_CONTEXT)
        self._encoder = Encoder(tokenizer, self.context - 1)

    def asked(self, raw: bytes) -> Asked:
        """Read a request's body. Raises Refused."""
        body = _object(raw)
        if body.get("model", self.name) != self.name:
            raise Refused(404, "model_not_found", f"This server has the model {self.name} alone.")
        for name in _UNKNOWN:
            if body.get(name):
                raise Refused(400, "unsupported", f"{name} is not supported here: leave it out.")
        if body.get("n") not in (None, 1):
            raise Refused(400, "unsupported", "n must be 1: ask several times for several replies.")
        ids = self._ids(body)
        options = body.get("stream_options")
        return Asked(
            ids=ids,
            config=self._config(body, len(ids)),
            seed=_seed(body.get("seed")),
            stream=body.get("stream") is True,
            tells_usage=isinstance(options, dict) and options.get("include_usage") is True,
        )

    def _ids(self, body: Mapping[str, Any]) -> Ids:
        try:
            messages = plain_messages(parse_prompt(body.get("messages")))
            return self._encoder.prompt(messages)
        except ContentError as error:
            raise Refused(400, "invalid_messages", f"messages: {error.reason}") from None
        except jinja2.TemplateError as error:
            text = f"The model's chat template does not take these messages: {error}"
            raise Refused(400, "invalid_messages", text) from None
        except Dropped as reason:
            if str(reason) == "too_long":
                text = f"The conversation has no room in {self.context} tokens: begin a new one."
                raise Refused(400, "context_length_exceeded", text) from None
            text = "The conversation holds a mark that the model's template uses: leave it out."
            raise Refused(400, "invalid_messages", text) from None

    def _config(self, body: Mapping[str, Any], taken: int) -> SampleConfig:
        wanted = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_TOKENS
        room = self.context - taken
        given: dict[str, Any] = {
            "temperature": body.get("temperature"),
            "top_p": body.get("top_p"),
            "top_k": body.get("top_k"),
            "max_new_tokens": min(wanted, room) if isinstance(wanted, int) else wanted,
            "max_length": max(self.context, 2),
            "candidates_per_prompt": 1,
        }
        given = {name: value for name, value in given.items() if value is not None}
        try:
            return cast(SampleConfig, parse_config("sample", given))
        except ConfigError as error:
            said = [f"{name}: {text}" for name, texts in error.errors.items() for text in texts]
            raise Refused(400, "invalid_request", " ".join(said)) from None

    def pieces(self, asked: Asked, ended: dict[str, Any]) -> Generator[str]:
        """The reply's text as it comes; what it ended with is put into `ended` at the end."""
        sampler = Sampler(self._model, self._tokenizer, asked.config)
        ids: Ids = []
        said = ""
        for token in sampler.tokens(asked.ids, asked.seed):
            ids.append(token)
            text = sampler.text(ids)
            if text.endswith("\ufffd"):
                continue  # half of a letter: the next token may complete it
            if text.startswith(said) and text != said:
                yield text[len(said) :]
                said = text
        ended["finish_reason"] = "stop" if ids and sampler.ends(ids[-1]) else "length"
        ended["usage"] = {
            "prompt_tokens": len(asked.ids),
            "completion_tokens": len(ids),
            "total_tokens": len(asked.ids) + len(ids),
        }
        rest = sampler.text(ids)
        if rest.startswith(said) and rest != said:
            yield rest[len(said) :]


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "invalid_json", "The body must be a JSON object.")
    return body


def _seed(value: Any) -> int:
    if value is None:
        return secrets.randbits(53)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise Refused(400, "invalid_request", "seed: use a whole number from 0 to 2^63 - 1.")
    return value


def load_talker(folder: Path, *, name: str, device: torch.device) -> Talker:
    """The policy in a folder; RunFolderError if it can't hold a conversation."""
    tokenizer = load_tokenizer(folder)
    need_template(tokenizer, folder)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model: Any = load_policy(folder, tokenizer, dtype)
    return Talker(model.to(device), tokenizer, name)


class Turnstile:
    """Lets one request at a time to the model; a few more may wait, and others are turned away."""

    def __init__(self, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(1 + waiting)
        self._turn = threading.Lock()
        self._count = threading.Lock()
        self.inside = 0

    def enter(self) -> bool:
        """Take a place, if one is free."""
        if not self._places.acquire(blocking=False):
            return False
        with self._count:
            self.inside += 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        with self._count:
            self.inside -= 1
        self._places.release()

    def take_turn(self, timeout_s: float) -> bool:
        """Wait for the model so long; returns whether it is ours now."""
        return self._turn.acquire(timeout=timeout_s)

    def end_turn(self) -> None:
        """Let the next one."""
        self._turn.release()
