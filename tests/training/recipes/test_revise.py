"""Critique and revision: whole chains, the same after a kill, and what is left out is counted."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.training.recipes.conftest import Chain, message, prepare, prompts, start, succeed
from tests.training.recipes.faults import killed_after
from training import rundir
from training.constitutions.principles import Principle, draw_principle
from training.recipes import revise
from training.recipes.data import Encoder
from training.recipes.replying import candidate_seed

pytestmark = pytest.mark.recipe
DRAW = {"rounds": 2, "max_new_tokens": 6, "batch_size": 2, "keeps_cut": True}
PRINCIPLES = [
    {"key": key, "critique": f"{key} cat", "revision": f"{key} dog", "comparison": f"{key} bird"}
    for key in ("red", "blue", "green")
]
ROWS = [*({"principle": principle} for principle in PRINCIPLES), *prompts()]


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / rundir.REVISIONS).read_text().splitlines()]


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def revised(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never interrupted, in a child process of its own."""
    folder = tmp_path_factory.mktemp("revise")
    prepare(folder, "revise", ROWS, DRAW, model=chain.model("sft"))
    return succeed(folder, "revise")


def test_every_prompt_has_a_whole_chain(revised: Path) -> None:
    rows = _rows(revised)
    assert sorted(row["prompt_id"] for row in rows) == [f"p{number}" for number in range(6)]
    for row in rows:
        assert row["reply"]["seed"] == candidate_seed(5, row["prompt_id"], 0)
        if row["dropped"]:
            assert row["dropped"]["reason"].startswith("empty_")
            continue
        assert len(row["rounds"]) == 2
        for nth, one in enumerate(row["rounds"], start=1):
            assert one["critique"]["seed"] == candidate_seed(5, row["prompt_id"], 2 * nth - 1)
            assert one["revision"]["seed"] == candidate_seed(5, row["prompt_id"], 2 * nth)
            assert 1 <= one["revision"]["tokens"] <= 6
    assert any(not row["dropped"] for row in rows)


def test_principles_are_drawn_anew_each_round(revised: Path) -> None:
    known = [Principle(**row) for row in PRINCIPLES]
    drawn = []
    for row in _rows(revised):
        keys = [one["principle"] for one in row["rounds"]]
        wanted = [draw_principle(5, f"{row['prompt_id']}:{n + 1}", known) for n in range(len(keys))]
        assert keys == [principle.key for principle in wanted]
        drawn += keys
    assert len(set(drawn)) > 1


def test_the_result_counts_chains_and_tokens(revised: Path) -> None:
    result, rows = _result(revised), _rows(revised)
    whole = [row for row in rows if not row["dropped"]]
    assert (result["metrics"]["chains"], result["metrics"]["whole"]) == (6, len(whole))
    assert result["metrics"]["tokens"] == sum(
        text["tokens"]
        for row in rows
        for text in [row["reply"], *(t for one in row["rounds"] for t in _said(one))]
    )
    assert (result["data"]["rows"], result["data"]["prompts"]) == (6, 6)
    assert (result["data"]["principles"], result["data"]["chains"]) == (3, len(whole))
    assert result["revisions"]["sha256"] == rundir.file_sha256(revised / rundir.REVISIONS)
    assert result["model"] is None


def _said(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [one[name] for name in ("critique", "revision") if name in one]


def test_what_is_asked_holds_the_reply_and_the_principle(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[dict[str, str]]] = []
    encode = Encoder.prompt

    def note(self: Any, messages: list[dict[str, str]]) -> list[int]:
        asked.append(messages)
        return encode(self, messages)

    monkeypatch.setattr(Encoder, "prompt", note)
    folder = prepare(tmp_path, "revise", ROWS[:4], DRAW, model=chain.model("sft"))
    revise.main([str(folder)])
    (row,) = _rows(folder)
    said = {
        name: next(r for r in PRINCIPLES if r["key"] == name) for name in ("red", "blue", "green")
    }
    latest, wanted = row["reply"]["text"], [prompts()[0]["prompt"]]
    for one in row["rounds"]:
        principle = said[one["principle"]]
        turns = [
            *prompts()[0]["prompt"],
            message("assistant", latest),
            message("user", principle["critique"]),
        ]
        critique = message("assistant", one["critique"]["text"])
        wanted += [turns, [*turns, critique, message("user", principle["revision"])]]
        latest = one["revision"]["text"]
    assert asked == wanted


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_chains(
    chain: Chain, revised: Path, tmp_path: Path
) -> None:
    folder = prepare(tmp_path, "revise", ROWS, DRAW, model=chain.model("sft"))
    killed_after(folder, "revise", 1)
    with (folder / rundir.REVISIONS).open("a") as file:
        file.write('{"torn')
    assert start(folder, "revise").status == "succeeded"
    assert _rows(folder) == _rows(revised)
    assert _result(folder)["metrics"] == _result(revised)["metrics"]
    assert [row.step for row in rundir.read_metrics_from(folder)[0]] == [1, 2, 3]


def test_a_stopped_run_tells_how_far_it_came(
    chain: Chain, revised: Path, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "revise", ROWS, DRAW, model=chain.model("sft"))
    rundir.request_stop(folder)
    revise.main([str(folder)])
    assert (_result(folder)["status"], _result(folder)["steps"]) == ("stopped", 1)
    assert _rows(folder) == _rows(revised)[:2]


def test_conversations_that_grow_too_long_are_counted(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    long = {**PRINCIPLES[0], "key": "long", "revision": "red " * 90}
    rows = [{"principle": PRINCIPLES[0]}, {"principle": long}, *prompts(12)]
    config = {**DRAW, "rounds": 1, "batch_size": 12}
    folder = prepare(tmp_path, "revise", rows, config, model=chain.model("sft"))
    revise.main([str(folder)])
    rows = _rows(folder)
    lost = [row for row in rows if row["rounds"] and row["rounds"][0]["principle"] == "long"]
    assert lost
    assert {row["dropped"]["reason"] for row in lost} <= {"too_long", "empty_critique"}
    dropped = _result(folder)["data"]["dropped"]
    assert dropped["too_long"] == sum(
        r["dropped"] == {"reason": "too_long", "round": 1} for r in rows
    )
    assert sum(dropped.values()) + _result(folder)["data"]["chains"] == 12


def test_chains_that_are_cut_off_are_left_out_unless_asked_for(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    config = {**DRAW, "rounds": 1, "keeps_cut": False, "max_new_tokens": 6, "batch_size": 24}
    folder = prepare(
        tmp_path, "revise", [ROWS[0], *prompts(24)], config, model=chain.model("sft"), seed=3
    )
    with suppress(rundir.RunFolderError):  # all may have been cut off
        revise.main([str(folder)])
    rows = _rows(folder)
    for row in rows:
        if row["dropped"] and row["dropped"]["reason"] == "cut_off":
            assert row["rounds"][-1]["revision"]["finish_reason"] == "length"
        elif not row["dropped"]:
            assert row["rounds"][-1]["revision"]["finish_reason"] == "stop"
    assert any(row["dropped"] == {"reason": "cut_off", "round": 1} for row in rows)


def test_a_run_in_vain_fails_and_says_why(chain: Chain, tmp_path: Path, in_process: None) -> None:
    long = {**PRINCIPLES[0], "critique": "red " * 90}
    rows = [{"principle": long}, *prompts()]
    folder = prepare(tmp_path, "revise", rows, DRAW, model=chain.model("sft"))
    with pytest.raises(rundir.RunFolderError, match=r"No chain came to its last.*too_long"):
        revise.main([str(folder)])
    assert rundir.read_result(folder) is None


def test_a_folder_without_principles_is_refused(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "revise", prompts(), DRAW, model=chain.model("sft"))
    with pytest.raises(rundir.RunFolderError, match="no principle"):
        revise.main([str(folder)])
