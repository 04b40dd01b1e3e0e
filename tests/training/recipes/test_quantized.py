"""QLoRA: refused with the reason where it can't be, and merged into whole weights where it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model

from tests.training.recipes.conftest import Chain, pairs, prepare
from training import rundir
from training.configs import ConfigError, DPOConfig
from training.recipes import dpo, quantized
from training.recipes.loading import load_policy, load_tokenizer, lora, whole

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
QLORA = {"quantize": "nf4", "lora_r": 4, "device": "auto"}


def test_config_refuses_four_bits_without_adapters_or_on_the_cpu() -> None:
    for values in ({"lora_r": 0}, {"lora_r": 4, "device": "cpu"}):
        with pytest.raises(ConfigError) as caught:
            DPOConfig(quantize="nf4", **values)
        assert set(caught.value.errors) == {"quantize"}


@pytest.mark.parametrize(("found", "missing"), [(None, "bitsandbytes"), (object(), "CUDA GPU")])
def test_recipe_says_what_the_machine_lacks(
    chain: Chain,
    tmp_path: Path,
    in_process: None,
    monkeypatch: pytest.MonkeyPatch,
    found: object,
    missing: str,
) -> None:
    monkeypatch.setattr(quantized, "find_spec", lambda name: found)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = prepare(tmp_path, "dpo", pairs(), QLORA, model=chain.model("sft"))
    with pytest.raises(rundir.RunFolderError, match=missing):
        dpo.main([str(folder)])


def test_adapters_are_merged_into_the_whole_weights(chain: Chain) -> None:
    """As if merged where they were trained, had the weights there not been rounded."""
    path = chain.model("sft")
    config = DPOConfig(lora_r=2)
    base = load_policy(path, load_tokenizer(path))
    adapters: Any = lora(config)
    model: Any = get_peft_model(base, adapters)
    assert isinstance(model, PeftModel)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    base.is_loaded_in_4bit = True  # type: ignore[assignment]
    made = whole(model).state_dict()
    base.is_loaded_in_4bit = False  # type: ignore[assignment]
    plain = whole(model).state_dict()
    before = load_policy(path, load_tokenizer(path)).state_dict()
    assert made.keys() == plain.keys()
    assert all(torch.allclose(made[name], plain[name], atol=1e-6) for name in plain)
    assert any(not torch.equal(made[name], before[name]) for name in plain)
