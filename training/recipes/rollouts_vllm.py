"""Replies drawn by vLLM in this process, where it is installed: for models that fill a GPU.

vLLM keeps weights of its own on the same device, which are brought up to date before each draw. Its
log-probabilities are not used: those of the training forward are, or no ratio would begin at 1. Its
draws are repeatable on one machine with one version, but are not those of `CachedRoller`.
"""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel

from training import rundir
from training.recipes.data import Ids
from training.recipes.rollouts import end_marks

MEMORY_SHARE = 0.3
"""Part of the GPU that vLLM may fill; the four models need the rest."""


def open_engine(
    path: Path, *, option: str, other: str, max_length: int, batch_size: int, **more: Any
) -> tuple[Any, Any]:
    """vLLM itself, and an engine of a model's folder; RunFolderError where it is not installed.

    `option` is what named it in the run's config, `other` what may be named instead.
    """
    # The engine must live in this process, so that weights can be handed over.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    try:
        vllm = importlib.import_module("vllm")
    except ImportError:
        raise rundir.RunFolderError(
            f"{option} is vllm, but vLLM is not installed here: install it, or take {other}."
        ) from None
    engine = vllm.LLM(model=str(path), max_model_len=max_length, max_num_seqs=batch_size, **more)
    return vllm, engine


class VLLMRoller:
    """Draws with vLLM's engine; RunFolderError where it is not installed."""

    def __init__(
        self,
        model: Any,
        path: Path,
        *,
        temperature: float,
        max_new_tokens: int,
        max_length: int,
        batch_size: int,
        processes: int,
    ) -> None:
        more = {"distributed_executor_backend": "external_launcher"} if processes > 1 else {}
        self._vllm, self._engine = open_engine(
            path,
            option="generator",
            other="cached",
            max_length=max_length,
            batch_size=batch_size,
            gpu_memory_utilization=MEMORY_SHARE,
            **more,
        )
        self._model = model
        self._settings = {
            "temperature": temperature,
            "max_tokens": max_new_tokens,
            "stop_token_ids": end_marks(model),
            "detokenize": False,
        }

    def roll(self, prompts: Sequence[Ids], seeds: Sequence[int]) -> list[Ids]:
        """One reply per prompt and seed, its end mark included where it ended by itself."""
        self._hand_over_weights()
        settings = [self._vllm.SamplingParams(seed=seed, **self._settings) for seed in seeds]
        asked = [{"prompt_token_ids": ids} for ids in prompts]
        found = self._engine.generate(asked, sampling_params=settings, use_tqdm=False)
        return [list(answer.outputs[0].token_ids) for answer in found]

    def _hand_over_weights(self) -> None:
        """Give the engine the policy's weights; adapters are merged in a copy.

        To merge and take apart again would round, and the reference is those very weights.
        """
        policy = self._model
        if isinstance(policy, PeftModel):
            policy = copy.deepcopy(policy).merge_and_unload()
        worker = self._engine.llm_engine.model_executor.driver_worker
        worker.model_runner.model.load_weights(
            [(name, weight.detach()) for name, weight in policy.named_parameters()]
        )
        self._engine.reset_prefix_cache()
