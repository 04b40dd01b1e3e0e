"""A model's shape and its number of weights, read from its files without torch."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.rundir import MEMBER

COUNTED = ("llama", "qwen3")
"""The families that this project makes from nothing; their weights are counted by formula."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What decides a decoder's size.

    `queries` and `keys` are the widths of all heads together; `tied` says that the output reads
    the embedding. `known` is the number of all weights where no formula counts them, else None.
    `members` is of how many such models an ensemble consists; all else is of one of them.
    """

    family: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    queries: int
    keys: int
    intermediate: int
    tied: bool = True
    attention_bias: bool = False
    scores: bool = False
    known: int | None = None
    members: int = 1

    @property
    def layer_matrices(self) -> int:
        """Weights of one layer's seven matrices: q, k, v, o and gate, up, down."""
        attention = 2 * self.hidden * self.queries + 2 * self.hidden * self.keys
        return attention + 3 * self.hidden * self.intermediate

    @property
    def embedding(self) -> int:
        """Weights of the table of tokens."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights, each once.

        A layer has its matrices, two norms over the hidden state, and in Qwen3 one over a head's
        queries and one over its keys. A reward model has one row in the place of the output.
        """
        if self.known is not None:
            return self.known
        layer = self.layer_matrices + 2 * self.hidden
        if self.attention_bias:
            layer += self.queries + 2 * self.keys + self.hidden
        if self.family == "qwen3":
            layer += 2 * self.queries // self.heads
        output = self.hidden if self.scores else 0 if self.tied else self.embedding
        return self.embedding + self.layers * layer + self.hidden + output

    @property
    def activations(self) -> int:
        """Numbers that one layer keeps of a token for the backward pass.

        Korthikanti et al. (2205.05198, 4.1) count them for GPT; in these families without dropout
        they are: around each of two norms the state, its normalized form and the scaled one (6 h);
        gate, its SiLU, up and their product (4 f); queries, the attention's output, keys and
        values, the latter two repeated to the width of the queries under a mask (4 q). Qwen3 keeps
        queries and keys twice more for its norms.
        """
        kept = 6 * self.hidden + 4 * self.intermediate + 4 * self.queries
        if self.family == "qwen3":
            kept += 2 * self.queries + 2 * self.keys
        return kept


def shape_of(folder: Path) -> ModelShape:
    """The shape of the model in a folder. Raises OSError, ValueError or KeyError without one."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = shape_from(config, weights=lambda: stored_weights(folder))
    return replace(shape, members=1 + len(list(folder.glob(f"{MEMBER}*"))))


def shape_from(config: Mapping[str, Any], *, weights: Any = lambda: None) -> ModelShape:
    """The shape in a config.json; `weights` is asked for the count of an unknown family."""
    inner = config.get("text_config") or config
    family = str(inner["model_type"])
    heads = int(inner["num_attention_heads"])
    hidden = int(inner["hidden_size"])
    size = int(inner.get("head_dim") or hidden // heads)
    return ModelShape(
        family=family,
        vocabulary=int(inner["vocab_size"]),
        hidden=hidden,
        layers=int(inner["num_hidden_layers"]),
        heads=heads,
        queries=heads * size,
        keys=int(inner.get("num_key_value_heads") or heads) * size,
        intermediate=int(inner.get("intermediate_size") or 4 * hidden),
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_bias=bool(inner.get("attention_bias", False)),
        scores=any("SequenceClassification" in name for name in config.get("architectures") or ()),
        known=None if family in COUNTED and not inner.get("mlp_bias") else weights(),
    )


def stored_weights(folder: Path) -> int:
    """How many numbers lie in a folder's safetensors files, by their headers alone.

    A file begins with the length of its header, eight bytes, little-endian; the header is JSON
    with the shape of each tensor. Raises ValueError where there is no such file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{folder} has no safetensors file.")
    return sum(_in_file(path) for path in files)


def _in_file(path: Path) -> int:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return sum(
        math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"
    )
