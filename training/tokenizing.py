"""A model's tokenizer and chat template without torch: as much of them as counting tokens needs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, BOS, END = "<|pad|>", "<|bos|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{{ '<|bos|>' }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_MARKS = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token")


def learned(texts: Iterable[str], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer learned from texts, with marks of its own for pad, begin and end.

    All 256 bytes are in it, so any text can be encoded. The marks of the roles are tokens of their
    own, so no merge crosses from a prompt into a reply.
    """
    core: Any = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return core


class LightTokenizer:
    """What `training.encoding` asks of a tokenizer.

    Its template runs in jinja's sandbox, with the settings that transformers gives it.
    """

    def __init__(self, core: Any, marks: dict[str, str], template: str) -> None:
        """Wrap a tokenizer with its named marks. Raises TemplateError for a bad template."""
        self._core = core
        self._marks = marks
        self.all_special_tokens = [
            token.content
            for token in self._core.get_added_tokens_decoder().values()
            if token.special
        ]
        self.bos_token_id = self._core.token_to_id(self._marks["bos_token"])
        self.eos_token_id = self._core.token_to_id(self._marks["eos_token"])
        self._template = _compiled(template)

    @classmethod
    def in_folder(cls, folder: Path) -> LightTokenizer:
        """A model's own. Raises OSError, ValueError or TemplateError where it can't be read so."""
        core: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        core.no_truncation()
        core.no_padding()
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        marks = {name: _text(settings.get(name)) for name in _MARKS}
        return cls(core, marks, _source(folder, settings))

    @classmethod
    def from_texts(cls, texts: Iterable[str], vocab_size: int) -> LightTokenizer:
        """The one that a model from scratch would learn from these texts."""
        marks = {"bos_token": BOS, "eos_token": END, "pad_token": PAD}
        return cls(learned(texts, vocab_size), marks, TEMPLATE)

    def __len__(self) -> int:
        """Return how many tokens there are."""
        return int(self._core.get_vocab_size())

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
