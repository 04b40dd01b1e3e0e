"""The reward model: what it learns from pairs, and scores anyone can ask for."""

import math
from pathlib import Path

import pytest
import torch

from tests.training.recipes.conftest import Chain, message, pairs, prepare
from training import rundir
from training.recipes import reward
from training.recipes.loading import load_reward_model, load_tokenizer
from training.recipes.scoring import Scorer, score

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
LEARN = {"max_steps": 2, "learning_rate": 1e-3}


def test_reward_reports_accuracy_on_both_held_out_splits(chain: Chain) -> None:
    result = rundir.read_result(chain.reward)
    assert result is not None
    assert result["model"]["kind"] == "reward"
    assert result["data"]["dropped"] == {"tie": 3}
    for split in ("validation", "test"):
        assert 0 <= result["metrics"][f"{split}_accuracy"] <= 1
    assert {"loss", "accuracy", "margin"} <= set(result["metrics"])


def test_reward_learns_what_is_polite(chain: Chain) -> None:
    exchanges = [("red cat", "blue dog please."), ("red cat", "blue dog no!")]
    polite, rude = score(chain.model("reward"), exchanges)
    assert polite > rude


def test_score_does_not_depend_on_the_batch(chain: Chain) -> None:
    exchanges = [("red cat", "dog " * n + "please.") for n in (1, 9, 3)]
    together = score(chain.model("reward"), exchanges)
    alone = [score(chain.model("reward"), [one])[0] for one in exchanges]
    assert together == pytest.approx(alone, abs=1e-4)


def test_score_takes_messages_and_an_empty_reply(chain: Chain) -> None:
    prompt = [message("system", "kind"), message("user", "red cat")]
    assert all(map(math.isfinite, score(chain.model("reward"), [(prompt, "dog"), (prompt, "")])))


def test_padding_on_either_side_changes_no_score(chain: Chain) -> None:
    tokenizer = load_tokenizer(chain.model("reward"))
    model = load_reward_model(chain.model("reward"), tokenizer)
    ids = Scorer(model, tokenizer).encoder.exchange(
        [message("user", "red")], [message("assistant", "dog")]
    )
    text, pad = [*ids[0], *ids[1]], int(tokenizer.pad_token_id)
    with torch.no_grad():
        alone = model(input_ids=torch.tensor([text])).logits.item()
        for left, right in ((0, 5), (5, 0)):
            padded = torch.tensor([[pad] * left + text + [pad] * right])
            mask = torch.tensor([[0] * left + [1] * len(text) + [0] * right])
            places = (mask.cumsum(-1) - 1).clamp(min=0)
            found = model(input_ids=padded, attention_mask=mask, position_ids=places).logits.item()
            assert found == pytest.approx(alone, abs=1e-4)


def test_score_refuses_a_policy(chain: Chain) -> None:
    with pytest.raises(rundir.RunFolderError, match="no reward model"):
        score(chain.model("sft"), [("red", "blue")])


def test_new_head_depends_on_the_seed_alone(chain: Chain) -> None:
    tokenizer = load_tokenizer(chain.model("sft"))
    heads = []
    for seed in (1, 1, 2):
        torch.rand(3)  # what was drawn before must not matter
        heads.append(load_reward_model(chain.model("sft"), tokenizer, seed=seed).score.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_training_goes_on_from_a_reward_models_own_head(chain: Chain) -> None:
    tokenizer = load_tokenizer(chain.model("reward"))
    first = load_reward_model(chain.model("reward"), tokenizer)
    second = load_reward_model(chain.model("reward"), tokenizer, seed=9)
    assert torch.equal(first.score.weight, second.score.weight)


def test_margin_raises_the_loss_of_the_first_step(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """The loss is -log sigmoid(d - m): with the same weights a margin m > 0 makes it larger."""
    losses = {}
    for margin in ("off", "rank_gap"):
        config = {**LEARN, "margin": margin, "margin_scale": 2.0}
        model = chain.model("sft")
        folder = prepare(tmp_path / margin, "reward", pairs(), config, model=model)
        reward.main([str(folder)])
        losses[margin] = rundir.read_metrics_from(folder)[0][0].values["loss"]
    assert losses["rank_gap"] > losses["off"] + 0.5


def test_reward_with_adapters_leaves_a_model_of_its_own(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    config = {**LEARN, "lora_r": 2}
    rows = [row for row in pairs() if row["split"] == "train"]
    folder = prepare(tmp_path, "reward", rows, config, model=chain.model("sft"))
    reward.main([str(folder)])
    result = rundir.read_result(folder)
    assert result is not None
    assert "validation_accuracy" not in result["metrics"]
    assert not list((folder / rundir.MODEL).glob("adapter*"))
    assert math.isfinite(score(folder / rundir.MODEL, [("red", "blue")])[0])
