"""Sampling runs: every candidate there once, each with what it takes to draw it again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.recipes.conftest import Chain, message, prepare, prompts
from training import rundir
from training.recipes import sample
from training.recipes.replying import candidate_seed

pytestmark = pytest.mark.recipe
DRAW = {"candidates_per_prompt": 3, "max_new_tokens": 12, "batch_size": 8}


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / rundir.SAMPLES).read_text().splitlines()]


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


def test_every_candidate_is_there_once(chain: Chain) -> None:
    rows = _rows(chain.sample)
    asked = {(f"p{number}", nth) for number in range(6) for nth in range(3)}
    assert {(row["prompt_id"], row["candidate"]) for row in rows} == asked
    assert len(rows) == len(asked) == len({row["seed"] for row in rows})
    for row in rows:
        assert row["completion"] == [{"role": "assistant", "content": row["text"]}]
        assert row["finish_reason"] == ("length" if row["tokens"] == 12 else "stop") or (
            row["finish_reason"] == "stop"
        )
        assert 1 <= row["tokens"] <= 12
        assert row["logprob"] < 0
        assert row["model_sha256"] == rundir.weights_sha256(chain.model("dpo"))


def test_sample_reports_progress_and_means(chain: Chain) -> None:
    rows, _ = rundir.read_metrics_from(chain.sample)
    assert [(row.step, row.total) for row in rows] == [(1, 3), (2, 3), (3, 3)]
    result = _result(chain.sample)
    assert result["metrics"]["samples"] == 18
    assert result["samples"]["sha256"] == rundir.file_sha256(chain.sample / rundir.SAMPLES)
    assert result["model"] is None


def test_same_seed_gives_the_same_samples(chain: Chain, tmp_path: Path, in_process: None) -> None:
    texts = {}
    for name, seed in (("again", 5), ("other", 6)):
        model = chain.model("dpo")
        folder = prepare(tmp_path / name, "sample", prompts(), DRAW, model=model, seed=seed)
        sample.main([str(folder)])
        texts[name] = _rows(folder)
    assert texts["again"] == _rows(chain.sample)
    assert texts["other"] != texts["again"]


def test_stopped_run_goes_on_without_repeating(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "sample", prompts(), DRAW, model=chain.model("dpo"))
    rundir.request_stop(folder)
    sample.main([str(folder)])
    assert (_result(folder)["status"], _result(folder)["steps"]) == ("stopped", 1)
    first = _rows(folder)
    assert len(first) == 8
    with (folder / rundir.SAMPLES).open("a") as file:
        file.write('{"torn')  # a later batch was cut off while it was written
    assert rundir.rewind(folder) == 1
    sample.main([str(folder)])
    assert _result(folder)["status"] == "succeeded"
    assert _rows(folder)[:8] == first
    assert _rows(folder) == _rows(chain.sample)
    assert [row.step for row in rundir.read_metrics_from(folder)[0]] == [1, 2, 3]


def test_prompts_left_out_are_counted(chain: Chain, tmp_path: Path, in_process: None) -> None:
    bad = [
        {"prompt_id": "long", "prompt": [message("user", "red " * 200)]},
        {"prompt_id": "mark", "prompt": [message("user", "<|end|>")]},
        {"prompt_id": "none", "prompt": []},
        prompts()[0],
    ]
    config = {**DRAW, "candidates_per_prompt": 1}
    folder = prepare(tmp_path, "sample", prompts() + bad, config, model=chain.model("dpo"))
    sample.main([str(folder)])
    data = _result(folder)["data"]
    assert (data["rows"], data["prompts"]) == (10, 6)
    assert data["dropped"] == {
        "too_long": 1,
        "special_token_in_text": 1,
        "empty_prompt": 1,
        "duplicate": 1,
    }


def test_candidate_seed_fits_a_json_number() -> None:
    seeds = {candidate_seed(1, prompt, nth) for prompt in ("a", "b") for nth in range(50)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**53 for seed in seeds)
