"""A run's folder: atomic writes, torn lines, checkpoints that count only when whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training import rundir

ROWS = [{"prompt": [{"role": "user", "content": "é"}], "split": "train"}]


def _prepare(folder: Path, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> str:
    settings: dict[str, Any] = {"recipe": "sft", "config": {"threads": 1}, "inputs": {}, "seed": 7}
    return rundir.prepare(folder, rows=rows, **settings | changes)


def _metric(folder: Path, step: int) -> None:
    rundir.append_metric(folder, step=step, total=9, values={"loss": 1.0 / step}, now=100.0 + step)


def _checkpoint(folder: Path, step: int, *, whole: bool = True) -> Path:
    path = rundir.checkpoint_path(folder, step)
    path.mkdir(parents=True)
    (path / "weights").write_text("w")
    if whole:
        rundir.mark_complete(path, {"step": step})
    return path


def test_prepare_writes_what_a_recipe_needs(tmp_path: Path) -> None:
    digest = _prepare(tmp_path / "run", run_id="r1", attempt=2, git_commit="abc")
    folder = tmp_path / "run"
    head = rundir.read_json(folder / rundir.CONFIG)
    assert (head["recipe"], head["run_id"], head["attempt"], head["seed"]) == ("sft", "r1", 2, 7)
    assert rundir.verify_data(folder) == digest == rundir.file_sha256(folder / rundir.DATA)
    assert json.loads((folder / rundir.DATA).read_text()) == ROWS[0]
    assert rundir.read_json(folder / rundir.VERSIONS)["git_commit"] == "abc"
    assert not list(folder.glob(".*tmp"))


def test_versions_take_the_commit_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFLOOP_GIT_COMMIT", raising=False)
    assert rundir.versions()["git_commit"] is None
    monkeypatch.setenv("PREFLOOP_GIT_COMMIT", "def")
    assert rundir.versions()["git_commit"] == "def"
    assert rundir.versions()["torch"]


def test_verify_data_notices_another_content(tmp_path: Path) -> None:
    _prepare(tmp_path)
    with (tmp_path / rundir.DATA).open("a") as file:
        file.write("{}\n")
    with pytest.raises(rundir.RunFolderError, match="changed"):
        rundir.verify_data(tmp_path)


def test_prepare_refuses_other_rows_once_there_is_a_checkpoint(tmp_path: Path) -> None:
    _prepare(tmp_path)
    _checkpoint(tmp_path, 1)
    _prepare(tmp_path)
    with pytest.raises(rundir.RunFolderError, match="other rows"):
        _prepare(tmp_path, rows=[])
    rundir.verify_data(tmp_path)


def test_write_json_atomic_leaves_the_old_content_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    rundir.write_json_atomic(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        rundir.write_json_atomic(path, {"a": float("nan")})
    assert rundir.read_json(path) == {"a": 1}


@pytest.mark.parametrize("text", ["[1]", "{", None])
def test_read_json_names_the_file_that_is_no_object(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(rundir.RunFolderError, match=r"x\.json"):
        rundir.read_json(path)


def test_metrics_come_once_and_in_order(tmp_path: Path) -> None:
    assert rundir.read_metrics_from(tmp_path) == ([], 0)
    _metric(tmp_path, 1)
    rows, offset = rundir.read_metrics_from(tmp_path)
    assert [(row.step, row.total, row.time, row.values) for row in rows] == [
        (1, 9, 101.0, {"loss": 1.0})
    ]
    _metric(tmp_path, 2)
    rows, offset = rundir.read_metrics_from(tmp_path, offset)
    assert [row.step for row in rows] == [2]
    assert rundir.read_metrics_from(tmp_path, offset) == ([], offset)


def test_half_written_metric_waits_for_its_end(tmp_path: Path) -> None:
    _metric(tmp_path, 1)
    with (tmp_path / rundir.METRICS).open("a") as file:
        file.write('{"step": 2, "total": 9, "ti')
        file.flush()
        rows, offset = rundir.read_metrics_from(tmp_path)
        assert [row.step for row in rows] == [1]
        file.write('me": 1, "values": {"loss": 0.5}}\n')
    rows, _ = rundir.read_metrics_from(tmp_path, offset)
    assert [(row.step, row.values) for row in rows] == [(2, {"loss": 0.5})]


def test_infinite_metric_is_left_out_of_a_row(tmp_path: Path) -> None:
    values = {"loss": float("nan"), "margin": float("inf"), "accuracy": 0.5}
    rundir.append_metric(tmp_path, step=1, total=1, values=values)
    assert rundir.read_metrics_from(tmp_path)[0][0].values == {"accuracy": 0.5}


def test_reading_begins_again_when_the_file_became_shorter(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        _metric(tmp_path, step)
    _, offset = rundir.read_metrics_from(tmp_path)
    rundir.drop_metrics_after(tmp_path, 1)
    assert [row.step for row in rundir.read_metrics_from(tmp_path, offset)[0]] == [1]


def test_drop_metrics_after_removes_torn_lines_too(tmp_path: Path) -> None:
    _metric(tmp_path, 1)
    with (tmp_path / rundir.METRICS).open("a") as file:
        file.write('{"step": 2')
    rundir.drop_metrics_after(tmp_path, 5)
    _metric(tmp_path, 2)
    assert [row.step for row in rundir.read_metrics_from(tmp_path)[0]] == [1, 2]


def test_newest_checkpoint_is_the_latest_whole_one(tmp_path: Path) -> None:
    assert rundir.newest_checkpoint(tmp_path) is None
    for step in (5, 10):
        _checkpoint(tmp_path, step)
    _checkpoint(tmp_path, 15, whole=False)
    newest = rundir.newest_checkpoint(tmp_path)
    assert newest is not None
    assert (newest.step, newest.state) == (10, {"step": 10})


def test_rewind_goes_back_to_the_newest_whole_checkpoint(tmp_path: Path) -> None:
    for step in range(1, 9):
        _metric(tmp_path, step)
    _checkpoint(tmp_path, 4)
    torn = _checkpoint(tmp_path, 8, whole=False)
    rundir.request_stop(tmp_path)
    rundir.write_json_atomic(tmp_path / rundir.RESULT, {"status": "stopped"})
    (tmp_path / rundir.MODEL).mkdir()
    assert rundir.rewind(tmp_path) == 4
    assert not (tmp_path / rundir.MODEL).exists()
    assert not torn.exists()
    assert [row.step for row in rundir.read_metrics_from(tmp_path)[0]] == [1, 2, 3, 4]
    assert not rundir.stop_requested(tmp_path)
    assert rundir.read_result(tmp_path) is None


def test_rewind_without_a_checkpoint_starts_anew(tmp_path: Path) -> None:
    _metric(tmp_path, 1)
    assert rundir.rewind(tmp_path) == 0
    assert rundir.read_metrics_from(tmp_path)[0] == []


def test_remove_checkpoints_keeps_the_newest(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        _checkpoint(tmp_path, step)
    rundir.remove_checkpoints(tmp_path, keep=2)
    left = sorted(path.name for path in (tmp_path / rundir.CHECKPOINTS).iterdir())
    assert left == ["checkpoint-10", "checkpoint-15"]


def test_tail_log_gives_the_last_lines(tmp_path: Path) -> None:
    assert rundir.tail_log(tmp_path) == ""
    (tmp_path / rundir.LOG).write_text("".join(f"line {n}\n" for n in range(5000)))
    assert rundir.tail_log(tmp_path, 3) == "line 4997\nline 4998\nline 4999"


def test_rotate_log_keeps_earlier_attempts(tmp_path: Path) -> None:
    for text in ("first", "second"):
        rundir.rotate_log(tmp_path).write_text(text)
    rundir.rotate_log(tmp_path)
    assert (tmp_path / "train.1.log").read_text() == "first"
    assert (tmp_path / "train.2.log").read_text() == "second"


def test_weights_sha256_follows_the_contents_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"w")
        (folder / "config.json").write_text("{}")
    (second / "README.md").write_text("not a part of the model")
    assert rundir.weights_sha256(first) == rundir.weights_sha256(second)
    (second / "config.json").write_text("{ }")
    assert rundir.weights_sha256(first) != rundir.weights_sha256(second)
    (first / "model.safetensors").unlink()
    with pytest.raises(rundir.RunFolderError, match="no finished model"):
        rundir.weights_sha256(first)


def test_lock_is_held_by_whoever_inherits_it(tmp_path: Path) -> None:
    descriptor = rundir.lock(tmp_path)
    with pytest.raises(rundir.RunFolderBusy):
        rundir.lock(tmp_path)
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(descriptor,)) as child:
        os.close(descriptor)
        with pytest.raises(rundir.RunFolderBusy):
            rundir.lock(tmp_path)
        child.kill()
    os.close(rundir.lock(tmp_path))


def test_replies_kept_to_be_read_are_cut_back_with_the_metrics(tmp_path: Path) -> None:
    rundir.append_rollouts(tmp_path, [{"step": step, "text": f"é{step}"} for step in (1, 2, 3)])
    with (tmp_path / rundir.ROLLOUTS).open("a") as file:
        file.write('{"step": 3, "te')  # torn by a crash
    assert [row["step"] for row in rundir.read_rollouts(tmp_path, 2)] == [2, 3]
    path = rundir.checkpoint_path(tmp_path, 2)
    path.mkdir(parents=True)
    rundir.mark_complete(path, {"step": 2, "total": 3})
    assert rundir.rewind(tmp_path) == 2
    assert rundir.read_rollouts(tmp_path, 9) == [
        {"step": 1, "text": "é1"},
        {"step": 2, "text": "é2"},
    ]
    assert rundir.read_rollouts(tmp_path / "empty", 9) == []
