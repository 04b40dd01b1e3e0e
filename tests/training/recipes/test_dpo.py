"""DPO: the facts that hold at the first step, and the frozen reference."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes.conftest import Chain, pairs, prepare
from training import rundir
from training.configs import DPOConfig
from training.recipes import dpo
from training.recipes.data import Splits
from training.recipes.dpo_trainer import PairTrainer, SoftPairTrainer
from training.recipes.loading import load_policy, load_tokenizer
from training.recipes.reference import reference_key

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
LEARN = {"max_steps": 3, "learning_rate": 5e-4}


def _values(folder: Path) -> list[dict[str, float]]:
    return [dict(row.values) for row in rundir.read_metrics_from(folder)[0]]


def test_first_loss_is_the_logarithm_of_two(chain: Chain) -> None:
    """Policy and reference are equal, so every margin is 0 and -log sigmoid(0) = log 2."""
    first = _values(chain.dpo)[0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)


def test_policy_moves_away_from_a_reference_that_stays(chain: Chain) -> None:
    last = _values(chain.dpo)[5]
    assert last["loss"] < math.log(2)
    assert last["rewards/margins"] > 0
    head = rundir.read_json(chain.dpo / rundir.CONFIG)
    assert rundir.weights_sha256(chain.model("sft")) == head["inputs"]["model"]["sha256"]
    before = load_file(chain.model("sft") / "model.safetensors")
    after = load_file(chain.model("dpo") / "model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_policy_keeps_its_marks_and_template(chain: Chain) -> None:
    before, after = (load_tokenizer(chain.model(name)) for name in ("sft", "dpo"))
    assert before.chat_template == after.chat_template
    assert before.get_vocab() == after.get_vocab()
    model = load_policy(chain.model("dpo"), after)
    assert after.eos_token_id in model.generation_config.eos_token_id


@pytest.mark.parametrize("changes", [{"precompute_ref_log_probs": True}, {"lora_r": 2}])
def test_other_ways_to_hold_the_reference_begin_at_log_two(
    chain: Chain, tmp_path: Path, in_process: None, changes: dict[str, object]
) -> None:
    config = LEARN | changes
    folder = prepare(tmp_path, "dpo", pairs(), config, model=chain.model("sft"))
    dpo.main([str(folder)])
    assert _values(folder)[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert not list((folder / rundir.MODEL).glob("adapter*"))


def test_reward_margin_counts_the_sum_over_the_reply(chain: Chain) -> None:
    """beta times (log-probability gained by chosen minus that of rejected), as logged."""
    first, last = _values(chain.dpo)[0], _values(chain.dpo)[5]
    assert last["rewards/margins"] == pytest.approx(
        last["rewards/chosen"] - last["rewards/rejected"], abs=1e-5
    )
    assert first["logps/chosen"] < -10  # a sum over several tokens of a nearly untrained model


def test_dpo_without_held_out_rows_ends_well(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    rows = [row for row in pairs() if row["split"] == "train"]
    folder = prepare(tmp_path, "dpo", rows, LEARN | {"eval_steps": 1}, model=chain.model("sft"))
    dpo.main([str(folder)])
    result = rundir.read_result(folder)
    assert result is not None
    assert result["status"] == "succeeded"
    assert not any(name.startswith("eval_") for name in result["metrics"])


def test_dpo_refuses_other_weights_than_those_meant(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "dpo", pairs(), LEARN, model=chain.model("sft"))
    head = rundir.read_json(folder / rundir.CONFIG)
    head["inputs"]["model"]["path"] = str(chain.model("dpo"))
    rundir.write_json_atomic(folder / rundir.CONFIG, head)
    with pytest.raises(rundir.RunFolderError, match="not " + head["inputs"]["model"]["sha256"]):
        dpo.main([str(folder)])


def test_dpo_needs_a_model(tmp_path: Path, in_process: None) -> None:
    folder = prepare(tmp_path, "dpo", pairs(), LEARN)
    with pytest.raises(rundir.RunFolderError, match=r"inputs\.model\.path"):
        dpo.main([str(folder)])


def _trained(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / rundir.MODEL / "model.safetensors"))


def _run(chain: Chain, folder: Path, rows: list[dict[str, Any]], **changes: Any) -> Path:
    dpo.main([str(prepare(folder, "dpo", rows, LEARN | changes, model=chain.model("sft")))])
    return folder


def test_labels_of_one_half_teach_nothing(chain: Chain, tmp_path: Path, in_process: None) -> None:
    """The gradient of p = 1/2 vanishes where policy and reference are equal: no weight moves."""
    rows = [{**row, "target": 0.5} for row in pairs()]
    folder = _run(chain, tmp_path, rows)
    before = load_file(chain.model("sft") / "model.safetensors")
    after = _trained(folder)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert _values(folder)[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_sure_label_that_the_pair_is_wrong_turns_it_round(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    strict = [row for row in pairs() if not row["tie"]]
    turned = [
        {**row, "chosen": row["rejected"], "rejected": row["chosen"], "target": 0.0}
        for row in strict
    ]
    plain = _trained(_run(chain, tmp_path / "plain", strict))
    found = _trained(_run(chain, tmp_path / "turned", turned))
    assert all(torch.allclose(plain[name], found[name], atol=2e-5) for name in plain)


def test_weight_and_smoothing_are_heard_by_sigmoid(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """Twice the weight is twice the loss; a smoothed loss never falls below the label's entropy."""
    heavy = [{**row, "weight": 2.0} for row in pairs()]
    folder = _run(chain, tmp_path / "heavy", heavy)
    assert _values(folder)[0]["loss"] == pytest.approx(2 * math.log(2), abs=1e-4)
    report = rundir.read_result(folder)["data"]  # type: ignore[index]
    assert "ignored_weights" not in report
    config = {"label_smoothing": 0.3, "learning_rate": 5e-3, "max_steps": 30}
    smooth = _values(_run(chain, tmp_path / "smooth", pairs(), **config))
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert min(row["loss"] for row in smooth if "loss" in row) > entropy - 1e-6
    assert smooth[20]["loss"] < math.log(2)


def test_other_losses_count_the_weights_they_ignore(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    rows = [{**row, "weight": 2.0, "target": 0.9} for row in pairs()]
    folder = _run(chain, tmp_path, rows, loss_type="hinge", sft_weight=0.5)
    report = rundir.read_result(folder)["data"]  # type: ignore[index]
    kept = report["train"] + report["validation"] + report["test"]
    assert report["ignored_weights"] == report["ignored_targets"] == kept


def test_likelihood_of_the_chosen_reply_is_added_by_its_weight(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """Also beside soft labels, where TRL's own loss counts nothing."""
    plain = _values(_run(chain, tmp_path / "plain", pairs(), sft_weight=0.5))
    soft = _values(_run(chain, tmp_path / "soft", pairs(), sft_weight=0.5, label_smoothing=0.1))
    assert plain[0]["loss"] > math.log(2) + 0.5
    assert soft[0]["loss"] == pytest.approx(plain[0]["loss"], abs=1e-5)


def test_target_that_is_no_probability_is_refused(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    with pytest.raises(rundir.RunFolderError, match=r"target is 1\.5"):
        _run(chain, tmp_path, [{**row, "target": 1.5} for row in pairs()])


def test_best_versus_random_takes_one_pair_of_each_ranking(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    rows = [{**row, "judgement": str(number // 2)} for number, row in enumerate(pairs())]
    for row in rows:
        row["prompt"], row["chosen"] = rows[0]["prompt"], rows[0]["chosen"]
    folder = _run(chain, tmp_path, rows, pairing="best_vs_random")
    report = rundir.read_result(folder)["data"]  # type: ignore[index]
    assert report["dropped"]["other_pair"] > 0
    left = report["train"] + report["validation"] + report["test"]
    assert left + sum(report["dropped"].values()) == report["rows"]


def _losses(trainer: Any, examples: list[dict[str, Any]]) -> float:
    batch = trainer._prepare_inputs(trainer.data_collator(examples))
    with torch.no_grad():
        return float(trainer.compute_loss(trainer.model, batch))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_pads_change_nothing(
    chain: Chain,
    tmp_path: Path,
    in_process: None,
    monkeypatch: pytest.MonkeyPatch,
    smoothing: float,
) -> None:
    """The loss of a batch is the mean of its pairs alone, however far they are padded."""
    found: list[Any] = []
    kind = SoftPairTrainer if smoothing else PairTrainer

    def look(trainer: Any, *_: Any, **__: Any) -> None:
        rows = [trainer.train_dataset[index] for index in range(5)]
        rows[1]["chosen_ids"] = rows[1]["chosen_ids"] * 3
        torch.manual_seed(0)
        for weight in trainer.model.parameters():  # away from the reference, where all is log 2
            weight.data += 0.02 * torch.randn_like(weight)
        found.extend([_losses(trainer, rows), [_losses(trainer, [row]) for row in rows]])
        trainer.data_collator.pad_to_multiple_of = 96
        found.append(_losses(trainer, rows))
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "train", look)
    with pytest.raises(KeyboardInterrupt):
        _run(chain, tmp_path, pairs(), label_smoothing=smoothing, max_length=90)
    together, alone, padded = found
    assert max(alone) - min(alone) > 1e-3
    assert together == pytest.approx(sum(alone) / len(alone), abs=1e-5)
    assert padded == pytest.approx(together, abs=1e-5)


def _kept(folder: Path) -> list[Path]:
    return sorted((folder / rundir.CACHE).glob("reference-*"))


def test_reference_is_asked_once_and_kept_under_what_it_depends_on(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"precompute_ref_log_probs": True}
    folder = _run(chain, tmp_path, pairs(), **config)
    assert len(_kept(folder)) == 1
    first = _trained(folder)
    asked: list[int] = []
    plain: Any = PairTrainer.compute_ref_log_probs

    def count(trainer: Any, model: Any, batch: dict[str, Any]) -> Any:
        asked.append(len(batch["input_ids"]) // 2)
        return plain(trainer, model, batch)

    monkeypatch.setattr(PairTrainer, "compute_ref_log_probs", count)
    rundir.rewind(folder)
    dpo.main([str(folder)])
    assert sum(asked) == 2  # the spot check alone: one train and one validation row in a hundred
    assert all(torch.equal(first[name], value) for name, value in _trained(folder).items())
    asked.clear()
    rundir.rewind(folder)
    head = rundir.read_json(folder / rundir.CONFIG)
    head["config"]["max_length"] = 80
    rundir.write_json_atomic(folder / rundir.CONFIG, head)
    dpo.main([str(folder)])
    assert len(_kept(folder)) == 2
    assert sum(asked) > 20


def test_reference_that_says_something_else_is_refused(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _run(chain, tmp_path, pairs(), precompute_ref_log_probs=True)
    rundir.rewind(folder)
    plain: Any = PairTrainer.compute_ref_log_probs
    monkeypatch.setattr(
        PairTrainer,
        "compute_ref_log_probs",
        lambda *given: tuple(value - 0.5 for value in plain(*given)),
    )
    with pytest.raises(rundir.RunFolderError, match="remove cache/"):
        dpo.main([str(folder)])


def test_key_of_the_reference_changes_with_each_thing_it_depends_on(chain: Chain) -> None:
    tokenizer = load_tokenizer(chain.model("sft"))
    rows = Splits()
    pair = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]}
    rows.splits["train"] = [pair]
    config = DPOConfig(max_length=96)
    keys = {
        reference_key("a", tokenizer, config, rows),
        reference_key("b", tokenizer, config, rows),
        reference_key("a", tokenizer, DPOConfig(max_length=95), rows),
        reference_key("a", tokenizer, DPOConfig(max_length=96, precision="bf16"), rows),
    }
    tokenizer.chat_template += " "
    keys.add(reference_key("a", tokenizer, config, rows))
    tokenizer.add_tokens(["unheard"])
    keys.add(reference_key("a", tokenizer, config, rows))
    pair["rejected_ids"] = [4]
    keys.add(reference_key("a", tokenizer, config, rows))
    assert len(keys) == 7
