"""The reward model: what it learns from pairs, and scores anyone can ask for."""

import gc
import math
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest
import torch
from torch.optim import AdamW

from tests.training.recipes.conftest import Chain, demonstrations, message, prepare, rankings
from training import rundir
from training.configs import RewardConfig
from training.recipes import fitting, reward, shared_prefix
from training.recipes.data import Splits
from training.recipes.loading import load_reward_model, load_tokenizer
from training.recipes.ranking_trainer import RankingTrainer
from training.recipes.running import StopSignal
from training.recipes.scoring import Scorer, score

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
LEARN = {"max_steps": 2, "learning_rate": 1e-3}


def test_reward_reports_both_held_out_splits(chain: Chain) -> None:
    """Of 36 comparisons one is all ties: row 9, of two; rows 19 and 29 hold one tied pair each."""
    result = rundir.read_result(chain.reward)
    assert result is not None
    assert result["model"]["kind"] == "reward"
    data = result["data"]
    assert data["dropped"] == {"tie": 1}
    assert data["tied_pairs"] == 2
    assert data["rows"] == 36
    assert data["train"] + data["validation"] + data["test"] == 35
    for split in ("validation", "test"):
        report, metrics = result["report"][split], result["metrics"]
        assert 0 <= report["low"] <= report["accuracy"] <= report["high"] <= 1
        assert metrics[f"{split}_accuracy"] == report["accuracy"]
        assert report["comparisons"] == data[split]
        assert sum(kind["pairs"] for kind in report["by_annotator"].values()) == report["pairs"]
    assert {"loss", "accuracy", "margin", "validation_ece"} <= set(result["metrics"])


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


@pytest.mark.parametrize("margin", ["rank_gap", "strength"])
def test_margin_raises_the_loss_of_the_first_step(
    margin: str, chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """The loss is -log sigmoid(d - m): with the same weights a margin m > 0 makes it larger."""
    losses = {}
    for kind in ("off", margin):
        config = {**LEARN, "margin": kind, "margin_scale": 2.0}
        rows = [{**row, "strength": 1} for row in rankings()]
        folder = prepare(tmp_path / kind, "reward", rows, config, model=chain.model("sft"))
        reward.main([str(folder)])
        losses[kind] = rundir.read_metrics_from(folder)[0][0].values["loss"]
    assert losses[margin] > losses["off"] + 0.5


def test_demonstrations_have_mean_zero_in_the_saved_model(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """The shift and the gain are the model's own: whoever loads it scores with both."""
    told = [{**row, "split": "reference"} for row in demonstrations(20)]
    config = {**LEARN, "unit_variance": True}
    folder = prepare(tmp_path, "reward", rankings() + told, config, model=chain.model("sft"))
    reward.main([str(folder)])
    exchanges = [(row["prompt"], row["completion"][0]["content"]) for row in told]
    scores = score(folder / rundir.MODEL, exchanges)
    assert fmean(scores) == pytest.approx(0, abs=1e-5)
    assert pstdev(scores) == pytest.approx(1, abs=1e-5)
    result = rundir.read_result(folder)
    assert result is not None
    assert result["data"]["reference"] == 20
    assert result["scale"]["source"] == "demonstrations"


@pytest.mark.parametrize("lora_r", [0, 2])
def test_reloaded_model_scores_to_the_bit_as_before_it_was_saved(
    lora_r: int, chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanges = [("red cat", "dog " * n + "please.") for n in range(9)]
    before: list[float] = []
    measured = reward._measured

    def overhear(scorer: Scorer, *rest: Any) -> Any:
        before.extend(scorer.score(exchanges))
        return measured(scorer, *rest)

    monkeypatch.setattr(reward, "_measured", overhear)
    config = {**LEARN, "lora_r": lora_r, "per_device_batch_size": 4}
    folder = prepare(tmp_path, "reward", rankings(), config, model=chain.model("sft"))
    reward.main([str(folder)])
    assert score(folder / rundir.MODEL, exchanges, batch_size=4) == before
    assert len(set(before)) > 1


def test_scale_is_of_texts_from_the_whole_file(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten short texts, then ten long ones: four of them, other ones by another seed."""
    monkeypatch.setattr(reward, "MOST_REFERENCE", 4)
    tokenizer = load_tokenizer(chain.model("reward"))
    rows = Splits()
    texts = [[number] * (2 if number < 20 else 9) for number in range(10, 30)]
    rows.splits["reference"] = [{"input_ids": ids} for ids in texts]
    heard: list[list[list[int]]] = []
    plain = Scorer.score_ids

    def hear(scorer: Scorer, sequences: list[list[int]]) -> list[float]:
        heard.append(sequences)
        return plain(scorer, sequences)

    monkeypatch.setattr(Scorer, "score_ids", hear)
    for seed in (1, 1, 2):
        model = load_reward_model(chain.model("reward"), tokenizer)
        told = reward._settle(Scorer(model, tokenizer), model, rows, RewardConfig(), seed)
        assert told["scale"]["texts"] == 4
    assert heard[0] == heard[1] != heard[2]
    assert all(ids in texts for ids in heard[0])
    assert {len(ids) for ids in heard[0] + heard[2]} == {2, 9}


def test_judged_replies_stand_in_for_demonstrations(chain: Chain) -> None:
    texts = [
        (row["prompt"], reply[0]["content"])
        for row in rankings()
        if row["split"] == "train" and len(row["tiers"]) > 1
        for reply in row["replies"]
    ]
    assert fmean(score(chain.model("reward"), texts)) == pytest.approx(0, abs=1e-5)


def test_training_goes_on_from_a_shifted_model(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "reward", rankings(), LEARN, model=chain.model("reward"))
    reward.main([str(folder)])
    result = rundir.read_result(folder)
    assert result is not None
    assert result["scale"]["source"] == "candidates"
    exchanges = [("red cat", "dog please."), ("red cat", "dog no!")]
    assert all(map(math.isfinite, score(folder / rundir.MODEL, exchanges)))


def test_prompt_that_can_not_be_shared_is_refused_where_it_must_be(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_prefix, "why_no_shared_prefix", lambda model: "it is odd")
    config = {**LEARN, "shared_prefix": "always"}
    folder = prepare(tmp_path / "always", "reward", rankings(), config, model=chain.model("sft"))
    with pytest.raises(rundir.RunFolderError, match="because it is odd: set shared_prefix to auto"):
        reward.main([str(folder)])
    folder = prepare(tmp_path / "auto", "reward", rankings(), LEARN, model=chain.model("sft"))
    reward.main([str(folder)])
    assert rundir.read_result(folder) is not None


def test_reward_with_adapters_leaves_a_model_of_its_own(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """The head is trained whole beside the adapters, and both are merged into the model."""
    config = {**LEARN, "lora_r": 2}
    rows = [row for row in rankings() if row["split"] == "train"]
    folder = prepare(tmp_path, "reward", rows, config, model=chain.model("sft"))
    reward.main([str(folder)])
    result = rundir.read_result(folder)
    assert result is not None
    assert "validation_accuracy" not in result["metrics"]
    assert not list((folder / rundir.MODEL).glob("adapter*"))
    tokenizer = load_tokenizer(folder / rundir.MODEL)
    fresh = load_reward_model(chain.model("sft"), tokenizer, seed=5).state_dict()
    made = load_reward_model(folder / rundir.MODEL, tokenizer).state_dict()
    for name in ("score.weight", "model.layers.0.self_attn.q_proj.weight"):
        assert not torch.equal(fresh[name], made[name]), name
    assert torch.equal(fresh["model.norm.weight"], made["model.norm.weight"])


def test_ensemble_scores_by_the_mean_of_models_of_the_next_seeds(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """Member 1 of a run with seed 5 is, to the bit, the model of a run with seed 6."""
    config, exchanges = {**LEARN, "ensemble": 3}, [("red cat", "dog " * n) for n in range(1, 6)]
    folder = prepare(tmp_path / "all", "reward", rankings(), config, model=chain.model("sft"))
    reward.main([str(folder)])
    alone = []
    for seed in (5, 6, 7):
        single = prepare(
            tmp_path / str(seed), "reward", rankings(), LEARN, model=chain.model("sft"), seed=seed
        )
        reward.main([str(single)])
        alone.append(score(single / rundir.MODEL, exchanges))
    together = score(folder / rundir.MODEL, exchanges)
    assert together == [fmean(scores) for scores in zip(*alone, strict=True)]
    assert alone[0] != alone[1] != alone[2]
    result = rundir.read_result(folder)
    assert result is not None
    told = result["report"]["test"]["ensemble"]
    assert told["members"] == len(told["accuracies"]) == 3
    assert 0 <= told["disputed"] <= 1
    assert told["deviation"] > 0
    assert result["metrics"]["test_disputed"] == told["disputed"]
    tokenizer = load_tokenizer(folder / rundir.MODEL)
    (folder / rundir.MODEL / "member-1" / "model.safetensors").write_bytes(b"other")
    assert rundir.weights_sha256(folder / rundir.MODEL) != result["model"]["sha256"]
    assert load_reward_model(folder / rundir.MODEL, tokenizer) is not None


def test_members_of_an_ensemble_are_not_trained_beside_the_optimizers_of_others(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a member's training begins, the only other trainer is the first, for its model."""
    alive: list[tuple[int, int]] = []
    fit = fitting.fit

    def count(run: Any, trainer: Any, callback: Any) -> Any:
        things = [thing for thing in gc.get_objects() if type(thing) in (RankingTrainer, AdamW)]
        trainers = sum(type(thing) is RankingTrainer for thing in things)
        alive.append((trainers, len(things) - trainers))
        return fit(run, trainer, callback)

    monkeypatch.setattr(reward, "fit", count)
    config = {**LEARN, "ensemble": 3}
    folder = prepare(tmp_path, "reward", rankings(), config, model=chain.model("sft"))
    gc.collect()
    reward.main([str(folder)])
    (trainers, optimizers), *later = alive
    assert later == [(trainers + 1, optimizers)] * 2


def test_ensemble_that_was_stopped_goes_on_with_the_member_it_was_at(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    config = {**LEARN, "ensemble": 2, "checkpoint_steps": 1}
    whole = prepare(tmp_path / "whole", "reward", rankings(), config, model=chain.model("sft"))
    reward.main([str(whole)])
    folder = prepare(tmp_path / "halves", "reward", rankings(), config, model=chain.model("sft"))
    member = folder / rundir.CACHE / "member-1"

    class Stopping(StopSignal):
        def reason(self) -> str | None:
            return "asked to stop" if (member / rundir.CHECKPOINTS).exists() else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reward, "StopSignal", Stopping)
        reward.main([str(folder)])
    first = rundir.read_result(folder)
    assert first is not None
    assert first["status"] == "stopped"
    assert not list((folder / rundir.MODEL).glob("member-*"))
    rundir.rewind(folder)
    reward.main([str(folder)])
    found, expected = rundir.read_result(folder), rundir.read_result(whole)
    assert found is not None
    assert expected is not None
    assert found["status"] == "succeeded"
    assert found["model"]["sha256"] == expected["model"]["sha256"]
