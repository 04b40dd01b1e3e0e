"""The reward model's own forward: one prompt for all replies, padding anywhere, its own shift."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForSequenceClassification,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from training import rundir
from training.recipes.losses import RankedPairs, ranking_loss
from training.recipes.ranking_trainer import RankingCollator
from training.recipes.reward_model import (
    needed_head,
    reward_class,
    set_scale,
)
from training.recipes.shared_prefix import Costs, block_mask, why_no_shared_prefix

pytestmark = pytest.mark.recipe
SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "num_labels": 1,
}
PAD = 0


def model_of(family: str = "qwen3", **changes: Any) -> Any:
    """A small reward model with large weights, so that its scores differ."""
    torch.manual_seed(3)
    shape = SHAPE | {"initializer_range": 0.3} | changes
    if family == "gpt2":
        config: Any = GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=128)
        config.pad_token_id, config.num_labels = PAD, 1
        made: Any = reward_class(GPT2ForSequenceClassification)
        return made(config).eval()
    kinds: dict[str, tuple[Any, Any]] = {
        "qwen3": (Qwen3Config, Qwen3ForSequenceClassification),
        "llama": (LlamaConfig, LlamaForSequenceClassification),
        "mistral": (MistralConfig, MistralForSequenceClassification),
    }
    config_type, stock = kinds[family]
    made = reward_class(stock)
    return made(config_type(**shape)).eval()


def comparisons(sizes: tuple[int, ...] = (4, 2, 9), seed: int = 1) -> list[dict[str, Any]]:
    """Comparisons of random ids, without ties: prompts of 3 to 20 tokens, replies of 1 to 9."""
    rng = random.Random(seed)
    rows = []
    for size in sizes:
        pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
        rows.append(
            {
                "prompt_ids": [rng.randint(1, 96) for _ in range(rng.randint(3, 20))],
                "reply_ids": [
                    [rng.randint(1, 96) for _ in range(rng.randint(1, 9))] for _ in range(size)
                ],
                "better": [a for a, _ in pairs],
                "worse": [b for _, b in pairs],
                "target": [1.0] * len(pairs),
                "margin": [0.0] * len(pairs),
                "weight": 1.0,
            }
        )
    return rows


def loss_of(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and loss of a batch."""
    names = ("input_ids", "attention_mask", "position_ids", "segments", "ends")
    texts = {name: batch[name] for name in names if name in batch}
    scores = model(**texts).logits.squeeze(-1)
    pairs = RankedPairs(
        better=batch["better"],
        worse=batch["worse"],
        comparisons=batch["comparisons"],
        targets=batch["target"],
        margins=batch["margin"],
    )
    return scores, ranking_loss(scores, pairs, batch["weights"])


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
def test_shared_prefix_gives_the_scores_and_gradients_of_the_plain_way(family: str) -> None:
    model = model_of(family)
    assert why_no_shared_prefix(model) is None
    rows = comparisons()
    found = []
    for shared in ("never", "always"):
        batch = RankingCollator(PAD, shared=shared)(rows)
        assert len(batch["input_ids"]) == (3 if shared == "always" else 15)
        scores, loss = loss_of(model, batch)
        found.append((scores, loss, torch.autograd.grad(loss, list(model.parameters()))))
    (plain, plain_loss, plain_gradients), (once, once_loss, once_gradients) = found
    assert plain.std() > 0.1  # else there is nothing to differ
    assert torch.allclose(plain, once, rtol=0, atol=1e-5)
    assert once_loss.item() == pytest.approx(plain_loss.item(), abs=1e-6)
    for first, second in zip(plain_gradients, once_gradients, strict=True):
        assert torch.allclose(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
@pytest.mark.parametrize(("left", "right"), [(0, 7), (7, 0), (3, 4)])
def test_padding_on_any_side_changes_no_score(family: str, left: int, right: int) -> None:
    """gpt2 counts positions absolutely, so it would notice the least shift."""
    model = model_of(family)
    rows = comparisons()
    texts = [row["prompt_ids"] + ids for row in rows for ids in row["reply_ids"]]
    alone = torch.cat([model(input_ids=torch.tensor([ids])).logits for ids in texts])
    longest = max(map(len, texts))
    ids = [
        [PAD] * (left + longest - len(text)) + text + [PAD] * right
        if left
        else text + [PAD] * (right + longest - len(text))
        for text in texts
    ]
    batch = torch.tensor(ids)
    padded = model(input_ids=batch, attention_mask=(batch != PAD).long()).logits
    assert torch.allclose(padded, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shared", ["never", "always"])
def test_more_padding_changes_no_loss(shared: str) -> None:
    model, rows = model_of(), comparisons()
    batch = RankingCollator(PAD, shared=shared)(rows)
    filler = {"input_ids": PAD, "attention_mask": 0, "segments": -1, "position_ids": 0}
    wider = {
        name: torch.nn.functional.pad(value, (0, 11), value=filler[name])
        if name in filler
        else value
        for name, value in batch.items()
    }
    scores, loss = loss_of(model, batch)
    again, loss_again = loss_of(model, wider)
    assert torch.allclose(scores, again, rtol=0, atol=1e-5)
    assert loss_again.item() == pytest.approx(loss.item(), abs=1e-6)


def test_score_is_read_at_the_last_real_token_and_not_at_a_pad() -> None:
    """What stands behind it, even under a mask of zeros, does not matter."""
    model = model_of()
    text = torch.tensor([[5, 6, 7, 8]])
    behind = torch.tensor([[5, 6, 7, 8, 9, 10]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    expected = model(input_ids=text).logits
    assert torch.allclose(model(input_ids=behind, attention_mask=mask).logits, expected, atol=1e-6)
    assert not torch.allclose(model(input_ids=behind).logits, expected, atol=1e-3)


def test_forward_without_ends_is_the_stock_models() -> None:
    model = model_of()
    stock_class: Any = Qwen3ForSequenceClassification
    stock = stock_class(model.config).eval()
    stock.load_state_dict(model.state_dict())
    ids = torch.tensor([[5, 6, 7, PAD], [1, 2, 3, 4]])
    mask = (ids != PAD).long()
    own = model(input_ids=ids, attention_mask=mask).logits
    assert torch.allclose(own, stock(input_ids=ids, attention_mask=mask).logits, atol=1e-6)


def test_block_mask_by_hand() -> None:
    """Prompt of two, replies of one and two, one pad: rows look, columns are looked at."""
    mask = block_mask(torch.tensor([[0, 0, 1, 2, 2, -1]]))
    assert mask.shape == (1, 1, 6, 6)
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]


def test_models_that_can_not_share_a_prefix_say_why() -> None:
    eager = model_of()
    eager.config._attn_implementation = "eager"
    assert "eager" in str(why_no_shared_prefix(eager))
    window = model_of("mistral", sliding_window=8)
    assert "window" in str(why_no_shared_prefix(window)) or "whole" in str(
        why_no_shared_prefix(window)
    )
    layers = model_of(layer_types=["full_attention", "sliding_attention"], sliding_window=8)
    assert "not all of its layers" in str(why_no_shared_prefix(layers))


def test_model_that_scores_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trunk that ignores the positions it is given, as one with its own count would."""
    model = model_of("gpt2")
    trunk = model.base_model.forward

    def own_positions(input_ids: Any = None, position_ids: Any = None, **kwargs: Any) -> Any:
        return trunk(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(model.base_model, "forward", own_positions)
    assert why_no_shared_prefix(model) == "its results would differ"
    assert not model.training


def test_auto_shares_where_it_is_less_work() -> None:
    """Long prompts are worth sharing; replies far longer than the prompt pay for each other."""
    collator = RankingCollator(PAD, shared="auto", costs=Costs(linear=100, attention=10))
    long_prompt = {"prompt_ids": [1] * 50, "reply_ids": [[1] * 5] * 4}
    long_replies = {"prompt_ids": [1] * 2, "reply_ids": [[1] * 50] * 4}
    assert collator.shares([long_prompt])
    assert not collator.shares([long_replies])
    assert not RankingCollator(PAD, shared="never").shares([long_prompt])
    assert RankingCollator(PAD, shared="always").shares([long_replies])


def test_mask_that_would_not_fit_is_not_made() -> None:
    collator = RankingCollator(PAD, shared="auto", costs=Costs(linear=1e9, attention=0))
    row = {"prompt_ids": [1] * 3000, "reply_ids": [[1] * 10] * 2}
    assert collator.shares([row] * 2)
    assert not collator.shares([row] * 40)
    always = RankingCollator(PAD, shared="always")
    assert always.shares([row] * 2)
    with pytest.raises(
        rundir.RunFolderError, match=r"40 prompts.* 3020 tokens.*smaller, or .*auto"
    ):
        always.shares([row] * 40)


def test_scale_is_the_models_own_and_outlives_saving(tmp_path: Path) -> None:
    model, ids = model_of(), torch.tensor([[5, 6, 7], [8, 9, 10], [11, 12, 13]])
    before = model(input_ids=ids).logits
    set_scale(model, mean=before.mean().item(), deviation=before.std(correction=0).item())
    after = model(input_ids=ids).logits
    assert after.mean().item() == pytest.approx(0, abs=1e-6)
    assert after.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    set_scale(model, mean=2.0, deviation=None)
    assert torch.allclose(model(input_ids=ids).logits, after - 2, atol=1e-6)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert torch.allclose(again(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-6)
    assert again.config.architectures == ["Qwen3ForSequenceClassification"]
    with pytest.raises(rundir.RunFolderError, match="switch unit_variance off"):
        set_scale(model, mean=0.0, deviation=0.0)


def test_head_of_another_kind_is_refused() -> None:
    config = RobertaConfig(**SHAPE)
    with pytest.raises(rundir.RunFolderError, match="no single linear layer"):
        needed_head(RobertaForSequenceClassification, config, "there")
    assert needed_head(Qwen3ForSequenceClassification, Qwen3Config(**SHAPE), "there") == "score"
