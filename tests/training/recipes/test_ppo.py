"""PPO on a tiny policy: what holds at the first step, what beta does, how a run ends."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes.conftest import Chain
from tests.training.recipes.online import (
    model_sha256,
    online_rows,
    prepare_online,
    values_of,
)
from training import rundir
from training.recipes import ppo
from training.recipes.ppo_trainer import GAP, joined
from training.recipes.running import StopSignal

pytestmark = [
    pytest.mark.recipe,
    # PEFT asks by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]


@pytest.fixture(scope="session")
def finished(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps in two minibatches, with texts to keep likely."""
    folder = tmp_path_factory.mktemp("ppo")
    config = {"total_episodes": 90, "minibatches": 2, "ptx_coefficient": 1.0, "sample_steps": 2}
    return _run(folder, chain, config)


def _run(folder: Path, chain: Chain, config: dict[str, Any], **inputs: Any) -> Path:
    prepare_online(folder, chain, config, **inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFLOOP_RUN_LOCK", "0")
        patch.setattr("signal.signal", lambda *_: None)
        ppo.main([str(folder)])
    return folder


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


def test_ratios_begin_at_exactly_1_and_the_policy_at_the_reference(finished: Path) -> None:
    rows = values_of(finished)
    assert [row["val/first_ratio_gap"] for row in rows] == [0.0, 0.0, 0.0]
    assert rows[0]["objective/kl"] == 0.0
    assert rows[0]["objective/kl_k3"] == 0.0
    assert rows[2]["objective/kl_k3"] > 0
    assert rows[2]["val/ratio"] != 1.0


def test_processes_add_up_what_they_say_but_for_the_largest_gap() -> None:
    said = torch.tensor([[0.25, 0.5, 1.0], [0.5, 0.125, 2.0]])
    assert joined(["loss", GAP, "val/ratio"], said) == {"loss": 0.75, GAP: 0.5, "val/ratio": 3.0}
    assert joined(["loss"], said[:, :1]) == {"loss": 0.75}


def test_metrics_have_the_names_that_people_know(finished: Path) -> None:
    known = {
        *("objective/kl", "objective/entropy", "objective/non_score_reward"),
        *("objective/rlhf_reward", "objective/scores", "policy/approxkl_avg"),
        *("policy/clipfrac_avg", "policy/entropy_avg", "loss/policy_avg", "loss/value_avg"),
        *("val/clipfrac_avg", "val/ratio", "val/ratio_var", "val/num_eos_tokens", "lr", "episode"),
    }
    first = values_of(finished)[0]
    assert known <= first.keys()
    assert first["objective/rlhf_reward"] == pytest.approx(
        first["objective/scores"] + first["objective/non_score_reward"]
    )
    assert first["val/num_eos_tokens"] == round(32 * (1 - first["val/share_without_eos"]))
    assert first["episode"] == 32
    assert first["val/updates"] == 8


def test_result_counts_rows_and_steps(finished: Path) -> None:
    result = _result(finished)
    assert (result["status"], result["steps"], result["total_steps"]) == ("succeeded", 3, 3)
    assert result["model"]["kind"] == "policy"
    data = result["data"]
    assert (data["rows"], data["train"], data["ptx"]) == (60, 20, 40)


def test_samples_are_kept_to_be_read(finished: Path) -> None:
    rows = rundir.read_rollouts(finished, 100)
    assert [row["step"] for row in rows] == [1] * 4 + [2] * 4 + [3] * 4
    assert rows[0]["kl"] == 0.0
    assert rows[0]["tokens"] >= 1
    assert rows[0]["prompt"][0]["role"] == "user"
    assert rundir.read_rollouts(finished, 2) == rows[-2:]


def test_only_the_policy_moves(finished: Path, chain: Chain) -> None:
    head = rundir.read_json(finished / rundir.CONFIG)
    for name, recipe in (("model", "sft"), ("reward", "reward")):
        assert rundir.weights_sha256(chain.model(recipe)) == head["inputs"][name]["sha256"]
    before = load_file(chain.model("sft") / "model.safetensors")
    after = load_file(finished / rundir.MODEL / "model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_text_to_keep_likely_becomes_likelier(finished: Path) -> None:
    rows = values_of(finished)
    assert rows[-1]["loss/ptx_avg"] < rows[0]["loss/ptx_avg"]


def test_small_parts_add_up_to_one_large_batch(chain: Chain, tmp_path: Path) -> None:
    one = {"total_episodes": 32, "inner_epochs": 1, "ptx_coefficient": 1.0}
    parts = _run(tmp_path / "parts", chain, {**one, "per_device_batch_size": 5})
    whole = _run(tmp_path / "whole", chain, {**one, "per_device_batch_size": 32})
    assert values_of(parts)[0] == pytest.approx(values_of(whole)[0], rel=1e-4, abs=1e-5)
    mine, other = (
        load_file(folder / rundir.MODEL / "model.safetensors") for folder in (parts, whole)
    )
    for name in mine:
        assert torch.allclose(mine[name], other[name], atol=1e-5), name


def test_beta_orders_the_kl(chain: Chain, tmp_path: Path) -> None:
    def final(beta: float) -> float:
        config = {"beta": beta, "total_episodes": 320, "per_device_batch_size": 32}
        return values_of(_run(tmp_path / str(beta), chain, config))[-1]["objective/kl_k3"]

    strong, weak, none = final(2.0), final(0.5), final(0.0)
    assert strong < weak < none


def test_lora_has_its_reference_in_itself(chain: Chain, tmp_path: Path) -> None:
    config = {"lora_r": 4, "total_episodes": 96}
    apart = _run(tmp_path / "apart", chain, config)
    rows = values_of(apart)
    assert rows[0]["objective/kl"] == 0.0
    assert rows[-1]["objective/kl_k3"] > 0
    assert [row["val/first_ratio_gap"] for row in rows] == [0.0, 0.0, 0.0]
    assert not list((apart / rundir.MODEL).glob("adapter*"))
    shared = {**config, "share_value_trunk": True, "gradient_checkpointing": True}
    assert model_sha256(_run(tmp_path / "shared", chain, shared)) == model_sha256(apart)


def test_reply_without_an_end_gets_the_constant(chain: Chain, tmp_path: Path) -> None:
    config = {"total_episodes": 32, "max_new_tokens": 1, "missing_eos_score": -7.0}
    row = values_of(_run(tmp_path, chain, config))[0]
    assert row["val/share_without_eos"] > 0.9
    assert row["objective/scores"] < -6.0 < row["objective/raw_scores"]
    assert row["val/share_below_missing_eos"] == 0.0


def test_it_is_told_how_many_complete_replies_score_below_the_constant(
    chain: Chain, tmp_path: Path
) -> None:
    row = values_of(_run(tmp_path, chain, {"missing_eos_score": 50.0, "total_episodes": 32}))[0]
    assert row["val/share_below_missing_eos"] == 1.0


def test_run_ends_early_where_the_kl_is_too_large(chain: Chain, tmp_path: Path) -> None:
    config = {"total_episodes": 640, "beta": 0.0, "kl_limit": 0.3}
    folder = _run(tmp_path, chain, config)
    result = _result(folder)
    assert result["status"] == "succeeded"
    assert 0 < result["steps"] < 20
    assert values_of(folder)[-1]["objective/kl"] > 0.3


def test_passes_are_left_out_where_the_policy_has_moved_far(chain: Chain, tmp_path: Path) -> None:
    folder = _run(tmp_path, chain, {"inner_epochs": 8, "update_kl_limit": 0.003})
    assert values_of(folder)[0]["val/updates"] < 8


def test_average_of_weights_becomes_the_model(chain: Chain, tmp_path: Path) -> None:
    """With a memory of 0.999, two steps move it by a five hundredth of the way."""
    folder = _run(tmp_path, chain, {"ema_decay": 0.999})
    before = load_file(chain.model("sft") / "model.safetensors")
    after = load_file(folder / rundir.MODEL / "model.safetensors")
    moved = max(float((before[name] - after[name]).abs().max()) for name in before)
    assert 0 < moved < 1e-4


def test_steered_beta_follows_the_kl(chain: Chain, tmp_path: Path) -> None:
    """The KL of the first step is 0, a fifth too low: 1 - 0.2 * 32 / 100."""
    rows = values_of(_run(tmp_path, chain, {"beta": 0.1, "kl_target": 5.0, "kl_horizon": 100}))
    betas = [row["objective/kl_coefficient"] for row in rows]
    assert betas == pytest.approx([0.1, 0.1 * (1 - 0.2 * 0.32)])


def test_stop_leaves_a_partial_model_and_goes_on_to_the_same_end(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"total_episodes": 160, "ema_decay": 0.9, "ptx_coefficient": 0.5, "kl_target": 2.0}
    whole = _run(tmp_path / "whole", chain, config)
    asked = iter([None, None, "asked to stop"])
    with monkeypatch.context() as patch:
        patch.setattr(StopSignal, "reason", lambda self: next(asked))
        stopped = _run(tmp_path / "stopped", chain, config)
    result = _result(stopped)
    assert (result["status"], result["steps"], result["reason"]) == ("stopped", 2, "asked to stop")
    assert result["model"]["sha256"] == rundir.weights_sha256(stopped / rundir.MODEL)
    assert rundir.rewind(stopped) == 2
    with monkeypatch.context() as patch:
        patch.setenv("PREFLOOP_RUN_LOCK", "0")
        patch.setattr("signal.signal", lambda *_: None)
        ppo.main([str(stopped)])
    assert model_sha256(stopped) == model_sha256(whole)
    assert values_of(stopped) == values_of(whole)
    assert rundir.read_rollouts(stopped, 99) == rundir.read_rollouts(whole, 99)


def test_ppo_needs_a_reward_model(chain: Chain, tmp_path: Path, in_process: None) -> None:
    folder = prepare_online(tmp_path, chain, {})
    head = rundir.read_json(folder / rundir.CONFIG)
    del head["inputs"]["reward"]
    rundir.write_json_atomic(folder / rundir.CONFIG, head)
    with pytest.raises(rundir.RunFolderError, match=r"inputs\.reward\.path"):
        ppo.main([str(folder)])


def test_ppo_refuses_a_policy_as_its_judge(chain: Chain, tmp_path: Path, in_process: None) -> None:
    folder = prepare_online(tmp_path, chain, {}, reward=chain.model("sft"))
    with pytest.raises(rundir.RunFolderError, match="holds no reward model"):
        ppo.main([str(folder)])


@pytest.mark.parametrize(
    ("rows", "config", "said"),
    [
        ([], {}, "No prompt of 0 rows"),
        (online_rows(0), {"ptx_coefficient": 1.0}, "no text to keep likely"),
    ],
)
def test_ppo_says_what_its_rows_lack(
    chain: Chain,
    tmp_path: Path,
    in_process: None,
    rows: list[dict[str, Any]],
    config: dict[str, Any],
    said: str,
) -> None:
    folder = prepare_online(tmp_path, chain, config, rows=copy.deepcopy(rows))
    with pytest.raises(rundir.RunFolderError, match=said):
        ppo.main([str(folder)])
