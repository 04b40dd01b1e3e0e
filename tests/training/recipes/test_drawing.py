"""What is still to be drawn, and the back-ends that draw here."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.training.recipes.conftest import Chain, message, prepare, prompts
from training import rundir
from training.recipes import sample
from training.recipes.drawing import Asked, Draw, Drawing, line
from training.recipes.replying import Prompt


def _drawing(candidates: int = 3, redraws: int = 2, count: int = 2) -> Drawing:
    asked = [
        Prompt(prompt_id=f"p{n}", messages=[message("user", "Why?")], ids=[1]) for n in range(count)
    ]
    return Drawing(asked, candidates, redraws, seed=4)


def _take(drawing: Drawing, asked: list[Asked], text: Any) -> None:
    for one in asked:
        came = Draw(text=text(one), finish_reason="stop", tokens=2, prompt_tokens=5)
        drawing.take(line(one, came, {}))


def test_only_what_repeats_is_wanted_again_and_by_another_seed():
    drawing = _drawing()
    first = drawing.wanted()
    assert [one.key for one in first] == [(f"p{n}", nth) for n in range(2) for nth in range(3)]
    _take(drawing, first, lambda one: "same" if one.prompt_id == "p0" else f"own {one.candidate}")
    again = drawing.wanted()
    assert [(one.key, one.draw) for one in again] == [(("p0", 1), 1), (("p0", 2), 1)]
    assert {one.seed for one in again}.isdisjoint({one.seed for one in first})
    _take(drawing, again, lambda one: "other")
    (last,) = drawing.wanted()
    assert (last.key, last.draw) == (("p0", 2), 2)
    _take(drawing, [last], lambda one: "same")
    assert drawing.wanted() == []
    rows = list(drawing.samples())
    assert [row["text"] for row in rows[:3]] == ["same", "other", "same"]
    assert [row["marks"] for row in rows[:3]] == [[], [], ["repeated"]]
    assert [row["draws"] for row in rows[:3]] == [1, 2, 3]
    assert rows[2]["usage"] == {"prompt_tokens": 15, "completion_tokens": 6}
    summary = drawing.summary()
    assert (summary["redrawn"], summary["repeated"]) == (3, 1)
    assert summary["completion_tokens"] == 2 * 9


def test_what_is_wanted_follows_from_the_lines_in_any_order():
    whole, again = _drawing(), _drawing()
    while asked := whole.wanted():
        _take(whole, asked, lambda one: f"{one.draw * 7 % 3} {one.prompt_id}")
    rows = [row for rows in whole.rows.values() for row in rows]
    for row in reversed(rows):
        again.take(row)
    assert again.wanted() == []
    assert list(again.samples()) == list(whole.samples())


def test_what_was_left_out_is_neither_kept_nor_asked_again():
    drawing = _drawing(candidates=2, count=1)
    one, other = drawing.wanted()
    drawing.take(line(one, Draw(left_out="request_refused"), {}))
    _take(drawing, [other], lambda one: "kept")
    assert drawing.wanted() == []
    assert [row["text"] for row in drawing.samples()] == ["kept"]
    assert drawing.summary()["left_out"] == 1


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / rundir.SAMPLES).read_text().splitlines()]


@pytest.mark.recipe
def test_a_cold_model_repeats_itself_and_is_asked_again(
    chain: Chain, tmp_path: Path, in_process: None
):
    draw = {"candidates_per_prompt": 3, "max_new_tokens": 8, "temperature": 1e-4, "redraws": 1}
    folder = prepare(tmp_path, "sample", prompts(), draw, model=chain.model("dpo"))
    sample.main([str(folder)])
    rows = _rows(folder)
    assert [row["draws"] for row in rows] == [1, 2, 2] * 6
    assert {row["text"] for row in rows if row["marks"]} <= {row["text"] for row in rows[::3]}
    result = rundir.read_result(folder)
    assert result is not None
    assert result["metrics"]["redrawn"] == 12
    assert result["metrics"]["completion_tokens"] == sum(
        row["usage"]["completion_tokens"] for row in rows
    )


class _Engine:
    """Replies with the seed's number; notes what it was given."""

    given: list[Any] = []

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def generate(self, asked: Any, *, sampling_params: Any, use_tqdm: bool) -> list[Any]:
        _Engine.given += list(sampling_params)
        return [
            SimpleNamespace(
                outputs=[
                    SimpleNamespace(
                        token_ids=[*one["prompt_token_ids"][:2], params.seed % 200 + 20],
                        finish_reason="length",
                    )
                ]
            )
            for one, params in zip(asked, sampling_params, strict=True)
        ]


@pytest.mark.recipe
def test_vllm_draws_where_it_is_installed(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    draw = {"candidates_per_prompt": 2, "max_new_tokens": 8, "backend": "vllm", "top_k": 5}
    folder = prepare(tmp_path, "sample", prompts(), draw, model=chain.model("dpo"))
    with pytest.raises(rundir.RunFolderError, match="install it, or take transformers"):
        sample.main([str(folder)])
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = _Engine, SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    rundir.rewind(folder)
    sample.main([str(folder)])
    rows = _rows(folder)
    assert len(rows) == 12
    assert {row["logprob"] for row in rows} == {None}
    assert {row["tokens"] for row in rows} == {3}
    assert all("cut" in row["marks"] for row in rows)
    first = _Engine.given[0]
    assert (first.top_k, first.max_tokens, first.temperature) == (5, 8, 1.0)
