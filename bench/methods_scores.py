"""The side of the comparison that loads torch: a process that measures until its input ends.

Each line of its input is a folder. In it lies job.json, which names a policy and texts; loss.json
is left beside it and the folder said back.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from training import rundir
from training.recipes.actors import collate, log_probabilities
from training.recipes.data import Encoder, Ids
from training.recipes.loading import load_policy, load_tokenizer

BATCH = 32


def main() -> None:
    """Measure what each job asks for."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    for line in sys.stdin:
        measure(Path(line.strip()))
        print(line.strip(), flush=True)


def measure(folder: Path) -> None:
    """Leave the mean negative log-likelihood of a token of the texts' replies, in nats."""
    job = rundir.read_json(folder / "job.json")
    tokenizer = load_tokenizer(Path(job["policy"]))
    policy: Any = load_policy(Path(job["policy"]), tokenizer)
    encoder = Encoder(tokenizer, int(policy.config.max_position_embeddings))
    texts = [encoder.exchange(row["prompt"], row["completion"]) for row in job["texts"]]
    tokens = sum(len(tail) for _, tail in texts)
    loss = -logprob(policy, texts, int(tokenizer.pad_token_id)) / tokens
    rundir.write_json_atomic(folder / "loss.json", {"loss": loss})


@torch.no_grad()
def logprob(model: Any, exchanges: Sequence[tuple[Ids, Ids]], pad: int) -> float:
    """The log-probability of the exchanges' second parts under the model, in nats."""
    model.train(False)
    ordered = sorted(exchanges, key=lambda exchange: sum(map(len, exchange)))
    found = 0.0
    for start in range(0, len(ordered), BATCH):
        heads, tails = zip(*ordered[start : start + BATCH], strict=True)
        batch = collate(heads, tails, pad, torch.device("cpu"))
        found += float(log_probabilities(model, batch, 1.0).double().sum())
    return found


if __name__ == "__main__":
    main()
