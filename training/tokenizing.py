"""A model's tokenizer and chat template without torch: as much of them as counting tokens needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

_MARKS = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token")


class LightTokenizer:
    """What `training.encoding` asks of a tokenizer, from a model's folder.

    Its template runs in jinja's sandbox, with the settings that transformers gives it.
    """

    def __init__(self, folder: Path) -> None:
        """Raise OSError, ValueError or TemplateError for a folder that can't be read so."""
        self._core: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._core.no_truncation()
        self._core.no_padding()
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self._marks = {name: _text(settings.get(name)) for name in _MARKS}
        self.all_special_tokens = [
            token.content
            for token in self._core.get_added_tokens_decoder().values()
            if token.special
        ]
        self.bos_token_id = self._core.token_to_id(self._marks["bos_token"])
        self.eos_token_id = self._core.token_to_id(self._marks["eos_token"])
        self._template = _compiled(_source(folder, settings))

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        """The ids of a text."""
        return {"input_ids": self._core.encode(text, add_special_tokens=add_special_tokens).ids}

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        """The conversation as one text."""
        return str(
            self._template.render(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                **{name: mark for name, mark in self._marks.items() if mark},
            )
        )


def _text(mark: Any) -> str:
    """A mark's text: old files hold it as an object."""
    return str(mark.get("content", "")) if isinstance(mark, dict) else str(mark or "")


def _source(folder: Path, settings: dict[str, Any]) -> str:
    beside = folder / "chat_template.jinja"
    source = (
        beside.read_text(encoding="utf-8") if beside.exists() else settings.get("chat_template")
    )
    if not isinstance(source, str):
        raise ValueError(f"{folder} has no chat template.")
    return source


def _compiled(source: str) -> Any:
    room = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    room.globals["raise_exception"] = _refuse
    return room.from_string(source)


def _refuse(message: str) -> None:
    raise TemplateError(message)
