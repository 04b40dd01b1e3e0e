"""RLOO and GRPO: our reward model as the reward, our prompts, TRL's trainers."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from trl.trainer.rloo_trainer import RLOOTrainer

from tests.training.recipes.conftest import (
    Chain,
    demonstrations,
    message,
    prepare,
    prompts,
)
from training import rundir
from training.configs import RLOOConfig
from training.recipes import grpo, online, rloo, scoring
from training.recipes.data import Encoder
from training.recipes.loading import load_policy, load_reward_model, load_tokenizer
from training.recipes.online import encode_prompts, in_order, judged

pytestmark = [
    pytest.mark.recipe,
    # TRL 1.16 and PEFT ask by the old name what transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]
LEARN: dict[str, Any] = {
    "max_steps": 4,
    "learning_rate": 3e-3,
    "replies_per_prompt": 4,
    "max_new_tokens": 10,
    "missing_eos": "keep",
}
MAIN = {"rloo": rloo.main, "grpo": grpo.main}


def _rows() -> list[dict[str, Any]]:
    return [{**row, "split": "train"} for row in prompts(12)]


def _run(chain: Chain, folder: Path, recipe: str, **changes: Any) -> Path:
    models = {"model": chain.model("sft"), "reward": chain.model("reward")}
    prepare(folder, recipe, _rows(), LEARN | changes, **models)
    MAIN[recipe]([str(folder)])
    return folder


def _values(folder: Path) -> list[dict[str, float]]:
    return [dict(row.values) for row in rundir.read_metrics_from(folder)[0]]


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("rloo", {}),
        ("rloo", {"lora_r": 2, "normalize_advantages": True}),
        ("grpo", {}),
        ("grpo", {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0}),
    ],
)
def test_policy_is_trained_on_the_scores_of_the_reward_model(
    chain: Chain, tmp_path: Path, in_process: None, recipe: str, changes: dict[str, Any]
) -> None:
    folder = _run(chain, tmp_path, recipe, **changes)
    rows = _values(folder)
    assert rows[0].get("kl", 0.0) == pytest.approx(0, abs=1e-5)  # policy = reference
    assert rows[0]["rewards/reward_model/mean"] == rows[0]["reward"]
    assert rows[0]["reward_std"] > 0
    result = rundir.read_result(folder)
    assert result is not None
    assert result["model"]["sha256"] != rundir.weights_sha256(chain.model("sft"))
    assert result["data"]["train"] == 12 - result["data"]["dropped"].get("duplicate", 0)


def test_reward_is_what_the_model_says_of_the_same_tokens_alone(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reply by itself, without a pad, through the reward model's own forward."""
    heard: list[tuple[Any, list[int], float]] = []
    plain: Any = RLOOTrainer._calculate_rewards

    def hear(trainer: Any, inputs: Any, asked: Any, replies: Any, ids: Any) -> Any:
        found = plain(trainer, inputs, asked, replies, ids)
        heard.extend(zip(asked, ids, found[:, 0].tolist(), strict=True))
        return found

    monkeypatch.setattr(RLOOTrainer, "_calculate_rewards", hear)
    _run(chain, tmp_path, "rloo", max_new_tokens=40, max_steps=2)
    tokenizer = load_tokenizer(chain.model("reward"))
    network: Any = load_reward_model(chain.model("reward"), tokenizer)
    network.train(False)
    encoder = Encoder(tokenizer, 96)
    assert len({len(ids) for _, ids, _ in heard}) > 1
    for asked, ids, value in heard:
        with torch.no_grad():
            alone = network(input_ids=torch.tensor([encoder.prompt(asked) + ids])).logits.item()
        assert value == pytest.approx(alone, abs=1e-4)


def test_judge_hears_what_the_template_writes_after_the_end(chain: Chain, tmp_path: Path) -> None:
    """Of a reply that ended; one that was cut off is judged as it is."""
    reward = tmp_path / "reward"
    shutil.copytree(chain.model("reward"), reward)
    tokenizer = load_tokenizer(reward)
    template = str(tokenizer.chat_template)
    tokenizer.chat_template = template.replace(
        "'<|end|>' }}{% endfor", "'<|end|>' + ' so' }}{% endfor"
    )
    assert tokenizer.chat_template != template
    tokenizer.save_pretrained(reward)
    scorer = scoring.load_judge(reward, tokenizer, device=torch.device("cpu"), batch_size=1)
    ends = {int(tokenizer.eos_token_id)}
    judge = online.reward_model(scorer, RLOOConfig(missing_eos="keep"), ends)
    asked = [message("user", "kind cat")]
    reply = tokenizer("red", add_special_tokens=False)["input_ids"]
    said = judge(prompts=[asked, asked], completion_ids=[[*reply, *ends], reply])
    prompt = Encoder(tokenizer, 96).prompt(asked)
    so = tokenizer(" so", add_special_tokens=False)["input_ids"]
    alone = scorer.score_ids([[*prompt, *reply, *ends, *so], [*prompt, *reply]])
    assert said == pytest.approx(alone, abs=1e-5)


def test_longest_text_has_room_for_reply_and_template(chain: Chain) -> None:
    """Policy and reward model of the chain have 96 positions."""
    tokenizer = load_tokenizer(chain.model("sft"))
    models: list[Any] = [load_policy(chain.model("sft"), tokenizer)]
    scorer = scoring.Scorer(load_reward_model(chain.model("reward"), tokenizer), tokenizer)

    def longest(max_length: int, new_tokens: int) -> int:
        return scoring.longest_text(
            scorer, [1, 2], max_length=max_length, models=models, new_tokens=new_tokens
        )

    assert longest(200, 93) == 94
    assert longest(50, 10) == 48
    models[0].config.max_position_embeddings = 40
    assert longest(50, 10) == 38
    with pytest.raises(rundir.RunFolderError, match="takes 38 and the template's end 2"):
        longest(50, 38)


def test_prompts_leave_the_reward_model_room_for_the_reply(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(load_tokenizer(chain.model("sft")), 96)
    lengths = sorted(len(encoder.prompt(row["prompt"])) for row in _rows())
    longest = lengths[len(lengths) // 2]
    positions = longest + LEARN["max_new_tokens"]
    reward = tmp_path / "reward"
    shutil.copytree(chain.model("reward"), reward)
    shape = rundir.read_json(reward / "config.json")
    rundir.write_json_atomic(
        reward / "config.json", {**shape, "max_position_embeddings": positions}
    )
    heard: list[int] = []
    plain = scoring.Scorer.score_ids

    def hear(scorer: scoring.Scorer, sequences: list[list[int]]) -> list[float]:
        heard.extend(map(len, sequences))
        return plain(scorer, sequences)

    monkeypatch.setattr(scoring.Scorer, "score_ids", hear)
    models = {"model": chain.model("sft"), "reward": reward}
    folder = prepare(tmp_path / "run", "rloo", _rows(), LEARN, **models)
    rloo.main([str(folder)])
    assert heard
    assert max(heard) <= positions
    result = rundir.read_result(folder)
    assert result is not None
    assert result["data"]["dropped"]["too_long"] == sum(n > longest for n in lengths)


@pytest.mark.parametrize(("way", "worth"), [("keep", 0.7), ("subtract", 0.2), ("replace", -3.0)])
def test_reply_without_an_end_is_worth_what_the_config_says(way: str, worth: float) -> None:
    config = RLOOConfig(missing_eos=way, missing_eos_penalty=0.5)
    assert judged(0.7, False, config) == pytest.approx(worth)
    assert judged(0.7, True, config) == 0.7


def test_prompts_alone_are_asked_and_the_rest_is_counted(chain: Chain, tmp_path: Path) -> None:
    long = {"prompt_id": "long", "prompt": [message("user", "kind " * 200)], "split": "train"}
    rows = [*_rows(), _rows()[0], long, *demonstrations(3)]
    folder = prepare(tmp_path, "rloo", rows, LEARN)
    encoder = Encoder(load_tokenizer(chain.model("sft")), 86)
    found = encode_prompts(folder, encoder).report()
    assert found["dropped"]["no_prompt_alone"] == 3
    assert found["dropped"]["too_long"] == 1
    assert found["dropped"]["duplicate"] >= 1
    assert found["train"] + sum(found["dropped"].values()) == found["rows"]


def test_reward_model_of_other_tokens_is_refused(
    chain: Chain, tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(path: Path) -> Any:
        tokenizer = load_tokenizer(path)
        if path == chain.model("reward"):
            tokenizer.add_tokens(["unheard"])
        return tokenizer

    monkeypatch.setattr(scoring, "load_tokenizer", other)
    with pytest.raises(rundir.RunFolderError, match="reads other tokens"):
        _run(chain, tmp_path, "rloo")


def test_a_run_without_a_reward_model_is_refused(
    chain: Chain, tmp_path: Path, in_process: None
) -> None:
    folder = prepare(tmp_path, "grpo", _rows(), LEARN, model=chain.model("sft"))
    with pytest.raises(rundir.RunFolderError, match=r"inputs\.reward\.path"):
        grpo.main([str(folder)])


def test_order_of_all_passes_is_drawn_by_the_seed_alone() -> None:
    asked = [{"prompt": number} for number in range(6)]
    config = RLOOConfig(epochs=2.0, per_device_batch_size=8, replies_per_prompt=4)
    order = [row["prompt"] for row in in_order(asked, config, 3)]
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6))
    assert order[:6] != order[6:]
    assert order == [row["prompt"] for row in in_order(asked, config, 3)]
    short = RLOOConfig(max_steps=4, per_device_batch_size=8, replies_per_prompt=4)
    assert [row["prompt"] for row in in_order(asked, short, 3)] == order[:8]
