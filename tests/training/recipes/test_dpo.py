"""DPO: the facts that hold at the first step, and the frozen reference."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes.conftest import Chain, pairs, prepare
from training import rundir
from training.recipes import dpo
from training.recipes.loading import load_policy, load_tokenizer

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
