"""Replies of an outside model: a real recipe asks a real server, with all that goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import openai_server as far
from tests.openai_server import OpenAIServer, openai_server
from tests.training.recipes.conftest import message, prepare, prompts, start
from training import launcher, rundir
from training.recipes import sample

KEY = "sk-secret-of-a-recipe"
DRAW = {"candidates_per_prompt": 2, "max_new_tokens": 12, "redraws": 2}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as running:
        yield running


def folder_for(
    place: Path, server: OpenAIServer, config: dict[str, Any] | None = None, **limits: Any
) -> Path:
    """A run's folder that names the server, as the worker writes it."""
    folder = prepare(place, "sample", prompts(), DRAW | (config or {}))
    told = {
        "base_url": server.url,
        "model": "tiny",
        "allows_private": True,
        "concurrency": 2,
        "retries": 1,
        "read_timeout_s": 5,
        "total_timeout_s": 10,
        **limits,
    }
    body = {"name": "far", "sha256": "f" * 64, "server": told}
    rundir.write_json_atomic(folder / rundir.ENDPOINT, body)
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / rundir.SAMPLES).read_text().splitlines()]


def result_of(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


@pytest.fixture
def drawn(server: OpenAIServer, tmp_path: Path, in_process: None) -> Path:
    """A whole run."""
    folder = folder_for(tmp_path / "whole", server)
    sample.main([str(folder)])
    return folder


def test_every_reply_is_there_with_its_counts(server: OpenAIServer, drawn: Path):
    rows, result = rows_of(drawn), result_of(drawn)
    assert result["status"] == "succeeded"
    assert {(row["prompt_id"], row["candidate"]) for row in rows} == {
        (f"p{number}", nth) for number in range(6) for nth in range(2)
    }
    by_seed = {one.body["seed"]: far.words_for(one.body) for one in server.chats()}
    for row in rows:
        assert row["text"] == " ".join(by_seed[row["seed"]])
        assert row["tokens"] == len(by_seed[row["seed"]])
        assert (row["finish_reason"], row["logprob"], row["marks"]) == ("stop", None, [])
        assert row["model_sha256"] == "f" * 64
    metrics = result["metrics"]
    assert metrics["completion_tokens"] == sum(row["tokens"] for row in rows)
    assert metrics["prompt_tokens"] == sum(row["prompt_tokens"] for row in rows)
    assert len(server.chats()) == len(rows) == metrics["samples"]


def test_repeated_texts_are_drawn_again_and_what_stays_alike_is_marked(
    server: OpenAIServer, tmp_path: Path, in_process: None
):
    def stubborn(handler: far.Handler, body: dict[str, Any]) -> None:
        if len(body["messages"][0]["content"].split()) == 1:
            far.says("always the same")(handler, body)
        else:
            far.well(handler, body)

    server.always = stubborn
    folder = folder_for(tmp_path, server)
    sample.main([str(folder)])
    rows, metrics = rows_of(folder), result_of(folder)["metrics"]
    alike = [row for row in rows if row["text"] == "always the same"]
    assert [row["marks"] for row in alike] == [[], ["repeated"]] * (len(alike) // 2)
    assert {row["draws"] for row in alike} == {1, 3}
    assert metrics["redrawn"] == 2 * metrics["repeated"] == len(alike)
    # All that was asked for is counted, not only what was kept.
    assert metrics["completion_tokens"] == sum(row["usage"]["completion_tokens"] for row in rows)
    assert len(server.chats()) == len(rows) + metrics["redrawn"]


def test_empty_and_cut_replies_are_marked(server: OpenAIServer, tmp_path: Path, in_process: None):
    server.plan(far.says(""), far.says("and then", finish_reason="length"))
    folder = folder_for(tmp_path, server, concurrency=1)
    sample.main([str(folder)])
    marked = [row["marks"] for row in rows_of(folder) if row["marks"]]
    assert sorted(marked) == [["cut"], ["empty"]]
    metrics = result_of(folder)["metrics"]
    assert (metrics["empty"], metrics["cut"]) == (1, 1)


def test_a_prompt_that_is_refused_is_left_out_alone(
    server: OpenAIServer, tmp_path: Path, in_process: None
):
    server.plan(far.status(400, {"error": {"message": "too long"}}))
    folder = folder_for(tmp_path, server, concurrency=1)
    sample.main([str(folder)])
    result = result_of(folder)
    assert (result["status"], result["metrics"]["left_out"]) == ("succeeded", 1)
    assert len(rows_of(folder)) == 11


@pytest.mark.parametrize(
    ("deed", "code"), [(far.status(500), "server_fault"), (far.raw([1, 2]), "nonsense")]
)
def test_a_prompt_on_which_the_server_fails_is_left_out_alone(
    server: OpenAIServer, tmp_path: Path, in_process: None, deed: far.Deed, code: str
):
    poison = prompts()[2]["prompt"]

    def poisoned(handler: far.Handler, body: dict[str, Any]) -> None:
        (deed if body["messages"] == poison else far.well)(handler, body)

    server.always = poisoned
    folder = folder_for(tmp_path, server, retries=0)
    sample.main([str(folder)])
    result = result_of(folder)
    assert (result["status"], result["metrics"]["left_out"]) == ("succeeded", 2)
    assert len(rows_of(folder)) == 10
    draws = [json.loads(line) for line in (folder / rundir.DRAWS).read_text().splitlines()]
    assert {row["left_out"] for row in draws} == {None, code}


@pytest.mark.parametrize(("fails", "lost"), [(2, 4), (999, 3)])
def test_a_server_that_dies_stops_the_run_and_nothing_is_asked_twice(
    server: OpenAIServer, tmp_path: Path, drawn: Path, fails: int, lost: int
):
    """Also where it is back at once: the knock and the question after it are lost then."""
    before = len(server.chats())
    folder = folder_for(tmp_path / "broken", server, concurrency=1)
    server.plan(*[far.well] * 5, *[far.status(503)] * fails)
    sample.main([str(folder)])
    result = result_of(folder)
    assert (result["status"], result["endpoint_problem"]["code"]) == ("stopped", "server_fault")
    assert "try again later" in result["reason"]
    assert len(rows_of(folder)) == 5

    server.plans.clear()
    rundir.rewind(folder)
    sample.main([str(folder)])
    assert rows_of(folder) == rows_of(drawn)
    assert result_of(folder)["metrics"] == result_of(drawn)["metrics"]
    assert "endpoint_problem" not in result_of(folder)
    assert len(server.chats()) - before == len(rows_of(drawn)) + lost


@pytest.mark.recipe
@pytest.mark.slow
def test_killed_in_mid_batch_it_repeats_nothing(server: OpenAIServer, tmp_path: Path, drawn: Path):
    """Real process, SIGKILL while answers come in: totals are those of the unbroken run."""

    def slowly(handler: far.Handler, body: dict[str, Any]) -> None:
        time.sleep(0.2)
        far.well(handler, body)

    before = len(server.chats())
    server.always = slowly
    folder = folder_for(tmp_path / "killed", server, concurrency=1)
    env = {**launcher.environment(), rundir.ENDPOINT_KEY: KEY}
    words = [sys.executable, "-m", "training.recipes.sample", str(folder)]
    with (folder / rundir.LOG).open("wb") as log:
        child = subprocess.Popen(words, env=env, cwd=launcher.PROJECT, stdout=log, stderr=log)
    draws = folder / rundir.DRAWS
    end = time.monotonic() + 60
    while not draws.exists() or draws.read_bytes().count(b"\n") < 4:
        assert time.monotonic() < end
        assert child.poll() is None, (folder / rundir.LOG).read_text()
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    server.always = far.well
    outcome = start(folder, "sample", env={rundir.ENDPOINT_KEY: KEY})
    assert outcome.status == "succeeded", outcome.log_tail
    assert rows_of(folder) == rows_of(drawn)
    whole, again = result_of(drawn)["metrics"], result_of(folder)["metrics"]
    assert again == whole
    # The one that was under way when the process died is asked again; nothing else is.
    assert len(server.chats()) - before <= whole["samples"] + 1
    assert {one.key for one in server.chats()[before:]} == {KEY}
    _assert_nowhere(KEY, folder)


def _assert_nowhere(key: str, folder: Path) -> None:
    for path in folder.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


@pytest.mark.recipe
@pytest.mark.slow
def test_a_stop_need_not_wait_for_a_silent_server(server: OpenAIServer, tmp_path: Path):
    server.always = far.silence(60)
    folder = folder_for(tmp_path, server, read_timeout_s=60, total_timeout_s=60)
    asked: list[float] = []

    def should_stop() -> launcher.Wish | None:
        if server.chats() and not asked:
            asked.append(time.monotonic())
        return "stop" if asked else None

    outcome = start(folder, "sample", should_stop=should_stop, env={rundir.ENDPOINT_KEY: KEY})
    assert outcome.status == "stopped"
    assert time.monotonic() - asked[0] < 15
    assert outcome.result is not None
    assert "endpoint_problem" not in outcome.result


def test_the_key_leaves_the_environment_at_once(
    server: OpenAIServer, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(rundir.ENDPOINT_KEY, KEY)
    server.key = KEY
    folder = folder_for(tmp_path, server)
    sample.main([str(folder)])
    assert rundir.ENDPOINT_KEY not in os.environ
    assert result_of(folder)["status"] == "succeeded"
    _assert_nowhere(KEY, folder)


def test_a_refused_key_says_so(server: OpenAIServer, tmp_path: Path, in_process: None):
    server.key = "another"
    folder = folder_for(tmp_path, server)
    sample.main([str(folder)])
    assert result_of(folder)["endpoint_problem"]["code"] == "key_refused"


def test_messages_go_as_they_are(server: OpenAIServer, tmp_path: Path, in_process: None):
    rows = [{"prompt_id": "1", "prompt": [message("system", "Be brief."), message("user", "Hi")]}]
    folder = folder_for(tmp_path, server)
    rundir.prepare(
        folder,
        recipe="sample",
        config=rundir.read_json(folder / rundir.CONFIG)["config"],
        inputs={},
        rows=rows,
        seed=1,
    )
    sample.main([str(folder)])
    assert {json.dumps(one.body["messages"]) for one in server.chats()} == {
        json.dumps(rows[0]["prompt"])
    }
    assert {one.body["max_tokens"] for one in server.chats()} == {12}
