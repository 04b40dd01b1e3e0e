"""What is asked of vLLM, by a stand-in: the engine itself needs a GPU."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from training import rundir
from training.recipes.rollouts_vllm import VLLMRoller


class _Policy(torch.nn.Linear):
    generation_config = SimpleNamespace(eos_token_id=[2, 7])


class _Engine:
    """Answers with the last token of the prompt and the end mark; notes what it was given."""

    def __init__(self, **settings: Any) -> None:
        self.settings, self.resets = settings, 0
        self.weights: list[Any] = []
        self.llm_engine = SimpleNamespace(
            model_executor=SimpleNamespace(
                driver_worker=SimpleNamespace(
                    model_runner=SimpleNamespace(
                        model=SimpleNamespace(load_weights=self.weights.append)
                    )
                )
            )
        )

    def reset_prefix_cache(self) -> None:
        self.resets += 1

    def generate(self, asked: Any, *, sampling_params: Any, use_tqdm: bool) -> list[Any]:
        self.params = sampling_params
        replies = [[one["prompt_token_ids"][-1], 2] for one in asked]
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids)]) for ids in replies]


def _roller(model: Any) -> VLLMRoller:
    return VLLMRoller(
        model,
        Path("model"),
        temperature=0.7,
        max_new_tokens=5,
        max_length=32,
        batch_size=4,
        processes=1,
    )


def test_vllm_gets_the_policys_weights_before_each_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = _Engine, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    policy = _Policy(2, 1)
    roller = _roller(policy)
    assert roller.roll([[5, 6], [8]], [11, 12]) == [[6, 2], [8, 2]]
    engine: Any = roller._engine
    assert [params.seed for params in engine.params] == [11, 12]
    assert {params.temperature for params in engine.params} == {0.7}
    assert engine.params[0].stop_token_ids == [2, 7]
    assert engine.params[0].max_tokens == 5
    with torch.no_grad():
        policy.bias.fill_(3.0)
    roller.roll([[5]], [13])
    assert [name for name, _ in engine.weights[1]] == ["weight", "bias"]
    assert engine.weights[1][1][1].item() == 3.0
    assert engine.resets == 2


def test_without_vllm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    with pytest.raises(rundir.RunFolderError, match="take cached"):
        _roller(_Policy(2, 1))
