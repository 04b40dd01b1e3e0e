"""Replies drawn on this machine: by transformers with a cache, or by vLLM where it is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training import rundir
from training.configs import SampleConfig
from training.recipes.data import Encoder
from training.recipes.drawing import Asked, Draw
from training.recipes.generation import load_sampler
from training.recipes.loading import load_tokenizer, need_template
from training.recipes.replying import Prompt, read_prompts
from training.recipes.rollouts_vllm import open_engine
from training.recipes.running import Run, needed_model

_SETTINGS = ("temperature", "top_p", "top_k", "max_new_tokens")


def settings_of(config: SampleConfig) -> dict[str, Any]:
    """What every line says of how it was drawn."""
    return {name: getattr(config, name) for name in _SETTINGS}


class TransformersBackend:
    """Draws in batches sorted by length; a reply's numbers come from its own seed."""

    by_line = False

    def __init__(self, run: Run, config: SampleConfig) -> None:
        model = needed_model(run)
        self._run = run
        self._sampler, self._encoder = load_sampler(model, config)
        self.batch_size = config.batch_size
        self.fixed: Mapping[str, Any] = settings_of(config) | {
            "model_sha256": rundir.weights_sha256(model)
        }

    def prompts(self) -> tuple[list[Prompt], dict[str, Any]]:
        """Those that fit into the model beside the longest reply."""
        return read_prompts(self._run, self._encoder)

    def draw(self, batch: Sequence[Asked]) -> Iterator[tuple[Asked, Draw]]:
        """Draw all at once."""
        drawn = self._sampler.draw([one.ids for one in batch], [one.seed for one in batch])
        for one, reply in zip(batch, drawn, strict=True):
            yield (
                one,
                Draw(
                    text=reply.text,
                    finish_reason=reply.finish_reason,
                    tokens=reply.tokens,
                    prompt_tokens=len(one.ids),
                    logprob=reply.logprob,
                    model_logprob=reply.model_logprob,
                ),
            )

    def problem(self) -> None:
        """Nothing can come between a model and this process."""
        return

    def close(self) -> None:
        """It ends with this process."""


class VLLMBackend:
    """Draws with vLLM's engine. Repeatable on one machine with one version, and not the draws of
    transformers; log-probabilities are not asked for."""

    by_line = False

    def __init__(self, run: Run, config: SampleConfig) -> None:
        model = needed_model(run)
        tokenizer = load_tokenizer(model)
        need_template(tokenizer, model)
        self._run = run
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer, config.max_length - config.max_new_tokens)
        self._vllm, self._engine = open_engine(
            model,
            option="backend",
            other="transformers",
            max_length=config.max_length,
            batch_size=config.batch_size,
        )
        self._settings = {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "top_k": config.top_k or -1,
            "max_tokens": config.max_new_tokens,
        }
        self.batch_size = config.batch_size
        self.fixed: Mapping[str, Any] = settings_of(config) | {
            "model_sha256": rundir.weights_sha256(model)
        }

    def prompts(self) -> tuple[list[Prompt], dict[str, Any]]:
        """Those that fit into the model beside the longest reply."""
        return read_prompts(self._run, self._encoder)

    def draw(self, batch: Sequence[Asked]) -> Iterator[tuple[Asked, Draw]]:
        """Draw all at once; the engine orders its work by itself."""
        params = [self._vllm.SamplingParams(seed=one.seed, **self._settings) for one in batch]
        given = [{"prompt_token_ids": one.ids} for one in batch]
        found = self._engine.generate(given, sampling_params=params, use_tqdm=False)
        for one, answer in zip(batch, found, strict=True):
            ids = list(answer.outputs[0].token_ids)
            text = str(self._tokenizer.decode(ids, skip_special_tokens=True))
            yield (
                one,
                Draw(
                    text=text.replace("\x00", "\ufffd"),
                    finish_reason=str(answer.outputs[0].finish_reason or ""),
                    tokens=len(ids),
                    prompt_tokens=len(one.ids),
                ),
            )

    def problem(self) -> None:
        """Nothing can come between an engine and this process."""
        return

    def close(self) -> None:
        """It ends with this process."""
