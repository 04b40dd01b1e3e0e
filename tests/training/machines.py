"""A measured machine and a model's shape, as files, for tests of forecasts."""

import json
from pathlib import Path
from typing import Any

from training.machine import FORMAT, Machine, machine_from, path_of
from training.tokenizing import BOS, END, PAD, TEMPLATE, learned

SHAPE = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 100,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "tie_word_embeddings": True,
}
# Embedding 100 x 16; a layer 2 x 16 x 16 + 2 x 16 x 8 + 3 x 16 x 32 and two norms; a last norm.
TINY_WEIGHTS = 1600 + 2 * (512 + 256 + 1536 + 32) + 16


def machine_body(**device: Any) -> dict[str, Any]:
    """The file of a machine whose one device computes 1 GFLOP/s, whatever it computes."""
    speed = {
        "threads": 1,
        "precision": "fp32",
        "learning": [[64, 1e9]],
        "drawing": [[64, 1e9]],
        "layer_s": 0.001,
        "logit_s": 1e-9,
        "parameter_s": 1e-9,
    }
    one = {
        "kind": "cpu",
        "name": "Test CPU",
        "memory_bytes": 8 * 1024**3,
        "runtime_bytes": 500_000_000,
        "start_s": 5.0,
        "speeds": [speed],
    }
    return {
        "format": FORMAT,
        "name": "box",
        "measured_at": "2026-11-21T12:00:00+00:00",
        "devices": [one | device],
    }


def machine(**device: Any) -> Machine:
    """The same, read."""
    return machine_from(machine_body(**device))


def write_machine(folder: Path, **device: Any) -> None:
    """The same, where pages look for it."""
    path = path_of(folder, "box")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(machine_body(**device)))


def write_model(folder: Path) -> None:
    """The config of a tiny model; its weights and tokenizer are not needed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(SHAPE))


def write_tokenizer(folder: Path) -> None:
    """A tokenizer that knows bytes and marks alone: a token a letter."""
    learned([], 262).save(str(folder / "tokenizer.json"))
    settings = {"bos_token": BOS, "eos_token": END, "pad_token": PAD, "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
