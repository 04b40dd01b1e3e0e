"""A tiny world for the recipes, and one real chain of child processes that the tests share."""

import random
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from training import launcher, rundir
from training.configs import parse_config, to_json

Rows = list[dict[str, Any]]

WORDS = ("red", "blue", "green", "small", "large", "happy", "kind", "quick", "cat", "dog", "bird")
MACHINE = {"device": "cpu", "threads": 1, "max_length": 96}
SCRATCH = {
    "init": "scratch",
    "vocab_size": 300,
    "hidden_size": 32,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "intermediate_size": 64,
    "max_positions": 96,
}


def message(role: str, content: str) -> dict[str, str]:
    """One chat message."""
    return {"role": role, "content": content}


def sentence(rng: random.Random, count: int) -> str:
    """Some words."""
    return " ".join(rng.choice(WORDS) for _ in range(count))


def demonstrations(count: int = 40) -> Rows:
    """Replies of four words to prompts of three; every eighth row is for validation."""
    rng = random.Random(1)
    return [
        {
            "prompt": [message("user", sentence(rng, 3))],
            "completion": [message("assistant", sentence(rng, 4) + ".")],
            "split": "validation" if number % 8 == 7 else "train",
        }
        for number in range(count)
    ]


def pairs(count: int = 36) -> Rows:
    """Polite replies preferred to rude ones; the splits in a ratio of 4:1:1, every tenth a tie."""
    rng = random.Random(2)
    splits = ["train"] * 4 + ["validation", "test"]
    return [
        {
            "prompt": [message("user", sentence(rng, 3))],
            "chosen": [message("assistant", sentence(rng, 3) + " please.")],
            "rejected": [message("assistant", sentence(rng, 3) + " no!")],
            "margin": 1.0,
            "tie": number % 10 == 9,
            "weight": 1.0,
            "judgement": str(number),
            "split": splits[number % 6],
        }
        for number in range(count)
    ]


def rankings(count: int = 36) -> Rows:
    """Two to four replies each, from polite to rude; splits 4:1:1, every tenth with a tie."""
    rng = random.Random(4)
    splits = ["train"] * 4 + ["validation", "test"]
    ends = (" please.", ".", "!", " no!")
    rows = []
    for number in range(count):
        tiers = [[place] for place in range(2 + number % 3)]
        if number % 10 == 9:
            tiers = [*tiers[:-2], [*tiers[-2], *tiers[-1]]]
        replies = [
            [message("assistant", sentence(rng, rng.randint(1, 4)) + ends[place])]
            for place in range(2 + number % 3)
        ]
        rows.append(
            {
                "prompt": [message("user", sentence(rng, 3))],
                "replies": replies,
                "tiers": tiers,
                "strength": None,
                "weight": 1.0,
                "judgement": str(number),
                "annotator": f"a{number % 2}",
                "split": splits[number % 6],
            }
        )
    return rows


def prompts(count: int = 6) -> Rows:
    """Prompts of different lengths."""
    rng = random.Random(3)
    return [
        {"prompt_id": f"p{number}", "prompt": [message("user", sentence(rng, 1 + number % 4))]}
        for number in range(count)
    ]


def prepare(
    folder: Path,
    recipe: str,
    rows: Rows,
    config: Mapping[str, Any],
    *,
    model: Path | None = None,
    reward: Path | None = None,
    seed: int = 5,
    **others: Path,
) -> Path:
    """A run's folder that is ready to start; `others` are its further models by their names."""
    resolved = to_json(parse_config(recipe, MACHINE | dict(config)))
    inputs = {
        name: {"path": str(path), "sha256": rundir.weights_sha256(path)}
        for name, path in {"model": model, "reward": reward, **others}.items()
        if path is not None
    }
    rundir.prepare(folder, recipe=recipe, config=resolved, inputs=inputs, rows=rows, seed=seed)
    return folder


def start(folder: Path, recipe: str, **changes: Any) -> launcher.Outcome:
    """Run a recipe as a real child process to its end."""
    settings: dict[str, Any] = {
        "on_metrics": lambda rows: None,
        "should_stop": lambda: None,
        "heartbeat": lambda: None,
        "poll_s": 0.1,
    }
    return launcher.launch(folder, recipe, **settings | changes)


def succeed(folder: Path, recipe: str) -> Path:
    """Run a recipe that must succeed; returns its folder."""
    outcome = start(folder, recipe)
    assert outcome.status == "succeeded", outcome.log_tail
    return folder


@dataclass(frozen=True)
class Chain:
    """The run folders of one chain, each run made by a child process of its own."""

    sft: Path
    reward: Path
    dpo: Path
    sample: Path

    def model(self, recipe: str) -> Path:
        """The finished model of a run."""
        folder: Path = getattr(self, recipe)
        return folder / rundir.MODEL


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """SFT from scratch, then reward and DPO from that model, then samples of the new policy."""
    base = tmp_path_factory.mktemp("chain")
    sft = prepare(
        base / "sft", "sft", demonstrations(), {**SCRATCH, "max_steps": 8, "learning_rate": 3e-3}
    )
    model = succeed(sft, "sft") / rundir.MODEL
    learn = {"max_steps": 6, "learning_rate": 3e-3}
    reward = prepare(base / "reward", "reward", rankings(), learn, model=model)
    dpo = prepare(base / "dpo", "dpo", pairs(), {**learn, "learning_rate": 5e-4}, model=model)
    with ThreadPoolExecutor(2) as both:
        made = both.map(succeed, (reward, dpo), ("reward", "dpo"))
        policy = list(made)[1] / rundir.MODEL
    draw = {"candidates_per_prompt": 3, "max_new_tokens": 12, "batch_size": 8}
    sample = prepare(base / "sample", "sample", prompts(), draw, model=policy)
    succeed(sample, "sample")
    return Chain(sft=sft, reward=reward, dpo=dpo, sample=sample)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a recipe's `main` run here: its folder's lock counts as held, its signals are undone."""

    monkeypatch.setenv("PREFLOOP_RUN_LOCK", "0")
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
