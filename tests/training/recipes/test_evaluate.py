"""Evaluations on real tiny models: what is told of a policy, and of one held against itself."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.training.recipes.conftest import Chain, message, prepare, prompts, start, succeed
from training import rundir
from training.recipes import evaluate

pytestmark = pytest.mark.recipe
DRAW = {
    "replies_per_prompt": 3,
    "baseline_replies": 2,
    "max_new_tokens": 12,
    "batch_size": 6,
    "max_length": 96,
}


def _folder(
    chain: Chain, path: Path, changes: dict[str, Any] | None = None, **models: Path
) -> Path:
    start = {"model": chain.model("dpo"), "reference": chain.model("sft")}
    inputs: dict[str, Any] = {**start, "reward": chain.model("reward"), **models}
    return prepare(path, "evaluate", prompts(), {**DRAW, **(changes or {})}, **inputs)


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / rundir.EVALUATIONS).read_text().splitlines()]


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def judge(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SFT model, told that it may read long texts: the judge's question is one."""
    folder = tmp_path_factory.mktemp("judge") / "model"
    shutil.copytree(chain.model("sft"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))
    return folder


@pytest.fixture(scope="module")
def against_base(
    chain: Chain, judge: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The DPO policy held against the SFT one, which is reference and baseline at once."""
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFLOOP_RUN_LOCK", "0")
        models = {"baseline": chain.model("sft"), "judge": judge}
        folder = _folder(chain, tmp_path_factory.mktemp("evaluate"), **models)
        evaluate.main([str(folder)])
    yield folder
    signal.signal(signal.SIGTERM, handler)


def test_every_reply_is_there_once_with_what_is_said_of_it(against_base: Path) -> None:
    rows = _rows(against_base)
    asked = {("policy", f"p{number}", nth) for number in range(6) for nth in range(3)}
    asked |= {("baseline", f"p{number}", nth) for number in range(6) for nth in range(2)}
    assert {(row["by"], row["prompt_id"], row["candidate"]) for row in rows} == asked
    assert len(rows) == len(asked) == len({row["seed"] for row in rows})
    for row in rows:
        assert 1 <= row["tokens"] <= 12
        assert row["ended"] or row["tokens"] == 12
        assert row["logprob"] < 0
        assert row["kl_k3"] >= 0
        assert 0 < row["entropy"] < row["tokens"] * log(400)
        if row["by"] == "baseline":
            assert row["kl_k3"] == row["logprob"] - row["reference_logprob"] == 0
        assert ("judged" in row) == (row["by"] == "policy" and row["candidate"] == 0)


def test_the_report_is_of_the_lines(against_base: Path) -> None:
    rows, result = _rows(against_base), _result(against_base)
    told = result["evaluation"]
    own = [row for row in rows if row["by"] == "policy"]
    assert (told["prompts"], told["replies"]) == (6, 18)
    assert told["policy"]["reward"]["value"] == pytest.approx(sum(r["reward"] for r in own) / 18)
    kl = sum(row["logprob"] - row["reference_logprob"] for row in own) / 18
    assert told["policy"]["kl"]["value"] == pytest.approx(kl) == result["metrics"]["objective/kl"]
    assert told["policy"]["kl_k3"]["value"] > 0
    assert told["policy"]["kl"]["low"] < kl < told["policy"]["kl"]["high"]
    assert told["baseline"]["kl"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert [row["n"] for row in told["best_of"]] == [1, 2, 3]
    rewards = [row["value"] for row in told["best_of"]]
    assert rewards == sorted(rewards)
    assert rewards[0] == pytest.approx(told["policy"]["reward"]["value"])
    assert told["wins"]["reward"]["pairs"] == 6 * 3 * 2
    assert (told["wins"]["judge"]["pairs"], told["unjudged"]) == (6, 0)
    assert 0 < told["wins"]["judge"]["value"] < 1
    assert result["model"] is None
    assert result["samples"]["sha256"] == rundir.file_sha256(against_base / rundir.EVALUATIONS)
    assert result["metrics"]["val/length"] == pytest.approx(told["policy"]["length"]["value"])


def test_a_policy_held_against_itself_is_at_0_nats_and_wins_half(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    policy = chain.model("dpo")
    many = {"replies_per_prompt": 24, "baseline_replies": 24, "batch_size": 48}
    folder = _folder(chain, tmp_path, many, reference=policy, baseline=policy)
    evaluate.main([str(folder)])
    told = _result(folder)["evaluation"]
    for who in ("policy", "baseline"):
        for name in ("kl", "kl_k3"):
            assert told[who][name] == {"value": 0.0, "low": 0.0, "high": 0.0}
    won = told["wins"]["reward"]
    assert won["low"] <= 0.5 <= won["high"]
    assert abs(won["value"] - 0.5) < 0.15
    assert {row["text"] for row in _rows(folder) if row["by"] == "policy"} != {
        row["text"] for row in _rows(folder) if row["by"] == "baseline"
    }


def test_a_stopped_run_goes_on_without_repeating(
    chain: Chain, tmp_path: Path, in_process: None, against_base: Path, judge: Path
) -> None:
    folder = _folder(chain, tmp_path, baseline=chain.model("sft"), judge=judge)
    rundir.request_stop(folder)
    evaluate.main([str(folder)])
    result = _result(folder)
    assert (result["status"], result["steps"], result["total_steps"]) == ("stopped", 1, 3)
    assert "evaluation" not in result
    with (folder / rundir.EVALUATIONS).open("a") as file:
        file.write('{"torn')  # a later step was cut off while it was written
    assert rundir.rewind(folder) == 1
    evaluate.main([str(folder)])
    assert _rows(folder) == _rows(against_base)
    assert _result(folder)["evaluation"] == _result(against_base)["evaluation"]
    assert [row.step for row in rundir.read_metrics_from(folder)[0]] == [1, 2, 3]


def test_pairs_that_are_too_long_for_the_judge_are_counted(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    short = chain.model("sft")
    folder = _folder(chain, tmp_path, baseline=short, judge=short)
    evaluate.main([str(folder)])
    told = _result(folder)["evaluation"]
    assert (set(told["wins"]), told["unjudged"]) == ({"reward"}, 6)


def test_what_can_not_be_measured_is_said(chain: Chain, tmp_path: Path, in_process: None) -> None:
    judged = _folder(chain, tmp_path / "judged", judge=chain.model("sft"))
    with pytest.raises(rundir.RunFolderError, match=r"name a baseline in inputs\.baseline\.path"):
        evaluate.main([str(judged)])
    one = [prompts()[0], {"prompt_id": "long", "prompt": [message("user", "red " * 200)]}]
    models = {"reference": chain.model("sft"), "reward": chain.model("reward")}
    single = prepare(tmp_path / "single", "evaluate", one, DRAW, model=chain.model("dpo"), **models)
    with pytest.raises(rundir.RunFolderError, match=r"no interval .*'too_long': 1.*: add prompts"):
        evaluate.main([str(single)])
    del models["reference"]
    alone = prepare(
        tmp_path / "alone", "evaluate", prompts(), DRAW, model=chain.model("dpo"), **models
    )
    with pytest.raises(
        rundir.RunFolderError, match=r"needs a reference: .*inputs\.reference\.path"
    ):
        evaluate.main([str(alone)])


@pytest.mark.slow
def test_a_killed_run_ends_as_the_whole_one(chain: Chain, tmp_path: Path, judge: Path) -> None:
    models = {"reference": chain.model("sft"), "baseline": chain.model("sft"), "judge": judge}
    models |= {"model": chain.model("dpo"), "reward": chain.model("reward")}
    config = DRAW | {"batch_size": 3, "checkpoint_steps": 2}
    whole = prepare(tmp_path / "whole", "evaluate", prompts(40), config, **models)
    killed = prepare(tmp_path / "killed", "evaluate", prompts(40), config, **models)
    succeed(whole, "evaluate")

    def kill_in_the_middle(new: list[rundir.Metrics]) -> None:
        if new[-1].step >= 5:
            for child in psutil.Process().children(recursive=True):
                if str(killed) in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)

    outcome = start(killed, "evaluate", on_metrics=kill_in_the_middle, poll_s=0.005)
    assert (outcome.status, outcome.signal) == ("failed", signal.SIGKILL)
    newest = rundir.newest_checkpoint(killed)
    assert newest is not None
    assert 0 < newest.step < 40
    succeed(killed, "evaluate")
    there, again = (folder / rundir.EVALUATIONS for folder in (whole, killed))
    assert again.read_bytes() == there.read_bytes()
    assert _result(killed)["evaluation"] == _result(whole)["evaluation"]
    assert _values(killed) == _values(whole)


def _values(folder: Path) -> list[tuple[int, dict[str, float]]]:
    rows, _ = rundir.read_metrics_from(folder)
    return [
        (row.step, {name: value for name, value in row.values.items() if name != "time/step"})
        for row in rows
    ]
