"""Scores on a real tiny ensemble: each member's own, resumed without a repetition."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.training.recipes.conftest import Chain, Rows, message, prepare, rankings, start, succeed
from training import rundir
from training.recipes import score
from training.recipes.scoring import score as mean_scores

pytestmark = pytest.mark.recipe
READ = {"batch_size": 4, "max_length": 96}


def _replies(count: int = 10) -> Rows:
    """Replies of different lengths."""
    return [
        {
            "candidate_id": str(100 + number),
            "prompt": [message("user", "red cat")],
            "completion": [message("assistant", "blue " * (1 + number % 5) + f"{number}")],
        }
        for number in range(count)
    ]


def _rows(folder: Path) -> Rows:
    return [json.loads(line) for line in (folder / rundir.SCORES).read_text().splitlines()]


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def ensemble(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model of two members."""
    folder = prepare(
        tmp_path_factory.mktemp("ensemble"),
        "reward",
        rankings(),
        {"max_steps": 2, "learning_rate": 3e-3, "ensemble": 2},
        model=chain.model("sft"),
    )
    return succeed(folder, "reward") / rundir.MODEL


def test_each_member_scores_each_reply(ensemble: Path, tmp_path: Path, in_process: None) -> None:
    bad = [
        {**_replies()[0], "candidate_id": "mark", "completion": [message("assistant", "<|end|>")]},
        {
            **_replies()[0],
            "candidate_id": "long",
            "completion": [message("assistant", "red " * 90)],
        },
        _replies()[0],
    ]
    folder = prepare(tmp_path, "score", _replies() + bad, READ, reward=ensemble)
    score.main([str(folder)])
    found = {row["candidate_id"]: row["scores"] for row in _rows(folder)}
    assert sorted(found) == sorted(str(100 + number) for number in range(10))
    assert {len(scores) for scores in found.values()} == {2}
    assert any(abs(first - second) > 1e-6 for first, second in found.values())
    exchanges = [(row["prompt"], row["completion"][0]["content"]) for row in _replies()]
    means = mean_scores(ensemble, exchanges)
    for row, mean in zip(_replies(), means, strict=True):
        assert sum(found[row["candidate_id"]]) / 2 == pytest.approx(mean, abs=1e-4)
    result = _result(folder)
    assert (result["status"], result["steps"], result["model"]) == ("succeeded", 3, None)
    assert result["data"]["replies"] == 10
    assert result["data"]["dropped"] == {
        "special_token_in_text": 1,
        "too_long": 1,
        "duplicate": 1,
    }
    assert result["scores"]["sha256"] == rundir.file_sha256(folder / rundir.SCORES)
    assert result["metrics"]["disagreement"] > 0


def test_a_stopped_run_goes_on_without_repeating(
    ensemble: Path, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "score", _replies(), READ, reward=ensemble)
    rundir.request_stop(folder)
    score.main([str(folder)])
    assert (_result(folder)["status"], _result(folder)["steps"]) == ("stopped", 1)
    first = _rows(folder)
    assert len(first) == 4
    with (folder / rundir.SCORES).open("a") as file:
        file.write('{"torn')  # a later batch was cut off while it was written
    assert rundir.rewind(folder) == 1
    score.main([str(folder)])
    assert _result(folder)["status"] == "succeeded"
    assert _rows(folder)[:4] == first
    assert len({row["candidate_id"] for row in _rows(folder)}) == len(_rows(folder)) == 10
    assert [row.step for row in rundir.read_metrics_from(folder)[0]] == [1, 2, 3]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_without_repeating(ensemble: Path, tmp_path: Path) -> None:
    config = {**READ, "batch_size": 1}
    whole = prepare(tmp_path / "whole", "score", _replies(40), config, reward=ensemble)
    killed = prepare(tmp_path / "killed", "score", _replies(40), config, reward=ensemble)
    succeed(whole, "score")

    def kill_in_the_middle(rows: list[rundir.Metrics]) -> None:
        if rows and rows[-1].step >= 2:
            for child in psutil.Process().children():
                if str(killed) in child.cmdline():
                    os.kill(child.pid, signal.SIGKILL)

    outcome = start(killed, "score", on_metrics=kill_in_the_middle, poll_s=0.005)
    assert outcome.status == "failed"
    assert len(_rows(killed)) < 40
    succeed(killed, "score")
    assert _rows(killed) == _rows(whole)
    metrics = [row.values["replies"] for row in rundir.read_metrics_from(killed)[0]]
    assert metrics == list(range(1, 41))


def test_a_run_without_a_reward_model_or_a_reply_says_so(
    ensemble: Path, tmp_path: Path, in_process: None
) -> None:
    alone = prepare(tmp_path / "alone", "score", _replies(), READ)
    with pytest.raises(rundir.RunFolderError, match="needs a reward model"):
        score.main([str(alone)])
    empty = prepare(tmp_path / "empty", "score", [], READ, reward=ensemble)
    with pytest.raises(rundir.RunFolderError, match="No reply is left"):
        score.main([str(empty)])
