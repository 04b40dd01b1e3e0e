"""SFT: from nothing to a policy, in a child process; stopping and going on."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.training.recipes.conftest import (
    SCRATCH,
    Chain,
    demonstrations,
    message,
    pairs,
    prepare,
    prompts,
)
from training import rundir
from training.recipes import sample, sft
from training.recipes.running import StopSignal

pytestmark = pytest.mark.recipe
LEARN = {**SCRATCH, "max_steps": 9, "checkpoint_steps": 2, "learning_rate": 3e-3}


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


def test_sft_from_scratch_leaves_a_whole_model(chain: Chain) -> None:
    result = _result(chain.sft)
    assert (result["status"], result["steps"], result["total_steps"]) == ("succeeded", 8, 8)
    assert result["model"]["kind"] == "policy"
    assert result["model"]["sha256"] == rundir.weights_sha256(chain.model("sft"))
    assert result["data"]["train"] == 35
    assert result["data"]["validation"] == 5
    assert result["data"]["dropped"] == {}
    assert result["metrics"]["eval_loss"] > 0
    weights = load_file(chain.model("sft") / "model.safetensors")
    assert 20_000 < sum(tensor.numel() for tensor in weights.values()) < 60_000


def test_new_tokenizer_tells_pad_begin_and_end_apart(chain: Chain) -> None:
    tokenizer = AutoTokenizer.from_pretrained(chain.model("sft"))
    marks = {tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    assert len(marks) == 3
    assert tokenizer.chat_template
    text = "any Ünïcode ☃ text\n\twith  spaces"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_metrics_have_a_row_for_every_step(chain: Chain) -> None:
    rows, _ = rundir.read_metrics_from(chain.sft)
    losses = [row for row in rows if "loss" in row.values]
    assert [row.step for row in losses] == list(range(1, 9))
    assert {row.total for row in rows} == {8}
    assert losses[-1].values["loss"] < losses[0].values["loss"]
    assert "eval_loss" in rows[-1].values


def test_sft_counts_every_row_it_leaves_out(tmp_path: Path, in_process: None) -> None:
    user, plain = [message("user", "hi")], [message("assistant", "ho")]
    bad = [
        {"prompt": user, "completion": [message("assistant", " ")], "split": "train"},
        {"prompt": user, "completion": [message("assistant", "a " * 200)], "split": "train"},
        {"prompt": user, "completion": [message("assistant", "<|end|>")], "split": "train"},
        {"prompt": [], "completion": plain, "split": "train"},
        {"prompt": user, "completion": plain, "split": "train"},
        {"prompt": user, "completion": plain, "split": "train"},
        {"text": "plain text", "split": "train"},
        {"text": "only for the tokenizer", "split": "tokenizer"},
    ]
    rows = [row for row in demonstrations() if row["split"] == "train"] + bad
    folder = prepare(tmp_path, "sft", rows, {**LEARN, "max_steps": 1})
    sft.main([str(folder)])
    data = _result(folder)["data"]
    assert data["dropped"] == {
        "empty_reply": 1,
        "too_long": 1,
        "special_token_in_text": 1,
        "empty_prompt": 1,
        "duplicate": 1,
    }
    assert (data["rows"], data["train"], data["validation"]) == (42, 37, 0)


def test_run_without_a_row_says_what_became_of_them(tmp_path: Path, in_process: None) -> None:
    folder = prepare(tmp_path, "sft", [{"text": " a " * 200, "split": "train"}], LEARN)
    with pytest.raises(rundir.RunFolderError, match="1 too_long"):
        sft.main([str(folder)])
    assert rundir.read_result(folder) is None


def test_stop_keeps_a_checkpoint_and_the_run_goes_on(tmp_path: Path, in_process: None) -> None:
    stopped = prepare(tmp_path / "stopped", "sft", demonstrations(), LEARN)
    rundir.request_stop(stopped)
    sft.main([str(stopped)])
    assert _result(stopped)["status"] == "stopped"
    assert _result(stopped)["reason"] == "asked to stop"
    partial = _result(stopped)["model"]["sha256"]
    newest = rundir.newest_checkpoint(stopped)
    assert newest is not None
    assert newest.step == _result(stopped)["steps"] == 1

    model = (stopped / rundir.MODEL).rename(tmp_path / "partial")
    assert rundir.weights_sha256(model) == partial
    sampled = prepare(
        tmp_path / "sampled", "sample", prompts(2), {"max_new_tokens": 4}, model=model
    )
    sample.main([str(sampled)])
    assert _result(sampled)["samples"]["model_sha256"] == partial

    rundir.rewind(stopped)
    sft.main([str(stopped)])
    whole = prepare(tmp_path / "whole", "sft", demonstrations(), LEARN)
    sft.main([str(whole)])
    assert _result(stopped)["status"] == "succeeded"
    assert _result(stopped)["model"]["sha256"] == _result(whole)["model"]["sha256"] != partial
    assert _values(stopped) == _values(whole)


def test_finished_training_is_not_trained_further(tmp_path: Path, in_process: None) -> None:
    """Killed between the last checkpoint and the result, a run takes no step more."""
    folder = prepare(tmp_path, "sft", demonstrations(), LEARN)
    sft.main([str(folder)])
    first = _result(folder)
    assert rundir.rewind(folder) == 9
    sft.main([str(folder)])
    assert _result(folder)["steps"] == 9
    assert _result(folder)["model"]["sha256"] == first["model"]["sha256"]


def test_sigterm_stops_after_the_step(tmp_path: Path, in_process: None) -> None:
    folder = prepare(tmp_path, "sft", demonstrations(), LEARN)

    class Impatient(StopSignal):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft, "StopSignal", Impatient)
        sft.main([str(folder)])
    assert _result(folder)["status"] == "stopped"


def test_recipe_stops_when_its_launcher_is_gone(
    tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFLOOP_LAUNCHER_PID", "1073741824")
    folder = prepare(tmp_path, "sft", demonstrations(), LEARN)
    sft.main([str(folder)])
    assert _result(folder)["status"] == "stopped"
    assert _result(folder)["reason"] == "its launcher is gone"


def test_recipe_refuses_a_folder_that_is_not_for_it(tmp_path: Path, in_process: None) -> None:
    folder = prepare(tmp_path, "dpo", pairs(), {})
    with pytest.raises(rundir.RunFolderError, match="prepared for dpo"):
        sft.main([str(folder)])


def test_recipe_refuses_a_world_of_another_size(tmp_path: Path, in_process: None) -> None:
    folder = prepare(tmp_path, "sft", demonstrations(), {**LEARN, "processes": 2})
    with pytest.raises(rundir.RunFolderError, match="asks for 2 processes and 1 run"):
        sft.main([str(folder)])


def test_recipe_refuses_changed_data(tmp_path: Path, in_process: None) -> None:
    folder = prepare(tmp_path, "sft", demonstrations(), LEARN)
    with (folder / rundir.DATA).open("a") as file:
        file.write(json.dumps(demonstrations()[0]) + "\n")
    with pytest.raises(rundir.RunFolderError, match="changed"):
        sft.main([str(folder)])


def _values(folder: Path) -> list[Any]:
    rows, _ = rundir.read_metrics_from(folder)
    return [(row.step, row.values) for row in rows if row.step > 1]
