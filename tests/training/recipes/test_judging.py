"""A reward model judges a policy that learns from rows, and SFT keeps what it scored highest."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.recipes.conftest import (
    Chain,
    Rows,
    message,
    pairs,
    prepare,
    sentence,
)
from training import rundir
from training.recipes import dpo, kto, sft
from training.recipes.data import Ids
from training.recipes.judging import SCORE, BestWeights
from training.recipes.loading import load_tokenizer
from training.recipes.scoring import Scorer

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
MAIN = {"sft": sft.main, "dpo": dpo.main, "kto": kto.main}
LEARN: dict[str, Any] = {
    "max_steps": 12,
    "eval_steps": 3,
    "checkpoint_steps": 3,
    "keep_checkpoints": 9,
    "learning_rate": 1e-2,
    "lr_schedule": "constant",
    "eval_max_new_tokens": 12,
    "eval_prompts": 16,
}


def rude(count: int = 30) -> Rows:
    """The few replies to learn are rude; those held out are as polite as the reward model likes."""
    rng = random.Random(6)
    return [
        {
            "prompt": [message("user", sentence(rng, 3))],
            "completion": [
                message("assistant", sentence(rng, 3) + (" please." if number >= 8 else " no!"))
            ],
            "split": "validation" if number >= 8 else "train",
        }
        for number in range(count)
    ]


def run(folder: Path, recipe: str, rows: Rows, chain: Chain, **changes: Any) -> Path:
    """A run of this process, judged by the chain's reward model unless `reward` says otherwise."""
    reward = changes.pop("reward", chain.model("reward"))
    config = LEARN | changes
    prepare(folder, recipe, rows, config, model=chain.model("sft"), reward=reward)
    MAIN[recipe]([str(folder)])
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    result = rundir.read_result(folder)
    assert result is not None
    return result


def judged(folder: Path) -> list[tuple[int, dict[str, float]]]:
    rows, _ = rundir.read_metrics_from(folder)
    return [(row.step, dict(row.values)) for row in rows if SCORE in row.values]


@pytest.fixture(scope="module")
def overfitted(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SFT that learns rude replies by heart, twelve steps of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFLOOP_RUN_LOCK", "0")
        return run(tmp_path_factory.mktemp("overfitted"), "sft", rude(), chain)


def test_sft_keeps_the_evaluation_with_the_highest_score(overfitted: Path) -> None:
    rows = judged(overfitted)
    assert [step for step, _ in rows] == [3, 6, 9, 12]
    scores = {step: values[SCORE] for step, values in rows}
    learned = [row["loss"] for row in _values(overfitted) if "loss" in row]
    assert learned[-1] < learned[0] / 4  # by heart, while the score falls
    losses = [row["eval_loss"] for row in _values(overfitted) if "eval_loss" in row]
    result = result_of(overfitted)
    chosen = result["chosen"]
    assert chosen["step"] < 12
    assert chosen["score"] == max(scores.values()) == scores[chosen["step"]]
    assert chosen["score"] > scores[12] + 0.1
    assert [(point["step"], point["score"]) for point in chosen["curve"]] == list(scores.items())
    assert result["steps"] == 12
    assert result["metrics"][SCORE] == chosen["score"]
    assert result["metrics"]["eval_loss"] == losses[chosen["step"] // 3 - 1]


def test_what_is_kept_is_that_checkpoint_to_the_bit(overfitted: Path) -> None:
    chosen = result_of(overfitted)["chosen"]["step"]
    made = load_file(overfitted / rundir.MODEL / "model.safetensors")
    weights = {
        step: load_file(rundir.checkpoint_path(overfitted, step) / "model.safetensors")
        for step in (chosen, 12)
    }
    assert made.keys() == weights[chosen].keys()
    assert all(torch.equal(made[name], weights[chosen][name]) for name in made)
    assert not all(torch.equal(made[name], weights[12][name]) for name in made)


def test_a_judge_changes_nothing_of_what_is_learned(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    """Its draws leave the trainer's own chance alone: dropout would tell."""
    config = {"lora_r": 2, "lora_dropout": 0.3, "max_steps": 6}
    alone = run(tmp_path / "alone", "sft", rude(), chain, reward=None, **config)
    last = run(tmp_path / "last", "sft", rude(), chain, choose_by_reward=False, **config)
    assert "chosen" not in result_of(last)
    assert result_of(last)["model"]["sha256"] == result_of(alone)["model"]["sha256"]
    assert not judged(alone)
    rows = judged(last)
    assert len(rows) == 2
    assert rows[-1][1]["eval_objective/kl_k3"] > 0  # the reference is the policy without adapters


def test_choosing_with_adapters_leaves_the_merged_model_of_that_step(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    config = {"lora_r": 2, "learning_rate": 5e-2}  # far too much: what comes first stays best
    long = run(tmp_path / "long", "sft", rude(), chain, **config)
    chosen = result_of(long)["chosen"]["step"]
    assert chosen < 12
    short = run(tmp_path / "short", "sft", rude(), chain, max_steps=chosen, reward=None, **config)
    assert result_of(long)["model"]["sha256"] == result_of(short)["model"]["sha256"]


def test_stopped_run_goes_on_and_chooses_the_same(
    chain: Chain, tmp_path: Path, in_process: None, overfitted: Path
) -> None:
    folder = tmp_path / "stopped"
    models = {"model": chain.model("sft"), "reward": chain.model("reward")}
    prepare(folder, "sft", rude(), LEARN, **models)
    seen = StopAfter(folder, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft, "StopSignal", lambda folder: seen)
        sft.main([str(folder)])
    assert result_of(folder)["status"] == "stopped"
    assert "chosen" not in result_of(folder)
    assert rundir.rewind(folder) == 7
    sft.main([str(folder)])
    assert result_of(folder)["model"]["sha256"] == result_of(overfitted)["model"]["sha256"]
    assert result_of(folder)["chosen"] == result_of(overfitted)["chosen"]
    assert judged(folder) == judged(overfitted)


class StopAfter:
    """Asks to stop at a step."""

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        self._left = step

    def reason(self) -> str | None:
        """Why to stop, once the step is reached."""
        self._left -= 1
        return "asked to stop" if self._left == 0 else None


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("dpo", {}),
        ("dpo", {"precompute_ref_log_probs": True, "eval_replies": 2}),
        ("dpo", {"lora_r": 2}),
        ("kto", {}),
    ],
)
def test_preference_recipes_are_judged_too(
    chain: Chain, tmp_path: Path, in_process: None, recipe: str, changes: dict[str, Any]
) -> None:
    changes = {"learning_rate": 1e-3, "max_steps": 6} | changes
    folder = run(tmp_path, recipe, pairs(), chain, **changes)
    rows = judged(folder)
    assert [step for step, _ in rows] == [3, 6]
    for _, values in rows:
        assert values["eval_objective/kl_k3"] > 0
        assert 0 < values["eval_val/length"] <= 12
        assert 0 <= values["eval_val/share_without_eos"] <= 1
    result = result_of(folder)
    assert "chosen" not in result
    assert result["metrics"][SCORE] == rows[-1][1][SCORE]


def test_judge_hears_replies_to_validation_prompts_alone(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that hardly moves stays at the reference; its score is the mean of its texts'."""
    heard: list[tuple[list[Ids], list[float]]] = []
    plain = Scorer.score_ids

    def hear(scorer: Scorer, sequences: list[Ids]) -> list[float]:
        found = plain(scorer, sequences)
        heard.append((sequences, found))
        return found

    monkeypatch.setattr(Scorer, "score_ids", hear)
    folder = run(
        tmp_path,
        "sft",
        rude(),
        chain,
        learning_rate=1e-9,
        max_steps=2,
        eval_steps=2,
        eval_prompts=5,
    )
    [(sequences, scores)] = heard
    [(_, values)] = judged(folder)
    tokenizer = load_tokenizer(chain.model("sft"))
    held_out = [row["prompt"][0]["content"] for row in rude() if row["split"] == "validation"]
    texts = [tokenizer.decode(ids) for ids in sequences]
    assert len(texts) == 5
    assert all(any(prompt in text for prompt in held_out) for text in texts)
    assert values[SCORE] == pytest.approx(sum(scores) / 5)
    assert values["eval_objective/kl"] == pytest.approx(0, abs=1e-4)


def test_a_run_without_validation_prompts_can_not_be_judged(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    rows = [row for row in rude() if row["split"] == "train"]
    with pytest.raises(rundir.RunFolderError, match="no prompt of the split validation"):
        run(tmp_path, "sft", rows, chain)


def test_best_weights_stay_until_the_next_checkpoint_is_whole(tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    weights = {"w": torch.zeros(2)}
    best.keep(2, weights)
    best.keep(4, weights)  # no checkpoint yet: a run that goes on begins anew
    assert _kept(tmp_path) == [4]
    rundir.checkpoint_path(tmp_path, 4).mkdir(parents=True)
    rundir.mark_complete(rundir.checkpoint_path(tmp_path, 4), {"step": 4})
    best.keep(6, weights)
    best.keep(8, weights)
    assert _kept(tmp_path) == [4, 8]  # killed now, the run goes on from 4
    best.keep_only(8)
    assert _kept(tmp_path) == [8]
    with pytest.raises(rundir.RunFolderError, match="best weights"):
        best.weights(4)


def _kept(folder: Path) -> list[int]:
    names = [path.stem for path in (folder / rundir.CACHE).iterdir()]
    return sorted(int(name.split("-")[1]) for name in names)


def _values(folder: Path) -> list[dict[str, float]]:
    return [dict(row.values) for row in rundir.read_metrics_from(folder)[0]]
