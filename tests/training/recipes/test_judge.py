"""The recipe judge on a real tiny model: pairs in both orders, aspects, reasons, going on."""

import hashlib
import json
import random
import shutil
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.recipes.conftest import Chain, message, prepare, sentence, succeed
from training import rundir
from training.configs import JudgeConfig
from training.judges.labels import ASPECTS, PROMPT_VERSIONS, mean_rating, tiers_by_score
from training.recipes import judge
from training.recipes.ai_judge import ANSWERS, Pair, load_ai_judge
from training.recipes.ai_judge import QUESTION as PAIR_QUESTION
from training.recipes.asking import Answer, Asker, Said, answer_ids
from training.recipes.cases import LeftOut, case_of
from training.recipes.comparing import TRANSITION, Comparer
from training.recipes.judge import Sums
from training.recipes.loading import load_policy, load_tokenizer
from training.recipes.rating import MARKS, Rater
from training.recipes.rating import QUESTION as RATING_QUESTION

pytestmark = pytest.mark.recipe
# A model of a few thousand weights does not know what it is asked: nothing is left out for that.
ASK = {"max_length": 1024, "least_mass": 0.0, "tie_margin": 0.0, "batch_size": 12}
RATE = {**ASK, "style": "aspects", "max_new_tokens": 4, "most_apart": 4.0}


@pytest.fixture(scope="module")
def patient(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SFT model, told that it may read long texts."""
    folder = tmp_path_factory.mktemp("judge") / "model"
    shutil.copytree(chain.model("sft"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))
    return folder


def comparisons(count: int = 5) -> list[dict[str, Any]]:
    """Comparisons of two to four replies; the second has a principle of its own."""
    rng = random.Random(7)
    return [
        {
            "comparison_id": str(number),
            "prompt": [message("user", sentence(rng, 3))],
            "replies": [
                [message("assistant", sentence(rng, 2) + end)]
                for end in (" please.", " no!", ".", "?")[: 2 + number % 3]
            ],
            "criteria": "Be short.",
            "principle": {"number": 4, "text": "Choose the kinder reply."} if number == 1 else None,
        }
        for number in range(count)
    ]


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / rundir.JUDGEMENTS).read_text().splitlines()]


def _result(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


def test_pairs_through_the_launcher_are_the_judges_own_labels(
    patient: Path, tmp_path: Path
) -> None:
    folder = prepare(tmp_path, "judge", comparisons(), ASK, model=patient)
    succeed(folder, "judge")
    rows, asked = _rows(folder), {row["comparison_id"]: row for row in comparisons()}
    assert sorted(row["comparison_id"] for row in rows) == sorted(asked)
    by_hand = load_ai_judge(patient, device=torch.device("cpu"))
    for row in rows:
        case = asked[row["comparison_id"]]
        texts = [reply[0]["content"] for reply in case["replies"]]
        principle = case["principle"]
        criteria = principle["text"] if principle else "Be short."
        places = list(combinations(range(len(texts)), 2))
        verdicts = by_hand.compare(
            [
                Pair(messages=case["prompt"], one=texts[a], other=texts[b], criteria=criteria)
                for a, b in places
            ]
        )
        assert [(pair["first"], pair["second"]) for pair in row["pairs"]] == places
        for pair, verdict in zip(row["pairs"], verdicts, strict=True):
            assert verdict is not None
            assert pair["soft"] == pytest.approx(verdict.soft, abs=1e-5)
            assert pair["lean"] == pytest.approx(verdict.lean, abs=1e-5)
        assert row["principle"] == principle
        assert row["left_out"] is None
        assert 0 < row["mass"] < 1
        assert sorted(slot for tier in row["tiers"] for slot in tier) == list(range(len(texts)))
    result = _result(folder)
    pairs = [pair for row in rows for pair in row["pairs"]]
    assert result["metrics"]["judge/judged"] == 5
    assert result["metrics"]["judge/lean"] == pytest.approx(
        sum(pair["lean"] for pair in pairs) / len(pairs)
    )
    assert result["model"] is None
    assert result["samples"]["sha256"] == rundir.file_sha256(folder / rundir.JUDGEMENTS)


def test_a_stopped_run_goes_on_without_repeating(
    patient: Path, tmp_path: Path, in_process: None
) -> None:
    whole = prepare(tmp_path / "whole", "judge", comparisons(), ASK, model=patient)
    judge.main([str(whole)])
    folder = prepare(tmp_path / "stopped", "judge", comparisons(), ASK, model=patient)
    rundir.request_stop(folder)
    judge.main([str(folder)])
    assert (_result(folder)["status"], _result(folder)["steps"]) == ("stopped", 1)
    first = _rows(folder)
    with (folder / rundir.JUDGEMENTS).open("a") as file:
        file.write('{"torn')
    assert rundir.rewind(folder) == 1
    judge.main([str(folder)])
    assert _result(folder)["status"] == "succeeded"
    assert _rows(folder)[: len(first)] == first
    assert _rows(folder) == _rows(whole)
    values = [row.values for row in rundir.read_metrics_from(folder)[0]]
    assert values[-1]["judge/comparisons"] == 5
    assert values[-1]["judge/lean"] == _result(whole)["metrics"]["judge/lean"]


def test_reasons_are_kept_and_their_labels_clamped(
    patient: Path, tmp_path: Path, in_process: None
) -> None:
    config = {**ASK, "reasons": True, "max_new_tokens": 6, "temperature": 1.0, "clamp": 0.49}
    folder = prepare(tmp_path, "judge", comparisons(2), config, model=patient)
    judge.main([str(folder)])
    for row in _rows(folder):
        assert all(0.49 <= pair["soft"] <= 0.51 for pair in row["pairs"])
        assert len(row["reasons"]) == len(row["pairs"])
        assert all(len(one["texts"]) == 2 for one in row["reasons"])
    assert any(text for row in _rows(folder) for one in row["reasons"] for text in one["texts"])


def test_aspects_are_ratings_with_reasons_from_which_the_tiers_follow(
    patient: Path, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "judge", comparisons(3), RATE, model=patient)
    judge.main([str(folder)])
    for row in _rows(folder):
        assert (row["left_out"], row["pairs"]) == (None, [])
        scores = []
        for ratings, reasons in zip(row["ratings"], row["reasons"], strict=True):
            assert set(ratings) == set(reasons) == {*ASPECTS, "overall"}
            assert all(1 <= value <= 5 for value in ratings.values())
            scores.append(mean_rating(ratings))
        assert row["tiers"] == tiers_by_score(scores, 0.0)
    assert "judge/lean" not in _result(folder)["metrics"]


def test_what_can_not_be_judged_is_left_out_and_counted(
    patient: Path, tmp_path: Path, in_process: None
) -> None:
    long, marked, *rest = comparisons(3)
    long["replies"][0][0]["content"] = "red " * 2000
    marked["replies"][0][0]["content"] = "<|end|>"
    folder = prepare(tmp_path / "some", "judge", [long, marked, *rest], ASK, model=patient)
    judge.main([str(folder)])
    assert _result(folder)["data"]["dropped"] == {"too_long": 1, "special_token_in_text": 1}
    assert [row["left_out"] for row in _rows(folder)].count(None) == 1
    # It gives the possible answers next to nothing: it has not understood.
    strict = {**ASK, "least_mass": 0.9}
    folder = prepare(tmp_path / "none", "judge", comparisons(3), strict, model=patient)
    judge.main([str(folder)])
    assert Counter(row["left_out"] for row in _rows(folder)) == {"no_answer": 3}


def _said(rating: int, *, mass: float = 1.0) -> Said:
    probabilities = tuple(float(mark == rating) for mark in range(1, 6))
    return Said(reasons="because", answer=Answer(probabilities=probabilities, mass=mass), ids=[1])


class _Scripted:
    """Answers as it was told to, in place of a model."""

    def __init__(self, ratings: list[int], ten: bool) -> None:
        self._ratings, self._ten = ratings, ten

    def ask(self, questions: list[Any]) -> list[Said]:
        """Answer each question in turn."""
        return [_said(rating) for rating, _ in zip(self._ratings, questions, strict=True)]

    def means_ten(self, said: list[Said]) -> bool:
        """Say what it was told to."""
        return self._ten


def _rated(ratings: list[int], *, ten: bool = False) -> dict[str, Any]:
    asker: Any = _Scripted(ratings, ten)
    rater = Rater(asker, JudgeConfig(style="aspects", max_length=1024, tie_margin=0.25), 0)
    return rater.judge(case_of(comparisons(1)[0]))


def test_the_better_mean_is_ranked_first_and_near_ones_tie() -> None:
    row = _rated([2, 2, 3, 3, 3, 4, 4, 5, 5, 5])
    assert row["tiers"] == [[1], [0]]
    assert [mean_rating(own) for own in row["ratings"]] == [2.5, 4.5]
    assert _rated([4, 4, 4, 4, 4, 4, 4, 4, 5, 4])["tiers"] == [[0, 1]]


def test_an_overall_rating_that_the_aspects_belie_is_rejected() -> None:
    with pytest.raises(LeftOut, match="inconsistent"):
        _rated([1, 1, 1, 1, 5, 3, 3, 3, 3, 3])


def test_a_one_that_goes_on_to_a_ten_is_rejected() -> None:
    with pytest.raises(LeftOut, match="means_ten"):
        _rated([3] * 10, ten=True)


def test_only_a_likeliest_one_is_looked_at_for_a_ten(
    patient: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = _local(patient, "aspects", MARKS)
    looked: list[int] = []

    def zero_follows(questions: list[Any], choices: list[int]) -> list[Answer]:
        looked.append(len(questions))
        return [Answer(probabilities=(1.0,), mass=0.9) for _ in questions]

    monkeypatch.setattr(asker, "answers_to", zero_follows)
    assert not asker.means_ten([_said(3), _said(5)])
    assert asker.means_ten([_said(3), _said(1)])
    assert looked == [0, 1]


def _local(patient: Path, style: str, answers: tuple[str, ...]) -> Asker:
    tokenizer = load_tokenizer(patient)
    model: Any = load_policy(patient, tokenizer)
    config = JudgeConfig(style=style, max_length=1024)
    return Asker(model, tokenizer, config, answers=answers, transition="Rating: ")


def test_a_comparison_of_one_reply_is_no_comparison() -> None:
    row = comparisons(1)[0]
    with pytest.raises(rundir.RunFolderError, match="1 replies"):
        case_of({**row, "replies": row["replies"][:1]})


def test_batches_hold_about_so_many_questions(patient: Path) -> None:
    judge_ = Comparer(_local(patient, "pairwise", ANSWERS), JudgeConfig(max_length=1024), 0)
    cases = [case_of(row) for row in comparisons(6)]  # 2, 6, 12 questions and again
    sizes = [[len(case.replies) for case in batch] for batch in judge._batches(cases, judge_, 8)]
    assert sizes == [[2, 3], [4], [2, 3], [4]]


def test_sums_by_hand() -> None:
    pairs = [
        {"first": 0, "second": 1, "soft": 0.9, "lean": 0.1, "consistent": True},
        {"first": 0, "second": 2, "soft": 0.4, "lean": -0.3, "consistent": False},
    ]
    rows = [
        {"left_out": None, "mass": 0.5, "pairs": pairs},
        {"left_out": "too_long"},
    ]
    sums = Sums(rows)
    assert sums.left_out == {"too_long": 1}
    assert sums.metrics() == pytest.approx(
        {
            "judge/comparisons": 2,
            "judge/judged": 1,
            "judge/mass": 0.5,
            "judge/lean": -0.1,
            "judge/sure": 0.5,
            "judge/consistent": 0.5,
        }
    )


def test_five_digits_are_told_apart(patient: Path) -> None:
    tokenizer = load_tokenizer(patient)
    _lead, ids = answer_ids(tokenizer, ("1", "2", "3", "4", "5"))
    assert len(set(ids)) == 5


def test_other_questions_are_another_version() -> None:
    """Whoever changes what is asked raises its version: labels of two versions do not mix."""
    asked = {"pairwise": PAIR_QUESTION + TRANSITION, "aspects": RATING_QUESTION}
    known = {
        "pairwise-1": "2bd1a19e9a924b18",
        "aspects-1": "4548e5705a19ba17",
    }
    for style, text in asked.items():
        found = hashlib.sha256(text.encode()).hexdigest()[:16]
        assert known[PROMPT_VERSIONS[style]] == found
