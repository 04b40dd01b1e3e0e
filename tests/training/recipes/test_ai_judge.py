"""The AI judge: both orders asked, its soft label, and what it can't be asked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from tests.training.recipes.conftest import Chain, message
from training import rundir
from training.recipes.ai_judge import ANSWERS, Pair, Verdict, load_ai_judge
from training.recipes.asking import answer_ids
from training.recipes.loading import load_policy, load_tokenizer

pytestmark = pytest.mark.recipe
ASKED = [message("system", "Be kind."), message("user", "red or blue?")]
PAIRS = [
    Pair(messages=ASKED, one="blue, please.", other="no!"),
    Pair(messages=ASKED[1:], one="small", other="a large and happy dog."),
]


@pytest.fixture(scope="module")
def patient(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SFT model, told that it may read long texts."""
    folder = tmp_path_factory.mktemp("judge") / "model"
    shutil.copytree(chain.model("sft"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))
    return folder


def test_a_question_holds_all_that_is_judged_in_both_orders():
    straight, turned = PAIRS[0].question(), PAIRS[0].question(turned=True)
    assert "system: Be kind.\n\nuser: red or blue?" in straight
    assert "Reply A:\nblue, please.\n\nReply B:\nno!" in straight
    assert "Reply A:\nno!\n\nReply B:\nblue, please." in turned
    asked = Pair(messages=ASKED, one="{x}", other="b", criteria="Be short.").question()
    assert "Be short. The order" in asked
    assert "Reply A:\n{x}" in asked


def test_a_verdict_by_hand():
    verdict = Verdict(first=0.9, second=0.6)
    assert verdict.soft == pytest.approx(0.75)
    assert verdict.lean == pytest.approx(0.3)


def test_the_soft_label_is_the_softmax_over_the_two_answers(patient: Path):
    judge = load_ai_judge(patient, device=torch.device("cpu"), batch_size=3)
    found = judge.compare(PAIRS)
    tokenizer = load_tokenizer(patient)
    model: Any = load_policy(patient, tokenizer).train(False)
    for pair, verdict in zip(PAIRS, found, strict=True):
        assert verdict is not None
        by_hand = [
            _sure(model, tokenizer, pair.question(turned=turned)) for turned in (False, True)
        ]
        assert verdict.first == pytest.approx(by_hand[0], abs=1e-5)
        assert verdict.second == pytest.approx(1 - by_hand[1], abs=1e-5)


def _sure(model: Any, tokenizer: PreTrainedTokenizerBase, question: str) -> float:
    """How likely A is among A and B, asked alone and without padding."""
    text = str(
        tokenizer.apply_chat_template(
            [message("user", question)], tokenize=False, add_generation_prompt=True
        )
    )
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, -1]
    both = [tokenizer.convert_tokens_to_ids(letter) for letter in ("A", "B")]
    return float(logits[both].softmax(-1)[0])


def test_swapping_a_pair_turns_its_verdict_round(patient: Path):
    judge = load_ai_judge(patient, device=torch.device("cpu"))
    turned = [Pair(messages=p.messages, one=p.other, other=p.one) for p in PAIRS]
    for there, back in zip(judge.compare(PAIRS), judge.compare(turned), strict=True):
        assert there is not None
        assert back is not None
        assert there.first == pytest.approx(1 - back.second, abs=1e-5)
        assert there.soft == pytest.approx(1 - back.soft, abs=1e-5)
        assert there.lean == pytest.approx(back.lean, abs=1e-5)


def test_equal_replies_are_half_a_win_however_the_judge_leans(patient: Path):
    judge = load_ai_judge(patient, device=torch.device("cpu"))
    (verdict,) = judge.compare([Pair(messages=ASKED, one="red", other="red")])
    assert verdict is not None
    assert verdict.soft == pytest.approx(0.5)


def test_what_can_not_be_asked_gets_no_verdict(chain: Chain, patient: Path):
    judge = load_ai_judge(patient, device=torch.device("cpu"))
    marked = Pair(messages=ASKED, one="<|end|>", other="fine")
    found = judge.compare([marked, PAIRS[0]])
    assert found[0] is None
    assert found[1] is not None
    short = load_ai_judge(chain.model("sft"), device=torch.device("cpu"))
    assert short.compare(PAIRS) == [None, None]
    assert short.compare([]) == []


class _Words:
    """A tokenizer in so far as the judge asks one for the ids of its answers."""

    def __init__(self, **ids: list[int]) -> None:
        self._ids = ids

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": self._ids[text]}


def test_answers_may_share_their_first_ids():
    one: Any = _Words(A=[7], B=[9])
    assert answer_ids(one, ANSWERS) == ([], (7, 9))
    spaced: Any = _Words(A=[3, 7], B=[3, 9])
    assert answer_ids(spaced, ANSWERS) == ([3], (7, 9))
    same: Any = _Words(A=[0], B=[0])
    with pytest.raises(rundir.RunFolderError, match="doesn't tell the answers A and B apart"):
        answer_ids(same, ANSWERS)
