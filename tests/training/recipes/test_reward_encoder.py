"""A reward model whose trunk is an encoder: the stock class's own score, from rankings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertModel

from tests.training.recipes.conftest import message, prepare, rankings
from training import rundir
from training.configs import PPOConfig, SFTConfig
from training.recipes import reward
from training.recipes.actors import Actors
from training.recipes.loading import (
    load_reward_model,
    load_tokenizer,
    new_policy,
    new_tokenizer,
    save_model,
)
from training.recipes.reward_model import SHIFT, head_of
from training.recipes.scoring import Scorer, pad_right, score
from training.recipes.shared_prefix import why_no_shared_prefix

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
LEARN: dict[str, Any] = {"max_steps": 6, "learning_rate": 3e-3, "per_device_batch_size": 4}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT without a head, with a tokenizer that has a chat template."""
    folder = tmp_path_factory.mktemp("encoder")
    texts = [one["content"] for row in rankings() for reply in row["replies"] for one in reply]
    tokenizer = new_tokenizer(texts, 300, 96)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=96,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _trained(encoder: Path, folder: Path, **changes: Any) -> Path:
    prepare(folder, "reward", rankings(), LEARN | changes, model=encoder)
    reward.main([str(folder)])
    return folder


@pytest.mark.parametrize("lora_r", [0, 2])
def test_an_encoder_learns_from_rankings_and_is_reported_on(
    encoder: Path, tmp_path: Path, in_process: None, lora_r: int
) -> None:
    folder = _trained(encoder, tmp_path, lora_r=lora_r)
    result = rundir.read_result(folder)
    assert result is not None
    assert result["model"]["kind"] == "reward"
    assert result["report"]["test"]["pairs"] > 0
    rows, _ = rundir.read_metrics_from(folder)
    assert len([row for row in rows if "loss" in row.values]) == 6
    tokenizer = load_tokenizer(folder / rundir.MODEL)
    model: Any = load_reward_model(folder / rundir.MODEL, tokenizer)
    assert head_of(model) == "classifier"
    texts = [[5, 9, 12, 40, 2], [7, 8]]
    ids, mask = pad_right(texts, int(tokenizer.pad_token_id))
    stock = AutoModelForSequenceClassification.from_pretrained(folder / rundir.MODEL)
    with torch.no_grad():
        plain = stock.train(False)(input_ids=ids, attention_mask=mask).logits
    found = Scorer(model, tokenizer).score_ids(texts)
    shift = getattr(model.config, SHIFT)
    assert found == pytest.approx((plain.squeeze(-1) + shift).tolist(), abs=1e-5)


def test_a_reloaded_encoder_scores_to_the_bit_and_is_centred(
    encoder: Path, tmp_path: Path, in_process: None
) -> None:
    folder = _trained(encoder, tmp_path, unit_variance=True)
    result = rundir.read_result(folder)
    assert result is not None
    rows = [row for row in rankings() if row["split"] == "train"]
    told = [(row["prompt"], reply[0]["content"]) for row in rows for reply in row["replies"]]
    scores = torch.tensor(score(folder / rundir.MODEL, told))
    assert torch.equal(scores, torch.tensor(score(folder / rundir.MODEL, told)))
    assert float(scores.mean()) == pytest.approx(0, abs=0.05)
    assert float(scores.std()) == pytest.approx(1, abs=0.05)
    assert score(folder / rundir.MODEL, [([message("user", "a")], "b")])


def test_ppo_refuses_a_judge_without_a_value_for_each_token(
    encoder: Path, tmp_path: Path, in_process: None
) -> None:
    folder = _trained(encoder, tmp_path / "run", max_steps=1)
    tokenizer = load_tokenizer(encoder)
    shape = SFTConfig(init="scratch", hidden_size=32, layers=1, heads=2, kv_heads=1)
    save_model(new_policy(shape, tokenizer), tokenizer, tmp_path / "policy")
    with pytest.raises(rundir.RunFolderError, match="is an encoder"):
        Actors(PPOConfig(), tmp_path / "policy", folder / rundir.MODEL, torch.device("cpu"), seed=1)


def test_no_prompt_is_shared_by_a_model_that_looks_both_ways(
    encoder: Path, tmp_path: Path, in_process: None
) -> None:
    model = load_reward_model(encoder, load_tokenizer(encoder), seed=1)
    assert why_no_shared_prefix(model) == "it looks both ways"
    with pytest.raises(rundir.RunFolderError, match="set shared_prefix to auto"):
        _trained(encoder, tmp_path, shared_prefix="always")
