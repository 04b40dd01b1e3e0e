"""Models from outside: a pad token of their own, a template where they have none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.training.recipes.conftest import Chain, demonstrations, prepare
from training import rundir
from training.recipes import dpo, sft
from training.recipes.loading import load_policy, load_tokenizer, new_tokenizer, save_model
from training.tokenizing import PAD

pytestmark = pytest.mark.recipe


def _foreign(chain: Chain, folder: Path) -> Path:
    """A policy as many come: no chat template, and the end token is the pad token too."""
    plain = load_tokenizer(chain.model("sft"))
    core = new_tokenizer(["red blue"], 262, 96)
    wrap: Any = PreTrainedTokenizerFast
    wrapped = wrap(tokenizer_object=core.backend_tokenizer, eos_token="z")
    wrapped.pad_token = wrapped.eos_token
    save_model(load_policy(chain.model("sft"), plain), wrapped, folder)
    return folder


def test_pad_token_is_never_the_end_token(chain: Chain, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(_foreign(chain, tmp_path / "m"))
    assert tokenizer.pad_token == PAD
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_model_makes_room_for_new_tokens(chain: Chain) -> None:
    tokenizer = load_tokenizer(chain.model("sft"))
    tokenizer.add_tokens([f"new{n}" for n in range(40)])
    model: Any = load_policy(chain.model("sft"), tokenizer)
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer)
    assert torch.isfinite(model(input_ids=torch.tensor([[len(tokenizer) - 1]])).logits).all()


def test_sft_gives_a_template_to_a_model_without_one(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    model = _foreign(chain, tmp_path / "m")
    with pytest.raises(rundir.RunFolderError, match="recipe sft first"):
        dpo.main([str(prepare(tmp_path / "d", "dpo", demonstrations(), {}, model=model))])
    folder = prepare(tmp_path / "s", "sft", demonstrations(), {"max_steps": 1}, model=model)
    sft.main([str(folder)])
    assert load_tokenizer(folder / rundir.MODEL).chat_template
    adapted = prepare(tmp_path / "l", "sft", demonstrations(), {"lora_r": 2}, model=model)
    with pytest.raises(rundir.RunFolderError, match="set lora_r to 0"):
        sft.main([str(adapted)])


def test_save_model_replaces_the_folder_whole(chain: Chain, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(chain.model("sft"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "left.over").touch()
    save_model(load_policy(chain.model("sft"), tokenizer), tokenizer, folder)
    assert not (folder / "left.over").exists()
    assert rundir.weights_sha256(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
