"""The numbers of the methods: what they share, the small grids, and what was found on them.

`methods_tuned.json` holds what `python -m bench.methods --tune` measured: each setting of the
grids on the validation prompts of seed 1. The setting of a method is the one with the highest mean
gold there; `chosen` reads it from that table, so that no number is copied by hand. PPO-ptx takes
PPO's setting and, of the weights of the texts that keep at least half of what PPO loses on the
validation part of the unrelated corpus, the one with the highest gold.
"""

import json
from pathlib import Path
from typing import Any

from bench.methods_figures import kept_share
from training import demo_presets

Settings = dict[str, Any]
Row = dict[str, Any]

EPISODES = 2048
"""Replies that PPO, PPO-ptx and RLOO may draw and have judged while they learn."""
REPLIES = 16
"""Replies to a prompt by which a policy is measured."""
POOL = 64
"""Replies of the SFT policy to a prompt of which best-of-n takes the best."""
BEST_OF = (1, 2, 4, 8, 16, 32, 64)
TUNED_ON = 1
KEPT = 0.5
TUNED = Path(__file__).with_name("methods_tuned.json")

SAMPLE: Settings = demo_presets.SAMPLE_CONFIG
SHARED: dict[str, tuple[str, Settings]] = {
    # Recipe, and what all settings of a method have in common.
    "preferred_ft": ("sft", {**demo_presets.BASE_SFT_CONFIG, "max_steps": 0, "epochs": 3.0}),
    "dpo": ("dpo", demo_presets.DPO_CONFIG),
    "ppo": ("ppo", demo_presets.PPO_CONFIG),
    "ppo_ptx": ("ppo", demo_presets.PPO_CONFIG),
    "rloo": (
        "rloo",
        {
            **{name: demo_presets.PPO_CONFIG[name] for name in ("device", "max_length")},
            "max_new_tokens": 64,
            "missing_eos_score": -3.0,
            "lr_schedule": "constant",
            "replies_per_prompt": 4,
            "logging_steps": 5,
            "checkpoint_steps": 0,
        },
    ),
}


def _rloo(rate: float, beta: float) -> Settings:
    """Return RLOO's numbers: 32 replies a step, within the budget of episodes."""
    return {
        "learning_rate": rate,
        "beta": beta,
        "per_device_batch_size": 32,
        "gradient_accumulation": 1,
        "max_steps": EPISODES // 32,
    }


GRIDS: dict[str, list[Settings]] = {
    "preferred_ft": [{"learning_rate": rate} for rate in (3e-4, 1e-3, 3e-3, 6e-3)],
    "dpo": [
        {"learning_rate": 2e-4, "beta": 0.05},
        {"learning_rate": 2e-4, "beta": 0.1},
    ],
    "ppo": [
        {"learning_rate": 2e-4, "beta": 0.1},
        {"learning_rate": 2e-4, "beta": 0.3},
        {"learning_rate": 2e-4, "beta": 0.1, "gae_lambda": 1.0},
        # Each reply learned from once, as InstructGPT has it: as many steps as four passes take.
        {
            "learning_rate": 3e-4,
            "beta": 0.1,
            "gae_lambda": 1.0,
            "inner_epochs": 1,
            "minibatches": 4,
        },
    ],
    "ppo_ptx": [{"ptx_coefficient": gamma} for gamma in (0.01, 0.1)],
    "rloo": [
        _rloo(3e-4, 0.1),
        _rloo(6e-4, 0.1),
    ],
    "bon": [{"n": n} for n in (2, 4, 8, 16, 32, 64)],
}
FAR: Settings = {
    # Pushed far on purpose: no penalty, large steps; every reply is kept to be read.
    "learning_rate": 1e-3,
    "beta": 0.0,
    "gae_lambda": 1.0,
    "inner_epochs": 1,
    "minibatches": 4,
    "total_episodes": EPISODES,
    "sample_steps": 1,
    "samples": demo_presets.PPO_CONFIG["batch_size"],
}


def tuned() -> list[Row]:
    """Return what was measured on the grids: method, settings, gold, kl, pretrain_loss."""
    rows: list[Row] = json.loads(TUNED.read_text(encoding="utf-8"))["rows"]
    return rows


def chosen(method: str, rows: list[Row]) -> Settings:
    """Return a method's settings by the rule above. Raises ValueError where none was measured."""
    found = [row for row in rows if row["method"] == method]
    if method == "ppo_ptx":
        return {**chosen("ppo", rows), **_texts_weight(found, rows)}
    if not found:
        raise ValueError(f"nothing was tuned for {method}: run python -m bench.methods --tune")
    return dict(max(found, key=lambda row: row["gold"])["settings"])


def _texts_weight(found: list[Row], rows: list[Row]) -> Settings:
    """Return the weight of the texts: the best gold of those that keep enough, else the most."""
    before = next(row for row in rows if row["method"] == "sft")["pretrain_loss"]
    ppo = max((row for row in rows if row["method"] == "ppo"), key=lambda row: row["gold"])
    shares = [kept_share(before, ppo["pretrain_loss"], row["pretrain_loss"]) for row in found]
    enough = [
        row for row, share in zip(found, shares, strict=True) if share is None or share >= KEPT
    ]
    if enough:
        best = max(enough, key=lambda row: row["gold"])
    else:
        best = min(found, key=lambda row: row["pretrain_loss"])
    return dict(best["settings"])
