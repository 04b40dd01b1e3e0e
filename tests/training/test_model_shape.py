"""A model's shape and its number of weights, against real models."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.model_shape import ModelShape, shape_from, shape_of, stored_weights
from training.rundir import MEMBER

pytestmark = pytest.mark.recipe

SIZES = {
    "vocab_size": 97,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 80,
    "max_position_embeddings": 64,
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("kind", ["CausalLM", "SequenceClassification"])
def test_weights_are_counted_as_a_real_model_has_them(
    tmp_path: Path, family: str, kind: str, tied: bool
) -> None:
    import transformers

    maker: Any = transformers.LlamaConfig if family == "llama" else transformers.Qwen3Config
    config = maker(**SIZES, tie_word_embeddings=tied, num_labels=1)
    factory = getattr(transformers, f"AutoModelFor{kind}")
    model = factory.from_config(config)
    model.save_pretrained(tmp_path)
    shape = shape_of(tmp_path)
    assert shape.parameters == model.num_parameters()
    assert stored_weights(tmp_path) == model.num_parameters()
    assert shape.queries == 64  # four heads of 16, wider than the hidden state
    assert shape.keys == 32


def test_an_unknown_family_is_counted_by_its_file(tmp_path: Path) -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    model = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
        )
    )
    model.save_pretrained(tmp_path)
    assert shape_of(tmp_path).parameters == sum(weight.numel() for weight in model.parameters())


def test_members_of_an_ensemble_are_the_folders_beside_the_first(tmp_path: Path) -> None:
    config = {**SIZES, "model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    alone = shape_of(tmp_path)
    for number in (1, 2):
        (tmp_path / f"{MEMBER}{number}").mkdir()
    assert (alone.members, shape_of(tmp_path).members) == (1, 3)
    assert shape_of(tmp_path).parameters == alone.parameters


def test_a_layer_by_hand() -> None:
    """h 4, q 4, k 2, f 8: 2x4x4 + 2x4x2 + 3x4x8 = 144; 144 + 2x4 norms, embedding 10x4, norm 4."""
    shape = ModelShape(
        family="llama",
        vocabulary=10,
        hidden=4,
        layers=1,
        heads=2,
        queries=4,
        keys=2,
        intermediate=8,
    )
    assert shape.layer_matrices == 144
    assert shape.parameters == 144 + 8 + 40 + 4
    assert shape.activations == 6 * 4 + 4 * 8 + 4 * 4


def test_what_a_layer_keeps_is_what_torch_keeps() -> None:
    """The difference of two depths, under a mask; torch keeps a few numbers a head besides."""
    for family in ("llama", "qwen3"):
        kept = (_kept(family, 4) - _kept(family, 2)) / 2
        shape = shape_from(
            {**SIZES, "model_type": family, "tie_word_embeddings": True, "architectures": []}
        )
        assert kept == pytest.approx(shape.activations, rel=0.03)


def _kept(family: str, layers: int) -> float:
    """How many numbers a token leaves for the backward pass, in a real model of so many layers."""
    import torch
    import transformers

    maker = transformers.LlamaConfig if family == "llama" else transformers.Qwen3Config
    config = maker(**{**SIZES, "num_hidden_layers": layers}, tie_word_embeddings=True)
    factory: Any = transformers.AutoModelForCausalLM
    model = factory.from_config(config)
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = tensor
        return tensor

    ids = torch.randint(0, 97, (4, 16))
    mask = torch.ones_like(ids)
    mask[:, -3:] = 0
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        held = model.model(input_ids=ids, attention_mask=mask, use_cache=False)
    assert held.last_hidden_state.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / 4 / ids.numel()


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**SIZES, "model_type": "other"}))
    with pytest.raises(ValueError, match="no safetensors"):
        shape_of(tmp_path)
