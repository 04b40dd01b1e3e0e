"""One side of bench.train, a process of its own: `python -m bench.train_side own|baseline`.

It reads orders from its input, a JSON object a line, and answers each with a line that begins with
MARK. Between two orders it waits and takes no time from the other side.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench import train_baseline, train_clock
from training import rundir
from training.configs import SFTConfig, parse_config
from training.recipes.data import Encoder, encode_demonstrations, encode_pairs
from training.recipes.grouping import LengthSampler, tokens_of
from training.recipes.loading import (
    load_reward_model,
    load_tokenizer,
    new_policy,
    new_tokenizer,
    save_model,
)
from training.recipes.reward_report import Scored, report_of
from training.recipes.scoring import Scorer

MARK = "@@ "


def make_models(order: dict[str, Any]) -> dict[str, Any]:
    """A policy and a reward model with random weights, the same for both sides, and their sizes."""
    folder, shape = Path(order["folder"]), order["shape"]
    tokenizer = new_tokenizer(order["texts"], order["vocab_size"], shape["max_positions"])
    torch.manual_seed(0)
    config = SFTConfig(
        init="scratch",
        vocab_size=order["vocab_size"],
        max_length=shape["max_positions"],
        **shape,
    )
    policy = new_policy(config, tokenizer)
    save_model(policy, tokenizer, folder / "policy")
    judge = load_reward_model(folder / "policy", tokenizer, seed=0)
    save_model(judge, tokenizer, folder / "judge")
    return {"parameters": policy.num_parameters(), "peak": _peak()}


def _peak() -> float | None:
    """Multiply-adds in bf16 that this GPU says of itself it does in a second; None if unknown."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for known, peak in PEAKS.items() if known in name), None)


PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40": 181e12, "4090": 165e12}
"""Floating-point operations a second in dense bf16, from the makers' data sheets."""


def accuracy(order: dict[str, Any]) -> dict[str, float]:
    """The share of held-out pairs that a saved model puts right, with its 95 % interval."""
    tokenizer = load_tokenizer(Path(order["model"]))
    scorer = Scorer(load_reward_model(Path(order["model"]), tokenizer), tokenizer)
    held = json.loads(Path(order["rows"]).read_text(encoding="utf-8"))
    told = []
    for row in held:
        texts = [scorer.encoder.exchange(row["prompt"], reply) for reply in row["replies"]]
        ranks = {tier[0]: rank for rank, tier in enumerate(row["tiers"])}
        told.append(
            Scored(
                scores=scorer.score_ids([prompt + reply for prompt, reply in texts]),
                ranks=[ranks[place] for place in range(len(texts))],
                lengths=[len(reply) for _, reply in texts],
                annotator="",
            )
        )
    report: Any = report_of(told)
    return {name: float(report[name]) for name in ("accuracy", "low", "high")}


def order_of(order: dict[str, Any]) -> dict[str, Any]:
    """The order in which our side draws the rows of a run's folder; none for rankings."""
    folder = Path(order["folder"])
    head = rundir.read_json(folder / rundir.CONFIG)
    if head["recipe"] == "reward":
        return {}
    config: Any = parse_config(head["recipe"], head["config"])
    tokenizer = load_tokenizer(Path(head["inputs"]["model"]["path"]))
    encoder = Encoder(tokenizer, config.max_length)
    rows = (
        encode_pairs(folder, encoder)
        if head["recipe"] == "dpo"
        else encode_demonstrations(folder, encoder, completion_only=True)
    ).splits["train"]
    lengths = [tokens_of(row) for row in rows]
    return {"order": list(LengthSampler(lengths, config.per_device_batch_size, head["seed"]))}


def orders(side: str) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """What this side does, by name."""
    clock = train_clock.install()

    def train(order: dict[str, Any]) -> dict[str, Any]:
        if side == "baseline":
            train_baseline.main(Path(order["folder"]))
        else:
            importlib.import_module(f"training.recipes.{order['recipe']}").main([order["folder"]])
        return clock.read()

    return {"train": train, "models": make_models, "accuracy": accuracy, "order": order_of}


def main() -> None:
    """Do what is asked, until nothing more is."""
    done = orders(sys.argv[1])
    print(MARK + "{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(MARK + json.dumps(done[order["do"]](order)), flush=True)


if __name__ == "__main__":
    main()
