"""An outside model as a judge: asked over HTTP, read by a schema, gone on when it is back."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import openai_server as far
from tests.openai_server import openai_server
from tests.training.recipes.conftest import prepare
from tests.training.recipes.test_judge import comparisons
from training import rundir
from training.configs import JudgeConfig
from training.endpoints.protocol import Reply, Token
from training.recipes import judge
from training.recipes.asking_outside import OutsideAsker
from training.recipes.rating import MARKS

pytestmark = pytest.mark.recipe


def _named(folder: Path, url: str) -> None:
    """Let a folder name a server, as the worker does."""
    server = {"base_url": url, "model": "tiny", "retries": 0, "allows_private": True}
    rundir.write_json_atomic(folder / rundir.ENDPOINT, {"server": server, "sha256": "0" * 64})


def _asker(tmp_path: Path, answers: tuple[str, ...] = ("A", "B"), **config: Any) -> OutsideAsker:
    _named(tmp_path, "http://127.0.0.1:9/v1")
    return OutsideAsker(tmp_path, JudgeConfig(**config), answers=answers)


def _reply(text: str, *tokens: Token) -> Reply:
    return Reply(
        text=text, finish_reason="stop", prompt_tokens=1, completion_tokens=1, tokens=tokens
    )


def _token(text: str, logprob: float, **others: float) -> Token:
    return Token(text=text, logprob=logprob, alternatives={text: logprob, **others})


def test_the_answers_place_tells_the_probabilities(tmp_path: Path) -> None:
    place = _token(" A", -0.5108256, **{" B": -1.2039728, "a": -3.0})
    before = (_token("Kinder", -9.0), _token(".\n", -1.0), _token("Answer:", 0.0))
    said = _asker(tmp_path).read(_reply("Kinder.\nAnswer: A", *before, place))
    assert said.reasons == "Kinder."
    assert said.answer.probabilities == pytest.approx((2 / 3, 1 / 3))
    assert said.answer.mass == pytest.approx(0.9)


EARLIER = (_token("Reply", -1.0), _token(" A", -0.7, **{" B": -0.7}), _token(" wins", -1.0))
LINE = (_token("\n", -0.1), _token("Answer", -0.1), _token(":", -0.1))


def test_an_answers_word_in_the_reasons_is_not_its_place(tmp_path: Path) -> None:
    told = (_token(" A.", -0.2, **{" B.": -1.7}),)
    said = _asker(tmp_path).read(_reply("Reply A wins\nAnswer: A.", *EARLIER, *LINE, *told))
    # " A." is not the answer alone: as without probabilities, and not the even ones from before.
    assert (said.answer.probabilities, said.answer.mass) == ((1.0, 0.0), 1.0)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("Reply A wins\nAnswer: A", (), ()),
        ("Reply A wins\nAnswer: A.\n", (), (_token(".\n", -0.1),)),
        ("Reply A wins\nAnswer: A", (_token("\n\n", -0.1),), (_token("<end>", -0.1),)),
        ("☃ Reply A wins\nAnswer: A", (_token("\\xe2", -0.1), _token("??", -0.1)), ()),
    ],
    ids=["plain", "a full stop apart", "stripped, with a mark of the end", "half characters"],
)
def test_the_place_is_found_in_the_tokens_own_text(
    tmp_path: Path, text: str, first: tuple[Token, ...], last: tuple[Token, ...]
) -> None:
    place = _token(" A", -0.5108256, **{" B": -1.2039728})
    tokens = (*first, *EARLIER, *LINE, place, *last)
    said = _asker(tmp_path).read(_reply(text, *tokens))
    assert said.answer.probabilities == pytest.approx((2 / 3, 1 / 3))
    assert said.answer.mass == pytest.approx(0.9)


def test_tokens_that_lack_the_line_tell_nothing(tmp_path: Path) -> None:
    said = _asker(tmp_path).read(_reply("Answer: A", *EARLIER))
    assert said.answer.probabilities == (1.0, 0.0)


def test_without_probabilities_an_answer_is_sure(tmp_path: Path) -> None:
    said = _asker(tmp_path).read(_reply("Answer: B."))
    assert (said.answer.probabilities, said.answer.mass) == ((0.0, 1.0), 1.0)


@pytest.mark.parametrize(
    "text", ["", "B", "I say A", "Answer: AB", "Answer: A or B", "Answer: A\nor not", "Answer: C"]
)
def test_what_keeps_to_no_schema_is_no_answer(tmp_path: Path, text: str) -> None:
    assert _asker(tmp_path).read(_reply(text)).answer.mass == 0


def test_an_answer_of_no_probability_is_no_answer(tmp_path: Path) -> None:
    said = _asker(tmp_path).read(_reply("Answer: A", _token("Answer: ", -0.1), _token("A", -9999)))
    assert (said.answer.probabilities, said.answer.mass) == ((0.5, 0.5), 0.0)


def test_a_ten_is_never_a_one(tmp_path: Path) -> None:
    asker = _asker(tmp_path, MARKS)
    assert asker.read(_reply("Answer: 10")).answer.mass == 0
    assert asker.read(_reply("Answer: 1/5")).answer.mass == 0
    assert asker.read(_reply("Answer: 1")).answer.probabilities[0] == 1.0


def _prepared(tmp_path: Path, url: str, **config: Any) -> Path:
    folder = prepare(
        tmp_path, "judge", comparisons(3), {"batch_size": 1, "max_length": 1024, **config}
    )
    _named(folder, url)
    return folder


def test_a_server_judges_pairs_in_both_orders(tmp_path: Path, in_process: None) -> None:
    with openai_server(always=far.says("Answer: A")) as server:
        folder = _prepared(tmp_path, server.url)
        judge.main([str(folder)])
    rows = [json.loads(line) for line in (folder / rundir.JUDGEMENTS).read_text().splitlines()]
    # It always takes what stands first: both orders together say nothing, and its lean says all.
    assert all(pair["soft"] == 0.5 for row in rows for pair in row["pairs"])
    assert all(pair["lean"] == 1.0 for row in rows for pair in row["pairs"])
    assert [len(row["tiers"]) for row in rows] == [1, 1, 1]
    assert len(server.chats()) == 2 + 6 + 12
    asked = server.chats()[0].body
    assert asked["logprobs"] is True
    assert asked["messages"][0]["content"].endswith("Answer: A or B")


def test_a_server_rates_with_reasons(tmp_path: Path, in_process: None) -> None:
    with openai_server(always=far.says("It is fine.\nAnswer: 4")) as server:
        folder = _prepared(tmp_path, server.url, style="aspects")
        judge.main([str(folder)])
    row = json.loads((folder / rundir.JUDGEMENTS).read_text().splitlines()[0])
    assert {value for own in row["ratings"] for value in own.values()} == {4.0}
    assert row["reasons"][0]["honesty"] == "It is fine."


def test_a_comparison_on_which_the_server_fails_is_left_out_alone(
    tmp_path: Path, in_process: None
) -> None:
    bad = comparisons(3)[0]["replies"][0][0]["content"]

    def poisoned(handler: far.Handler, body: dict[str, Any]) -> None:
        fails = bad in body["messages"][0]["content"]
        (far.status(500) if fails else far.says("Answer: B"))(handler, body)

    with openai_server(always=poisoned) as server:
        folder = _prepared(tmp_path, server.url)
        judge.main([str(folder)])
    result = rundir.read_result(folder)
    assert result is not None
    assert result["status"] == "succeeded"
    assert result["data"]["dropped"] == {"server_fault": 1}


@pytest.mark.parametrize("checkpoint_steps", [1, 50])
def test_a_dead_server_stops_the_run_which_goes_on_when_it_is_back(
    tmp_path: Path, in_process: None, checkpoint_steps: int
) -> None:
    with openai_server(always=far.says("Answer: B")) as server:
        server.plan(*[far.says("Answer: B")] * 2, far.status(500))
        folder = _prepared(tmp_path, server.url, checkpoint_steps=checkpoint_steps)
        judge.main([str(folder)])
        result = rundir.read_result(folder)
        assert result is not None
        assert (result["status"], result["steps"]) == ("stopped", 1)
        before = len(server.chats())
        assert result["endpoint_problem"]["sentence"] == result["reason"]
        first = (folder / rundir.JUDGEMENTS).read_text()
        server.plan(far.status(400))
        rundir.rewind(folder)
        judge.main([str(folder)])
        # What was paid for is not asked again: the two comparisons that are left, one refused.
        assert len(server.chats()) - before <= 6 + 12
    result = rundir.read_result(folder)
    assert result is not None
    assert result["status"] == "succeeded"
    assert (folder / rundir.JUDGEMENTS).read_text().startswith(first)
    assert sum(result["data"]["dropped"].values()) == 1
